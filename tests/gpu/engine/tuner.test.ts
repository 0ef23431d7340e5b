import { describe, expect } from 'vitest';
import { choiceKey } from '../../../src/engine/kernels/choices.ts';
import { candidates } from '../../../src/engine/kernels/matmul.ts';
import { Device } from '../../../src/engine/device.ts';
import { VoiceModel } from '../../../src/tasks/voice/model.ts';
import { testGpu } from '../../support/gpu.ts';
import { FAMILIES, LORA, ownDevice, quickRecipe, randomExamples, tinyFolder, trained } from './support.ts';
import { seeded } from '../../support/seeds.ts';

describe.each(FAMILIES)('tuner, %s family', (family) => {
  seeded('every shape of a step gets a timed choice, which is used, kept and changes no result', async ({ seed }) => {
    const examples = randomExamples(seed);
    const losses = async (device: Device, tune: boolean): Promise<number[]> => {
      const model = await VoiceModel.load(device, tinyFolder({ seed }));
      const found: number[] = [];
      await trained(model, { examples, adapter: LORA, recipe: quickRecipe({ max_steps: 3 }), tune }, (event) => {
        if (event.type === 'step') found.push(event.loss);
      });
      model.destroy();
      return found;
    };
    const device = await ownDevice(family);
    const untimed = await losses(device, false);
    expect(device.choices.chosen.size).toBe(0);
    const timed = await losses(device, true);
    expect(device.allocatedBytes, `seed ${seed}: the trials freed what they held`).toBe(0);
    expect(device.choices.chosen.size).toBeGreaterThan(0);
    for (const { op, shape } of device.choices.wanted.values()) {
      const chosen = device.choices.chosen.get(choiceKey(op, shape));
      expect(candidates(op, shape, device.target)[0]!.name).toBe(chosen);
    }
    // Another order of the same f32 sums.
    // A mean of positive losses: three steps of AdamW hand on what the first differs by, some roundings of 2^-24 through thirty ops.
    timed.forEach((loss, i) => expect(Math.abs(loss / untimed[i]! - 1), `seed ${seed}`).toBeLessThan(1e-4));

    const kept = JSON.parse(JSON.stringify(device.choices)) as Record<string, string>;
    device.destroy();
    const again = await Device.open(await testGpu(), { family, choices: kept });
    expect([...again.choices.chosen]).toEqual(Object.entries(kept));
    expect(await losses(again, false), `seed ${seed}: the kept choices give the same bits`).toEqual(timed);
    again.destroy();
  });
});
