import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DeviceLostError } from '../../../src/engine/device.ts';
import type { ConfigJson } from '../../support/tiny.ts';
import { VoiceModel } from '../../../src/tasks/voice/model.ts';
import { FIXTURES } from '../../support/disk-folder.ts';
import { ownDevice, quickRecipe, randomExamples, tinyFolder, trained } from './support.ts';

// Nothing here compares numbers of the model: any will do.
const seed = 1;

// What hangs when its device is gone never ends: then the test's own time runs out, which is long enough for any machine.
describe('a device lost', () => {
  test.each([1, 3])('in mid-run, at step %i, ends the run with a sentence', async (step) => {
    const device = await ownDevice();
    const model = await VoiceModel.load(device, tinyFolder({ seed }));
    const running = trained(
      model,
      { examples: randomExamples(seed), recipe: quickRecipe({ max_steps: 50 }) },
      (event) => {
        if (event.type === 'step' && event.step === step) device.gpu.destroy();
      },
    );
    const { error, events, losses } = await running;
    expect(error).toBeInstanceOf(DeviceLostError);
    expect(String(error)).toMatch(/graphics device was lost.*last checkpoint/);
    expect(losses.length).toBeLessThan(step + 3);
    // Nothing can be read back any more: no checkpoint is pretended.
    expect(events.filter(({ type }) => type === 'checkpoint' || type === 'done')).toEqual([]);
    await expect(device.lost).resolves.toHaveProperty('reason', 'destroyed');
    expect(() => device.check()).toThrow(DeviceLostError);
  });

  test('while a checkpoint is read', async () => {
    const device = await ownDevice();
    const model = await VoiceModel.load(device, tinyFolder({ seed }));
    const recipe = quickRecipe({ max_steps: 4, save_steps: 1 });
    const running = trained(model, { examples: randomExamples(seed), recipe }, (event) => {
      if (event.type === 'step' && event.step === 2) device.gpu.destroy();
    });
    const { error } = await running;
    expect(error).toBeInstanceOf(DeviceLostError);
  });

  test('before a run and before a base is loaded', async () => {
    const device = await ownDevice();
    const model = await VoiceModel.load(device, tinyFolder({ seed }));
    device.gpu.destroy();
    const { error } = await trained(model, { examples: randomExamples(seed), recipe: quickRecipe() });
    expect(error).toBeInstanceOf(DeviceLostError);
    await expect(VoiceModel.load(device, tinyFolder({ seed }))).rejects.toThrow(DeviceLostError);
  });

  test('in the middle of an answer', async () => {
    const device = await ownDevice();
    const base = join(FIXTURES, 'llama-gqa/base');
    const files = new Map(
      ['tokenizer.json', 'tokenizer_config.json'].map((name) => [name, new Uint8Array(readFileSync(join(base, name)))]),
    );
    const { vocab_size } = JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')) as ConfigJson;
    const model = await VoiceModel.load(device, tinyFolder({ seed, config: { vocab_size }, files }));
    const say = async (): Promise<void> => {
      let made = 0;
      for await (const _ of model.generate({ prompt: 'a', max_new_tokens: 40, do_sample: true, temperature: 2 })) {
        if (++made === 2) device.gpu.destroy();
      }
    };
    await expect(say()).rejects.toThrow(DeviceLostError);
  });
});
