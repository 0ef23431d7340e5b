import { describe, expect, test } from 'vitest';
import { parseLoraConfig } from '../../../src/adapters/lora-config.ts';
import type { Device } from '../../../src/engine/device.ts';
import type { TensorData } from '../../../src/models/files/safetensors.ts';
import type { Examples } from '../../../src/tasks/voice/examples.ts';
import { padRow } from '../../../src/tasks/voice/packing.ts';
import type { TrainingEvent } from '../../../src/tasks/voice/types.ts';
import type { VoiceModel } from '../../../src/tasks/voice/model.ts';
import { decodeRunState } from '../../../src/training/checkpoint.ts';
import {
  LORA,
  familyDevice,
  quickRecipe,
  randomExamples,
  relativeError,
  tinyFolder,
  trained,
  withModel,
} from './support.ts';
import type { Trained } from './support.ts';
import { seeded, sweeping } from '../../support/seeds.ts';

const DROPOUT = parseLoraConfig({ r: 4, target_modules: 'all-linear', lora_dropout: 0.2 });

const of = <K extends TrainingEvent['type']>(run: Trained, type: K): Extract<TrainingEvent, { type: K }>[] =>
  run.events.filter((event): event is Extract<TrainingEvent, { type: K }> => event.type === type);

/** One row a step, all the same tokens. */
function examplesOf(rows: readonly (readonly number[])[], heldOut: readonly (readonly number[])[] = []): Examples {
  const length = 12;
  const make = (ids: readonly number[]) => padRow({ inputIds: ids, labels: ids }, { maxLength: length });
  return { length, training: rows.map(make), heldOut: heldOut.map(make), report: undefined, prepared: true };
}

/** How fast a loss falls, or a run goes astray, is no theorem: such tests are of a model that is always the same. */
const WRITTEN = 1;

/** A sweep takes one block in place of two. */
const SIZE = sweeping ? { num_hidden_layers: 1 } : {};

/** Each test has a model of its own, whose weights are drawn from the test's seed. */
async function withTiny(seed: number, body: (model: VoiceModel, device: Device) => Promise<void>): Promise<void> {
  const device = await familyDevice('cpu');
  await withModel(device, tinyFolder({ seed, config: SIZE }), (model) => body(model, device));
}

describe('training', () => {
  seeded(
    'a run continued from any of its checkpoints ends with the same bits as one that never stopped',
    ({ seed, note }) =>
      withTiny(seed, async (model, device) => {
        const examples = randomExamples(seed, { rows: 7, heldOut: 3 });
        const recipe = quickRecipe({
          max_steps: 6,
          gradient_accumulation_steps: 2,
          shuffle: true,
          eval_steps: 2,
          save_steps: 2,
          lr_scheduler_type: 'cosine',
          warmup_steps: 2,
          weight_decay: 0.1,
          early_stopping_patience: 5,
          load_best_model_at_end: true,
        });
        const options = { examples, recipe, adapter: DROPOUT };
        const whole = await trained(model, options);
        expect(whole.error).toBeUndefined();
        const checkpoints = of(whole, 'checkpoint');
        expect(checkpoints.map(({ step }) => step)).toEqual([2, 4, 6]);
        expect(of(whole, 'evaluation').map(({ step }) => step)).toEqual([0, 2, 4, 6]);
        for (const { step, bytes } of checkpoints.slice(0, 2)) {
          const rest = await withModel(device, tinyFolder({ seed, config: SIZE }), (fresh) =>
            trained(fresh, { ...options, resume: bytes }),
          );
          expect(rest.error).toBeUndefined();
          expect(of(rest, 'ready')[0]!.step).toBe(step);
          const timeless = (run: Trained) => of(run, 'step').map(({ seconds: _, ...event }) => event);
          expect(timeless(rest), `${note}, from step ${step}`).toEqual(timeless(whole).slice(step));
          expect(of(rest, 'evaluation'), `${note}, from step ${step}`).toEqual(
            of(whole, 'evaluation').filter((event) => event.step > step),
          );
          expect(rest.checkpoint, `${note}, from step ${step}`).toEqual(whole.checkpoint);
          expect(rest.adapter.tensors).toEqual(whole.adapter.tensors);
        }
        const over = await trained(model, { ...options, resume: checkpoints[2]!.bytes });
        expect(String(over.error)).toMatch(/already made its 6 steps/);
      }),
  );

  seeded('two halves of a batch accumulated are the batch', ({ seed, note }) =>
    withTiny(seed, async (model) => {
      const examples = randomExamples(seed, { rows: 8 });
      // With so large an epsilon AdamW's step is proportional to the gradient; with its usual one a weight whose gradient is no
      // more than rounding would move by the whole rate, either way.
      const schedule = { lr_scheduler_type: 'constant', max_steps: 4, learning_rate: 0.1, adam_epsilon: 1 } as const;
      const whole = await trained(model, {
        examples,
        recipe: quickRecipe({ ...schedule, per_device_train_batch_size: 4 }),
      });
      const halves = await trained(model, {
        examples,
        recipe: quickRecipe({ ...schedule, gradient_accumulation_steps: 2 }),
      });
      expect(of(halves, 'step').map(({ labelTokens }) => labelTokens)).toEqual(
        of(whole, 'step').map(({ labelTokens }) => labelTokens),
      );
      // The rows are the same, the sums of gradients in another order: what follows from that is some roundings of 2^-24 in sums
      // of at most 61 terms, one after the other in about thirty ops.
      halves.losses.forEach((loss, i) => expect(Math.abs(loss / whole.losses[i]! - 1), note).toBeLessThan(2e-6));
      of(halves, 'step').forEach(({ gradNorm }, i) => {
        expect(Math.abs(gradNorm / of(whole, 'step')[i]!.gradNorm - 1), note).toBeLessThan(1e-4);
      });
      for (const [name, { A, B }] of whole.adapter.tensors) {
        const other = halves.adapter.tensors.get(name)!;
        expect(relativeError(other.A, A), `${note}, ${name}`).toBeLessThan(1e-5);
        // B began at zero: it is nothing but what was learnt.
        expect(Math.hypot(...B), `${note}, ${name}`).toBeGreaterThan(0);
        expect(relativeError(other.B, B), `${note}, ${name}`).toBeLessThan(1e-4);
      }
    }),
  );

  test('the loss of rows seen again and again falls, with dropout too, and held-out losses are taken without it', () =>
    withTiny(WRITTEN, async (model) => {
      const ids = [3, 14, 15, 9, 26, 5, 35, 8, 57];
      const examples = examplesOf([ids], [ids]);
      const recipe = quickRecipe({
        max_steps: 24,
        per_device_train_batch_size: 1,
        eval_steps: 24,
        learning_rate: 2e-2,
      });
      const runs = {
        plain: await trained(model, { examples, recipe }),
        dropped: await trained(model, { examples, recipe, adapter: DROPOUT }),
      };
      for (const [name, run] of Object.entries(runs)) {
        expect(run.error).toBeUndefined();
        expect(run.losses.at(-1), name).toBeLessThan(0.5 * run.losses[0]!);
        const [before, after] = of(run, 'evaluation');
        expect(Math.abs(before!.loss / run.losses[0]! - 1), name).toBeLessThan(1e-5);
        expect(after!.loss).toBeLessThan(run.losses[0]!);
      }
      expect(runs.dropped.losses).not.toEqual(runs.plain.losses);
      // The same trained adapter under heavy dropout: its held-out loss is that without, its training loss is not.
      const heavy = { ...runs.plain.adapter, config: { ...runs.plain.adapter.config, lora_dropout: 0.6 } };
      const again = (from: Trained['adapter']) =>
        trained(model, { examples, recipe: { ...recipe, max_steps: 1 }, from });
      const [without, under] = [await again(runs.plain.adapter), await again(heavy)];
      expect(of(under, 'evaluation')[0]!.loss / of(without, 'evaluation')[0]!.loss).toBeCloseTo(1, 5);
      // Equal losses would be so to six digits.
      expect(Math.abs(under.losses[0]! / without.losses[0]! - 1)).toBeGreaterThan(1e-4);
    }));

  test('where the held-out loss rises the run stops early, and the best adapter is what remains', () =>
    withTiny(WRITTEN, async (model) => {
      // Held out: the same beginnings with other ends. What is learnt by heart is wrong there.
      const examples = examplesOf([[1, 2, 3, 4, 5, 6, 7, 8]], [[1, 2, 3, 40, 5, 60, 7, 30]]);
      const recipe = quickRecipe({
        max_steps: 60,
        per_device_train_batch_size: 1,
        lr_scheduler_type: 'constant',
        learning_rate: 2e-2,
        eval_steps: 1,
        early_stopping_patience: 3,
        load_best_model_at_end: true,
      });
      const run = await trained(model, { examples, recipe });
      expect(run.error).toBeUndefined();
      const done = of(run, 'done')[0]!;
      expect(done.reason).toBe('early-stop');
      expect(done.step).toBe(done.bestStep + 3);
      const evaluations = of(run, 'evaluation');
      const best = evaluations.reduce((a, b) => (b.loss < a.loss ? b : a));
      expect(best.step).toBe(done.bestStep);
      expect(evaluations.at(-1)!.loss).toBeGreaterThan(best.loss);
      // What remains is bit for bit what a run of so many steps would have made.
      const initial = await trained(model, {
        examples,
        recipe: {
          ...recipe,
          max_steps: Math.max(1, done.bestStep),
          early_stopping_patience: 0,
          load_best_model_at_end: false,
        },
      });
      if (done.bestStep > 0) expect(run.adapter.tensors).toEqual(initial.adapter.tensors);
      else for (const { B } of run.adapter.tensors.values()) expect(B.every((value) => value === 0)).toBe(true);
      const state = await decodeRunState(run.checkpoint!);
      expect(state.bestStep).toBe(done.bestStep);
      // Left alone, the last adapter remains.
      const last = await trained(model, {
        examples,
        recipe: { ...recipe, max_steps: done.step, load_best_model_at_end: false, early_stopping_patience: 0 },
      });
      expect(of(last, 'done')[0]).toMatchObject({ reason: 'finished', step: done.step });
      expect(last.adapter.tensors).not.toEqual(run.adapter.tensors);
    }));

  seeded('stopping keeps what was learnt, and the run can go on from there', ({ seed, note }) =>
    withTiny(seed, async (model) => {
      const examples = randomExamples(seed);
      const recipe = quickRecipe({ max_steps: 12 });
      const whole = await trained(model, { examples, recipe });
      const stop = new AbortController();
      const stopped = await trained(model, { examples, recipe, signal: stop.signal }, (event) => {
        if (event.type === 'step' && event.step === 3) stop.abort();
      });
      expect(stopped.error).toBeUndefined();
      const done = of(stopped, 'done')[0]!;
      expect(done.reason).toBe('stopped');
      expect(done.step).toBeGreaterThanOrEqual(3);
      expect(done.step).toBeLessThan(6);
      expect(of(stopped, 'step').at(-1)!.step).toBe(done.step);
      const state = await decodeRunState(stopped.checkpoint!);
      expect(state.step).toBe(done.step);
      const rest = await trained(model, { examples, recipe, resume: stopped.checkpoint! });
      expect(rest.checkpoint, note).toEqual(whole.checkpoint);
      // Ended before the first step, nothing has changed and nothing is broken.
      const never = await trained(model, { examples, recipe, signal: AbortSignal.abort() });
      expect(of(never, 'done')[0]).toMatchObject({ reason: 'stopped', step: 0 });
    }),
  );

  seeded('a pause holds the run between two steps, its checkpoint written, and changes nothing', ({ seed, note }) =>
    withTiny(seed, async (model, device) => {
      const examples = randomExamples(seed);
      const recipe = quickRecipe({ max_steps: 5 });
      const whole = await trained(model, { examples, recipe });
      let open!: () => void;
      const gate = new Promise<void>((resolve) => (open = resolve));
      let asked = 0;
      let steps = 0;
      const checkpoints: number[] = [];
      let save!: () => void;
      const saved = new Promise<void>((resolve) => (save = resolve));
      const running = trained(model, { examples, recipe, pause: () => (++asked === 3 ? gate : undefined) }, (event) => {
        steps += Number(event.type === 'step');
        if (event.type !== 'checkpoint') return;
        checkpoints.push(event.step);
        save();
      });
      await Promise.race([saved, running]);
      // Whatever went on would have had its turn many times over, and the device is through with what it was given.
      for (let turn = 0; turn < 1000; turn++) await new Promise((resolve) => setImmediate(resolve));
      await device.gpu.queue.onSubmittedWorkDone();
      expect(steps).toBe(2);
      expect(checkpoints).toEqual([2]);
      open();
      const paused = await running;
      expect(paused.checkpoint, note).toEqual(whole.checkpoint);
    }),
  );

  seeded('leaving the loop early frees what the run took and keeps the adapter', ({ seed }) =>
    withTiny(seed, async (model, device) => {
      const examples = randomExamples(seed);
      await model.useAdapter(null);
      const before = device.allocatedBytes;
      for await (const event of model.train({ examples, recipe: quickRecipe({ max_steps: 50 }), adapter: LORA })) {
        if (event.type === 'step' && event.step === 2) break;
      }
      const { tensors } = await model.currentAdapter();
      expect([...tensors.values()].some(({ B }) => B.some((value) => value !== 0))).toBe(true);
      await model.useAdapter(null);
      expect(device.allocatedBytes).toBe(before);
    }),
  );

  seeded('gradients beyond the clip are scaled to it; the norm told is the one before', ({ seed, note }) =>
    withTiny(seed, async (model) => {
      const examples = randomExamples(seed);
      const rate = 0.01;
      const schedule = { max_steps: 1, lr_scheduler_type: 'constant', learning_rate: rate, adam_epsilon: 1 } as const;
      const free = await trained(model, { examples, recipe: quickRecipe({ ...schedule, max_grad_norm: 1e6 }) });
      const norm = of(free, 'step')[0]!.gradNorm;
      const clipped = await trained(model, { examples, recipe: quickRecipe({ ...schedule, max_grad_norm: norm / 4 }) });
      expect(of(clipped, 'step')[0]!.gradNorm).toBe(norm);
      // AdamW's first step from 0 is rate · g / (|g| + epsilon): each element of B tells its g, and what a quarter of it makes.
      for (const [name, { B }] of free.adapter.tensors) {
        const expected = Array.from(B, (b) => {
          const quarter = Math.abs(b) / (rate - Math.abs(b)) / 4;
          return (Math.sign(b) * rate * quarter) / (quarter + 1);
        });
        expect(Math.hypot(...expected), `${note}, ${name}`).toBeGreaterThan(0);
        // Back and forth multiplies a relative error by (1 + |g|) / (1 + |g| / 4), at most 4. It is that of some thirty roundings,
        // and of 1 - beta2 in f32, whose last bit is 6e-5 of it, halved by the root: 2e-6 + 3e-5, fivefold.
        expect(relativeError(clipped.adapter.tensors.get(name)!.B, expected), `${note}, ${name}`).toBeLessThan(2e-4);
      }
    }),
  );
});

describe('numbers that stop being numbers', () => {
  const poison = (name: string, element: number) => (tensors: TensorData[]) =>
    tensors.map((tensor) => {
      if (tensor.name !== name) return tensor;
      const data = (tensor.data as Float32Array).slice();
      data[element] = Infinity;
      return { ...tensor, data };
    });

  async function run(
    seed: number,
    edit: (tensors: TensorData[]) => TensorData[],
    rows: number[][],
    accumulation = 1,
    steps = 6,
  ): Promise<Trained> {
    return withModel(await familyDevice('cpu'), tinyFolder({ seed, edit, config: SIZE }), (model) => {
      const recipe = quickRecipe({
        max_steps: steps,
        per_device_train_batch_size: 1,
        gradient_accumulation_steps: accumulation,
        shuffle: false,
        lr_scheduler_type: 'constant',
      });
      return trained(model, { examples: examplesOf(rows), recipe });
    });
  }

  seeded('an infinite weight ends the run at step 1 with a sentence; the adapter is as it began', async ({ seed }) => {
    const { error, events, checkpoint } = await run(seed, poison('lm_head.weight', 7), [[1, 2, 3, 4]]);
    expect(error).toMatchObject({ name: 'UserError' });
    expect(String(error)).toMatch(/stopped being a number at step 1\b.*last good state.*lower learning rate/);
    expect(events.filter(({ type }) => type === 'step')).toEqual([]);
    const state = await decodeRunState(checkpoint!);
    expect(state.step).toBe(0);
    expect(state.adapter.every(Number.isFinite)).toBe(true);
    expect(state.secondMoment.every((value) => value === 0)).toBe(true);
  });

  seeded.each([1, 2])(
    'in mid-run the step is named, and the checkpoint holds the steps before it (accumulating %i)',
    async ({ seed, note }, accumulation) => {
      // Token 60 alone is broken; from the third step on every row has it.
      const good = [1, 2, 3, 4, 5];
      const rows = [
        ...Array.from({ length: 2 * accumulation }, () => good),
        ...Array.from({ length: 12 }, () => [9, 60, 9, 9]),
      ];
      const broken = await run(seed, poison('model.embed_tokens.weight', 60 * 24 + 5), rows, accumulation);
      expect(String(broken.error)).toMatch(/at step 3\b/);
      expect(broken.losses).toHaveLength(2);
      expect(of(broken, 'checkpoint').map(({ step }) => step)).toEqual([2]);
      const state = await decodeRunState(broken.checkpoint!);
      expect([...state.adapter, ...state.firstMoment, ...state.secondMoment].every(Number.isFinite)).toBe(true);
      // The same two steps by a run that ends there.
      const short = await run(seed, (tensors) => tensors, rows, accumulation, 2);
      expect(state.adapter, note).toEqual((await decodeRunState(short.checkpoint!)).adapter);
    },
  );

  test('an absurd learning rate ends with the step’s number, after it has done its harm', async () => {
    const config = parseLoraConfig({ r: 4, lora_alpha: 1e15, target_modules: 'all-linear' });
    const { error, checkpoint, losses } = await withModel(
      await familyDevice('cpu'),
      tinyFolder({ seed: WRITTEN }),
      (model) =>
        trained(model, {
          examples: randomExamples(WRITTEN),
          adapter: config,
          recipe: quickRecipe({ max_steps: 8, learning_rate: 1, lr_scheduler_type: 'constant' }),
        }),
    );
    expect(String(error)).toMatch(/stopped being a number at step [2-4]\b/);
    expect(losses.length).toBeGreaterThan(0);
    const state = await decodeRunState(checkpoint!);
    expect(state.step).toBe(losses.length);
    expect(state.adapter.every(Number.isFinite)).toBe(true);
  });
});
