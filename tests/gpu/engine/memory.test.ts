import { describe, expect, vi } from 'vitest';
import { parseLoraConfig } from '../../../src/adapters/lora-config.ts';
import type { LoraConfig } from '../../../src/adapters/lora-config.ts';
import type { Device } from '../../../src/engine/device.ts';
import type { PlanReport } from '../../../src/tasks/voice/types.ts';
import type { VoiceModel } from '../../../src/tasks/voice/model.ts';
import { VoiceModel as Voice } from '../../../src/tasks/voice/model.ts';
import type { Recipe } from '../../../src/training/recipe.ts';
import {
  FAMILIES,
  LORA,
  familyDevice,
  ownDevice,
  quickRecipe,
  randomExamples,
  tinyFolder,
  trained,
} from './support.ts';
import { seeded } from '../../support/seeds.ts';

const DROPOUT = parseLoraConfig({ r: 4, target_modules: 'all-linear', lora_dropout: 0.25 });
const DORA = parseLoraConfig({ r: 3, target_modules: ['q_proj', 'down_proj'], use_dora: true });

const CASES: [string, LoraConfig, Partial<Recipe>, number][] = [
  ['plain', LORA, {}, 0],
  ['accumulating, with held-out rows', LORA, { gradient_accumulation_steps: 2, eval_steps: 2 }, 3],
  ['DoRA, checkpoints on the way', DORA, { save_steps: 2 }, 0],
  ['dropout', DROPOUT, {}, 0],
];

describe.each(FAMILIES)('memory and bits, %s family', (family) => {
  // The cards' kernels are slow on a software adapter: fewer layers, steps and cases there.
  const isCpu = family === 'cpu';
  const layers = isCpu ? 4 : 2;
  const steps = isCpu ? 5 : 2;
  const DEEP = { num_hidden_layers: layers };

  async function withDeep(seed: number, body: (model: VoiceModel, device: Device) => Promise<void>): Promise<void> {
    const device = await familyDevice(family);
    expect(device.allocatedBytes, 'nothing is left of other tests').toBe(0);
    const model = await Voice.load(device, tinyFolder({ seed, config: DEEP }));
    try {
      await body(model, device);
    } finally {
      vi.restoreAllMocks();
      model.destroy();
    }
  }

  seeded.each(CASES.slice(0, isCpu ? CASES.length : 1))(
    'what was planned is what is held, to the byte, and no step takes more: %s',
    ({ seed }, [_, adapter, fields, heldOut]) =>
      withDeep(seed, async (model, device) => {
        const before = device.allocatedBytes;
        expect(before).toBe(model.base.bytes);
        const examples = randomExamples(seed, { heldOut });
        const options = { examples, adapter, recipe: quickRecipe({ max_steps: steps, ...fields }) };
        const planned = await model.plan(options);
        expect(device.allocatedBytes, 'planning allocates nothing').toBe(before);
        const { frozenBytes, adapterBytes, activationBytes, workspaceBytes, ioBytes } = planned;
        expect(frozenBytes + adapterBytes + activationBytes + workspaceBytes + ioBytes).toBe(planned.totalBytes);
        const held: number[] = [];
        const peaks: number[] = [];
        const run = await trained(model, options, (event) => {
          if (event.type === 'ready') {
            expect(event.plan).toEqual(planned);
            expect(event.measuredBytes).toBe(planned.totalBytes);
            device.resetPeak();
          }
          held.push(device.allocatedBytes);
          peaks.push(device.peakBytes);
        });
        expect(run.error).toBeUndefined();
        expect(run.losses).toHaveLength(steps);
        expect(new Set(held)).toEqual(new Set([planned.totalBytes]));
        expect(new Set(peaks)).toEqual(new Set([planned.totalBytes]));
        // Afterwards only the base and the adapter are left; in the end nothing.
        expect(device.allocatedBytes).toBe(frozenBytes + adapterBytes);
        await model.useAdapter(null);
        expect(device.allocatedBytes).toBe(before);
        model.destroy();
        expect(device.allocatedBytes).toBe(0);
      }),
  );

  seeded.each([
    ['plain', LORA],
    ['dropout', DROPOUT],
  ])('blocks computed again give the same bits in less memory: %s', ({ seed, note }, [_, adapter]) =>
    withDeep(seed, async (model) => {
      const examples = randomExamples(seed);
      const recipe = quickRecipe({ per_device_train_batch_size: 4, gradient_accumulation_steps: 2, max_steps: 2 });
      const totals: number[] = [];
      const checkpoints: (Uint8Array | undefined)[] = [];
      const reports: PlanReport[] = [];
      const kept = await model.plan({ examples, adapter, recipe });
      const least = await model.plan({ examples, adapter, recipe, memoryBudget: 1 });
      expect(kept.recomputedBlocks).toBe(0);
      expect(least.recomputedBlocks).toBe(layers);
      expect(least.totalBytes, note).toBeLessThan(kept.totalBytes);
      expect(least.activationBytes).toBeLessThan(kept.activationBytes);
      // A budget between the two takes as few blocks as fit it.
      const middle = await model.plan({ examples, adapter, recipe, memoryBudget: kept.totalBytes - 1 });
      expect(middle.recomputedBlocks).toBeGreaterThan(0);
      expect(middle.recomputedBlocks).toBeLessThanOrEqual(layers);
      expect(middle.totalBytes).toBeLessThan(kept.totalBytes);
      for (const memoryBudget of [kept.totalBytes, middle.totalBytes, 1]) {
        const run = await trained(model, { examples, adapter, recipe, memoryBudget }, (event) => {
          if (event.type !== 'ready') return;
          reports.push(event.plan);
          totals.push(event.measuredBytes);
        });
        expect(run.error).toBeUndefined();
        checkpoints.push(run.checkpoint);
      }
      expect(reports.map(({ totalBytes }) => totalBytes)).toEqual(totals);
      expect(totals).toEqual([kept.totalBytes, middle.totalBytes, least.totalBytes]);
      expect(checkpoints[1], note).toEqual(checkpoints[0]);
      expect(checkpoints[2], note).toEqual(checkpoints[0]);
    }),
  );

  seeded('the same seed twice gives the same bits, on another device too; another seed does not', ({ seed, note }) =>
    withDeep(seed, async (model) => {
      const examples = randomExamples(seed);
      const recipe = quickRecipe({ shuffle: true, max_steps: 2 });
      const run = (on: VoiceModel, fields = {}) =>
        trained(on, { examples, adapter: DROPOUT, recipe: { ...recipe, ...fields } });
      const first = await run(model);
      const second = await run(model);
      expect(second.checkpoint, note).toEqual(first.checkpoint);
      const other = await run(model, { seed: 1 });
      expect(other.losses).not.toEqual(first.losses);
      // On a card's family every kernel would be compiled anew for this.
      if (!isCpu) return;
      const otherDevice = await ownDevice(family);
      try {
        const elsewhere = await run(await Voice.load(otherDevice, tinyFolder({ seed, config: DEEP })));
        expect(elsewhere.checkpoint, note).toEqual(first.checkpoint);
      } finally {
        otherDevice.destroy();
      }
    }),
  );

  seeded('however a step is cut into submits, the bits are the same', ({ seed, note }) =>
    withDeep(seed, async (model, device) => {
      const options = { examples: randomExamples(seed), recipe: quickRecipe({ max_steps: 4 }) };
      const submit = vi.spyOn(device.gpu.queue, 'submit');
      // A run is cut by how long the ones before it took. On a clock that stands still they took no time, however busy the machine is:
      // what is cut then is cut by the estimate that every device begins with.
      const clock = vi.spyOn(performance, 'now').mockReturnValue(0);
      const whole = await trained(model, options);
      expect(whole.error).toBeUndefined();
      const few = submit.mock.calls.length;
      // A clock on which every run takes hours: each dispatch is then worth a submit of its own.
      let hours = 0;
      clock.mockImplementation(() => (hours += 3.6e6));
      submit.mockClear();
      const cut = await trained(model, options);
      expect(cut.error).toBeUndefined();
      expect(submit.mock.calls.length).toBeGreaterThan(10 * few);
      expect(cut.checkpoint, note).toEqual(whole.checkpoint);
      expect(cut.losses).toEqual(whole.losses);
    }),
  );
});
