import { describe, expect, test } from 'vitest';
import { DdpmProcess, snrWeight } from '../../../src/models/schedulers/ddpm.ts';
import { NoiseSchedule } from '../../../src/models/schedulers/noise-schedule.ts';
import { UnetDenoiser } from '../../../src/models/stable-diffusion/unet-denoiser.ts';
import { parseUnetConfig } from '../../../src/models/stable-diffusion/unet-2d-condition.ts';
import { fromRows, toRows } from '../../../src/models/layers/feature-rows.ts';
import type { BatchContext, EncodedPrompt } from '../../../src/tasks/denoising/batch.ts';
import { makeBatch, programName } from '../../../src/tasks/denoising/batch.ts';
import type { Example, Examples } from '../../../src/tasks/denoising/run-data.ts';
import { batchesPerEpoch, exampleRunData } from '../../../src/tasks/denoising/run-data.ts';
import { parseRecipe } from '../../../src/training/recipe.ts';

const config = parseUnetConfig({
  block_out_channels: [8, 16],
  down_block_types: ['CrossAttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D'],
  cross_attention_dim: 4,
  attention_head_dim: 2,
  norm_num_groups: 4,
});
const schedulerConfig = { beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 };
const schedule = NoiseSchedule.fromConfig(schedulerConfig);
const context: BatchContext = { denoiser: new UnetDenoiser(config), process: new DdpmProcess(schedulerConfig) };

const text = (value: number): EncodedPrompt => ({
  conditions: { encoder_hidden_states: new Float32Array(8).fill(value) },
  tokens: [],
});

const shapeOf = ({ height, width }: { height: number; width: number }) => ({
  sample: [4, height, width],
  lengths: { encoder_hidden_states: 2 },
});

function example(value: number, size = { height: 4, width: 4 }, extra: Partial<Example> = {}): Example {
  const count = 4 * size.height * size.width;
  const latents = { mean: new Float32Array(count).fill(value), deviation: new Float32Array(count) };
  return { shape: shapeOf(size), views: [{ latents }], prompts: [text(value)], weight: 1, repeats: 1, ...extra };
}

const examplesOf = (training: Example[], rest: Partial<Examples> = {}): Examples => ({
  training,
  priors: [],
  heldOut: [],
  empty: text(0),
  ...rest,
});

const recipeOf = (fields: object = {}) =>
  parseRecipe({ caption_dropout_rate: 0, snr_gamma: 0, seed: 7, ...fields }, 'look');

const inputs = (batch: { inputs: Readonly<Record<string, ArrayLike<number>>> }, name: string): number[] =>
  Array.from(batch.inputs[name]!);

test('rows of a feature map and channels of a picture are two views of the same numbers', () => {
  const values = Float32Array.from({ length: 2 * 3 * 4 }, (_, i) => i);
  const rows = toRows(values, 3, 4);
  // Image 1, pixel 2, channel 1.
  expect(rows[(4 + 2) * 3 + 1]).toBe(values[(3 + 1) * 4 + 2]);
  expect(fromRows(rows, 3, 4)).toEqual(values);
});

describe('the weight of a timestep', () => {
  test('is min-SNR as its paper has it, for both kinds of prediction', () => {
    const v = NoiseSchedule.fromConfig({ ...schedulerConfig, prediction_type: 'v_prediction' });
    for (const timestep of [0, 10, 400, 999]) {
      const alpha = schedule.alphasCumprod[timestep]!;
      const snr = alpha / (1 - alpha);
      expect(snrWeight(schedule, timestep, 5)).toBeCloseTo(Math.min(snr, 5) / snr, 12);
      expect(snrWeight(v, timestep, 5)).toBeCloseTo(Math.min(snr, 5) / (snr + 1), 12);
      expect(snrWeight(schedule, timestep, 0)).toBe(1);
    }
    expect(snrWeight(schedule, 0, 5)).toBeLessThan(0.01);
    expect(snrWeight(schedule, 999, 5)).toBe(1);
  });

  test('of pure noise is finite', () => {
    const zero = NoiseSchedule.fromConfig({ ...schedulerConfig, rescale_betas_zero_snr: true });
    expect(zero.snr(999)).toBeCloseTo(0, 12);
    expect(Number.isFinite(snrWeight(zero, 999, 5))).toBe(true);
  });
});

test('a batch is noisy latents, the noise to find, and a weight for each latent pixel', () => {
  const square = shapeOf({ height: 4, width: 4 });
  const noise = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
  const latents = new Float32Array(64).fill(2);
  const mask = Float32Array.from({ length: 16 }, (_, i) => (i < 8 ? 1 : 0));
  const rows = [
    { latents, noise, timestep: 300, prompt: text(1), weight: 1, mask },
    { latents, noise, timestep: 10, prompt: text(2), weight: 0.5 },
  ];
  const batch = makeBatch(context, rows, square, { snr_gamma: 5 });
  expect(batch.program).toBe(programName(square));
  const alpha = schedule.alphasCumprod[300]!;
  const sample = fromRows(inputs(batch, 'sample'), 4, 16);
  expect(sample[5]).toBeCloseTo(Math.sqrt(alpha) * 2 + Math.sqrt(1 - alpha) * noise[5]!, 6);
  expect(fromRows(inputs(batch, 'target'), 4, 16).slice(0, 64)).toEqual(noise);
  const weights = inputs(batch, 'weight');
  const each = 1 / (2 * 4 * 16);
  expect(weights[0]).toBeCloseTo(each * snrWeight(schedule, 300, 5), 8);
  expect(weights.slice(8, 16)).toEqual(new Array(8).fill(0));
  expect(weights[16]).toBeCloseTo(0.5 * each * snrWeight(schedule, 10, 5), 8);
  expect(inputs(batch, 'context')).toEqual([...new Array(8).fill(1), ...new Array(8).fill(2)]);
});

describe('a run over pictures', () => {
  const wide = { height: 2, width: 8 };
  const training = [1, 2, 3].map((value) => example(value)).concat([example(4, wide), example(5, wide)]);
  // With no deviation the latents are the mean, so the text says which example a row is.
  const seenIn = (batch: { inputs: Readonly<Record<string, ArrayLike<number>>> }): number[] => {
    const states = inputs(batch, 'context');
    return states.filter((_, i) => i % 8 === 0);
  };

  test('sees every picture as often as it repeats, each batch of one size', () => {
    const examples = examplesOf([...training.slice(0, 4), example(5, wide, { repeats: 3 })]);
    const recipe = recipeOf();
    const data = exampleRunData(examples, { context, recipe });
    expect(batchesPerEpoch(examples, recipe)).toBe(7);
    for (const epoch of [0, 1]) {
      const seen = Array.from({ length: 7 }, (_, i) => seenIn(data.batches(epoch * 7 + i)[0]!)[0]!);
      expect(seen.sort()).toEqual([1, 2, 3, 4, 5, 5, 5]);
    }
  });

  test('fills a last batch with others of its size', () => {
    const recipe = recipeOf({ per_device_train_batch_size: 2 });
    const data = exampleRunData(examplesOf(training), { context, recipe });
    const perEpoch = batchesPerEpoch(examplesOf(training), recipe);
    expect(perEpoch).toBe(3);
    for (let i = 0; i < 3; i++) {
      const [batch] = data.batches(i);
      const seen = seenIn(batch!);
      expect(seen).toHaveLength(2);
      expect(new Set(seen.map((value) => value > 3)).size).toBe(1);
      expect(batch!.program).toBe(programName(shapeOf(seen[0]! > 3 ? wide : { height: 4, width: 4 })));
    }
  });

  test('draws the same for a step whenever it is asked, and something else for another seed', () => {
    const settings = { context, recipe: recipeOf({ gradient_accumulation_steps: 2, noise_offset: 0.1 }) };
    const examples = examplesOf(training);
    const [a, b] = [exampleRunData(examples, settings), exampleRunData(examples, settings)];
    // Another order of asking, as after a reload.
    b.batches(9);
    expect(b.batches(3)).toEqual(a.batches(3));
    expect(a.batches(3)).not.toEqual(a.batches(4));
    const other = { context, recipe: recipeOf({ gradient_accumulation_steps: 2, noise_offset: 0.1, seed: 8 }) };
    expect(exampleRunData(examples, other).batches(3)).not.toEqual(a.batches(3));
  });

  test('leaves captions out at their rate', () => {
    const always = exampleRunData(examplesOf(training), { context, recipe: recipeOf({ caption_dropout_rate: 1 }) });
    expect(seenIn(always.batches(0)[0]!)).toEqual([0]);
    const half = exampleRunData(examplesOf(training), { context, recipe: recipeOf({ caption_dropout_rate: 0.5 }) });
    const silent = Array.from({ length: 400 }, (_, i) => seenIn(half.batches(i)[0]!)[0]).filter((v) => v === 0).length;
    expect(silent).toBeGreaterThan(160);
    expect(silent).toBeLessThan(240);
  });

  test('shows as many class pictures as others, at their weight', () => {
    const priors = [20, 21].map((value) => example(value, { height: 4, width: 4 }, { weight: 0.25 }));
    const examples = examplesOf(training.slice(0, 3), { priors });
    const data = exampleRunData(examples, { context, recipe: recipeOf() });
    const batches = Array.from({ length: 6 }, (_, i) => data.batches(i)[0]!);
    const ordinary = batches.filter((batch) => seenIn(batch)[0]! >= 20);
    expect(ordinary).toHaveLength(3);
    expect(inputs(ordinary[0]!, 'weight')[0]).toBeCloseTo(0.25 / 64, 8);
  });

  test('measures held-out pictures with the same noise at the same timesteps each time', () => {
    const settings = { context, recipe: recipeOf({ per_device_train_batch_size: 3 }) };
    const examples = examplesOf(training, { heldOut: [example(9)] });
    const { heldOut } = exampleRunData(examples, settings);
    expect(heldOut).toHaveLength(2);
    expect(heldOut.flatMap(seenIn)).toEqual(new Array(6).fill(9));
    expect(exampleRunData(examples, settings).heldOut).toEqual(heldOut);
  });
});
