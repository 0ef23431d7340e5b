import { describe, expect, test } from 'vitest';
import { parseLoraConfig } from '../../../src/adapters/lora-config.ts';
import type { LoraTensors } from '../../../src/adapters/peft.ts';
import { resolveTargets } from '../../../src/adapters/targets.ts';
import { RandomStream } from '../../../src/common/random.ts';
import { Program } from '../../../src/engine/program.ts';
import { IDLE_STEP } from '../../../src/engine/wgsl.ts';
import { classifierFreeGuidance } from '../../../src/models/diffusion/guidance.ts';
import { AdapterSlot } from '../../../src/tasks/adapter-slot.ts';
import { denoise, denoiserShape } from '../../../src/tasks/denoising/denoise.ts';
import { conditionsGraph, predictionGraph } from '../../../src/tasks/denoising/graphs.ts';
import { planDenoising } from '../../../src/tasks/denoising/plan.ts';
import type { Example, Examples } from '../../../src/tasks/denoising/run-data.ts';
import { batchesPerEpoch, exampleRunData } from '../../../src/tasks/denoising/run-data.ts';
import type { RunEvent } from '../../../src/training/training-loop.ts';
import { TrainingLoop } from '../../../src/training/training-loop.ts';
import { parseRecipe } from '../../../src/training/recipe.ts';
import { FlowProcess } from '../../support/flow-process.ts';
import { FAMILIES, familyDevice } from '../../support/kernels.ts';
import { ErrorNorm } from '../../support/reference.ts';
import { CHANNELS, TinyBase, timeFeatures } from '../../support/tiny-denoiser.ts';
import { Adam64, gradientsOf, lossOf, predict, styleOf, wideAdapter } from '../../support/tiny-denoiser-reference.ts';
import type { Adapter64 } from '../../support/tiny-denoiser-reference.ts';

/** float32's rounding in sums of a few dozen terms, some ten operations deep, as norm over norm: about ten times what is seen. */
const FORWARD = 1.5e-6;
const GRADIENT = 6e-6;
const CHANGE = 8e-6;

const RATE = 1e-2;
const TEXT_RATE = 2e-3;
const STEPS = 4;
const ALPHA = 4;
const process = new FlowProcess(1.5);
const recipe = parseRecipe(
  {
    max_steps: STEPS,
    per_device_train_batch_size: 2,
    gradient_accumulation_steps: 1,
    learning_rate: RATE,
    text_encoder_lr: TEXT_RATE,
    lr_scheduler_type: 'constant',
    warmup_ratio: 0,
    weight_decay: 0,
    max_grad_norm: 1e6,
    noise_offset: 0.1,
    masked_loss: true,
    caption_dropout_rate: 0.25,
    eval_share: 0,
    eval_steps: 2,
    early_stopping_patience: 0,
    load_best_model_at_end: false,
    save_steps: 0,
    sample_steps: 0,
    seed: 5,
  },
  'look',
);

const normals = (name: string, count: number): Float32Array<ArrayBuffer> => {
  const random = new RandomStream(3, name);
  return Float32Array.from({ length: count }, () => random.normal());
};

/** A and B of rank 2, neither of them zero, so that every gradient is there from the first step. */
function adapterOf(base: TinyBase, isAlong: boolean) {
  const lora = parseLoraConfig({
    r: 2,
    lora_alpha: ALPHA,
    target_modules: ['proj_in', 'condition', 'mix', 'proj_out', ...(isAlong ? ['proj'] : [])],
  });
  const targets = resolveTargets(lora, base.modules);
  const tensors = new Map<string, LoraTensors>(
    targets.map(({ name, r, inFeatures, outFeatures, kernel }) => {
      const columns = inFeatures * (kernel ? kernel[0] * kernel[1] : 1);
      const A = normals(`${name} A`, r * columns).map((value) => value / Math.sqrt(columns));
      const B = normals(`${name} B`, outFeatures * r).map((value) => 0.3 * value);
      return [name, { A, B, r, inFeatures, outFeatures, ...(kernel && { kernel }) }];
    }),
  );
  return { config: lora, tensors };
}

/** Stretches of two lengths, each with a word; one is weighed by a mask, one has no spread. */
async function examplesOf(base: TinyBase): Promise<Examples> {
  const plan = base.planOf(conditionsGraph(base.graphOptions(), { rows: 1, lengths: {} }));
  await base.load('text_encoder');
  const program = await Program.build(base.device, plan, { weights: base });
  const promptOf = async (prompt: string) => {
    const tokens = await base.conditioner.tokenize(prompt);
    return { conditions: await program.run(base.conditioner.inputs([tokens]), IDLE_STEP), tokens };
  };
  const example = async (i: number, frames: number): Promise<Example> => ({
    shape: { sample: [CHANNELS, frames], lengths: {} },
    views: [
      {
        latents: {
          mean: normals(`latents ${i}`, CHANNELS * frames),
          ...(i !== 1 && { deviation: new Float32Array(CHANNELS * frames).fill(0.1) }),
        },
        ...(i === 0 && { mask: Float32Array.from({ length: frames }, (_, t) => t / frames) }),
      },
    ],
    prompts: [await promptOf('x'.repeat(i + 1))],
    weight: 1,
    repeats: 1,
  });
  const training = [await example(0, 6), await example(1, 6), await example(2, 9), await example(3, 9)];
  const examples = { training, priors: [], heldOut: [await example(4, 6)], empty: await promptOf('') };
  program.destroy();
  return examples;
}

async function* train(base: TinyBase, slot: AdapterSlot, isAlong: boolean, examples: Examples) {
  const { denoiser, device } = base;
  const start = adapterOf(base, isAlong);
  const conditioner = isAlong ? base.conditioner : undefined;
  const data = exampleRunData(examples, { context: { denoiser, process, conditioner }, recipe });
  await base.load('denoiser', 'text_encoder');
  const { layout, buffers } = await slot.activate(start, true);
  const plan = planDenoising(base, layout, recipe, {
    shapes: [6, 9].map((frames) => ({ sample: [CHANNELS, frames], lengths: {} })),
    batchesPerEpoch: batchesPerEpoch(examples, recipe),
    evaluates: true,
    others: [],
    frozenBytes: base.bytesOf(['denoiser', 'text_encoder']),
    bytesBefore: 0,
  });
  const run = new TrainingLoop<object>({
    device,
    weights: base,
    layout,
    adapter: buffers,
    plan,
    recipe,
    lora: start.config,
    data,
    awaitEachStepUntil: STEPS,
  });
  for await (const event of run.events()) yield { event, data };
}

/** What the reference expects of each step: its loss and gradients; the adapter is changed along. */
class Reference {
  readonly adapter: Adapter64;
  readonly #adam = new Adam64();

  constructor(tensors: ReadonlyMap<string, LoraTensors>) {
    this.adapter = wideAdapter(tensors, ALPHA);
  }

  step(batch: Parameters<typeof lossOf>[0]) {
    const loss = lossOf(batch, this.adapter);
    const gradients = gradientsOf(batch, this.adapter);
    this.#adam.update(this.adapter, gradients, (key) => (key.startsWith('speaker.') ? TEXT_RATE : RATE));
    return { loss, gradients };
  }
}

const flat = (tensors: ReadonlyMap<string, LoraTensors>): Map<string, Float32Array> =>
  new Map(
    [...tensors].flatMap(([name, { A, B }]) => [
      [`${name} A`, A],
      [`${name} B`, B],
    ]),
  );

async function withBase<R>(family: (typeof FAMILIES)[number], use: (base: TinyBase) => Promise<R>): Promise<R> {
  const base = new TinyBase(await familyDevice(family));
  try {
    return await use(base);
  } finally {
    base.destroy();
  }
}

describe.each(FAMILIES)('a denoiser of sounds under flow matching, %s family', (family) => {
  test.each([
    ['by itself', false],
    ['with its conditioner', true],
  ])('is trained %s as float64 says', (_, isAlong) =>
    withBase(family, async (base) => {
      const slot = new AdapterSlot(base, () => undefined);
      const start = adapterOf(base, isAlong);
      const reference = new Reference(start.tensors);
      const examples = await examplesOf(base);
      const events: RunEvent<object>['type'][] = [];
      const shapes = new Set<string>();
      for await (const { event, data } of train(base, slot, isAlong, examples)) {
        events.push(event.type);
        if (event.type === 'ready') expect(event.measuredBytes).toBeGreaterThanOrEqual(event.plan.totalBytes);
        if (event.type === 'evaluation') {
          const losses = data.heldOut.map((batch) => lossOf(batch, reference.adapter));
          const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
          expect(Math.abs(event.loss / mean - 1)).toBeLessThan(CHANGE);
        }
        if (event.type !== 'step') continue;
        const [batch] = data.batches(event.step - 1);
        shapes.add(batch!.program!);
        const { loss, gradients } = reference.step(batch!);
        expect(Math.abs(event.loss / loss - 1), `loss of step ${event.step}`).toBeLessThan(
          event.step === 1 ? FORWARD : CHANGE,
        );
        if (event.step > 1) continue;
        const got = flat(await slot.gradients());
        expect([...got.keys()].sort()).toEqual([...gradients.keys()].sort());
        for (const [key, values] of got)
          expect(new ErrorNorm().add(values, gradients.get(key)!), `gradient of ${key}`).toBeLessThan(GRADIENT);
      }
      expect(events.filter((type) => type === 'step')).toHaveLength(STEPS);
      expect(events.filter((type) => type === 'evaluation').length).toBeGreaterThan(1);
      // Both lengths had their turn.
      expect(shapes.size).toBe(2);
      const before = flat(start.tensors);
      const change = new ErrorNorm();
      for (const [key, values] of flat((await slot.current()).tensors)) {
        const [name, part] = key.split(' ') as [string, 'A' | 'B'];
        change.add(values, reference.adapter.get(name)![part], before.get(key)!);
      }
      expect(change.value).toBeLessThan(CHANGE);
      slot.drop();
    }),
  );

  test('is sampled with guidance and an adapter as float64 says', () =>
    withBase(family, async (base) => {
      const slot = new AdapterSlot(base, () => undefined);
      const start = adapterOf(base, false);
      const { buffers } = await slot.activate(start, false);
      const adapter = wideAdapter(start.tensors, ALPHA);
      const shape = { sample: [CHANNELS, 7], lengths: {} };
      await base.load('denoiser');
      const plan = base.planOf(predictionGraph(base.graphOptions(slot.hook), denoiserShape(shape, true)));
      const program = await Program.build(base.device, plan, { weights: base, adapter: buffers });
      const sampler = () =>
        process.sampler({ name: process.usualSampler, steps: 5, positions: base.denoiser.positions(shape.sample) });
      const latents = normals('start', CHANNELS * 7);
      const [positive, negative] = [1, 2].map((word) => ({ style: Float32Array.from(styleOf(word, adapter)) }));
      const guide = classifierFreeGuidance.guide(2.5, shape.sample);
      const steps: number[] = [];
      const got = await denoise(
        program,
        base.denoiser,
        sampler(),
        { latents, shape, positive: positive!, guidance: { negative: negative!, guide } },
        { onStep: (done) => steps.push(done) },
      );
      expect(steps).toEqual([1, 2, 3, 4, 5]);
      const { timesteps, step } = sampler();
      let sample: Float64Array = Float64Array.from(latents);
      timesteps.forEach((sigma, i) => {
        const frames = Array.from({ length: 7 }, (_, t) =>
          Array.from({ length: CHANNELS }, (__, c) => sample[c * 7 + t]!),
        );
        const [said, unsaid] = [positive!, negative!].map(({ style }) =>
          predict(frames, timeFeatures(sigma), Array.from(style), adapter),
        );
        const velocity = sample.map((_, at) => {
          const [t, c] = [at % 7, Math.floor(at / 7)];
          return unsaid![t]![c]! + 2.5 * (said![t]![c]! - unsaid![t]![c]!);
        });
        sample = step(velocity, i, sample);
      });
      expect(new ErrorNorm().add(got, sample)).toBeLessThan(FORWARD);
      program.destroy();
      slot.drop();
    }));
});
