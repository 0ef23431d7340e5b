import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { makeBatch, programName } from '../../../src/tasks/denoising/batch.ts';
import { exampleRunData } from '../../../src/tasks/denoising/run-data.ts';
import { parseRecipe } from '../../../src/training/recipe.ts';
import { FlowProcess } from '../../support/flow-process.ts';
import { CHANNELS, STYLE, TinyDenoiser } from '../../support/tiny-denoiser.ts';

const FRAMES = 4;
const shape = { sample: [CHANNELS, FRAMES], lengths: {} };
const context = { denoiser: new TinyDenoiser(), process: new FlowProcess(1) };
const count = CHANNELS * FRAMES;
const values = (from: number): Float32Array<ArrayBuffer> => Float32Array.from({ length: count }, (_, i) => from + i);
const prompt = { conditions: { style: new Float32Array(STYLE).fill(3) }, tokens: [] };

test('a batch of sounds under flow matching is what lies between sample and noise, and the way from one to the other', () => {
  const mask = Float32Array.from([1, 0, 0.5, 1]);
  const rows = [
    { latents: values(0), noise: values(100), timestep: 0.25, prompt, weight: 1, mask },
    { latents: values(0), noise: values(60), timestep: 1, prompt, weight: 0.5 },
  ];
  const { program, inputs } = makeBatch(context, rows, shape, { snr_gamma: 5 });
  expect(program).toBe(programName(shape));
  // Channels of a frame lie together: frame 1 is numbers 1, 5 and 9 of a sample.
  expect([...inputs['sample']!.slice(3, 6)]).toEqual([1, 5, 9].map((value) => value + 25));
  expect([...inputs['target']!.slice(0, count)]).toEqual(new Array(count).fill(100));
  expect([...inputs['target']!.slice(count)]).toEqual(new Array(count).fill(60));
  expect([...inputs['sample']!.slice(count, count + 3)]).toEqual([60, 64, 68]);
  const each = (sigma: number) => context.process.weight(sigma) / (2 * count);
  inputs['weight']!.forEach((weight, i) => {
    const expected = i < FRAMES ? each(0.25) * mask[i]! : 0.5 * each(1);
    expect(Math.abs(weight - expected)).toBeLessThanOrEqual(2 ** -24 * expected);
  });
  expect([...inputs['style']!]).toEqual(new Array(2 * STYLE).fill(3));
});

test('a noise offset is one number for all frames of a channel', () => {
  const example = { shape, views: [{ latents: { mean: values(0) } }], prompts: [prompt], weight: 1, repeats: 1 };
  const examples = { training: [example], priors: [], heldOut: [], empty: prompt };
  const noiseOf = (noise_offset: number): number[] => {
    const recipe = parseRecipe({ seed: 4, caption_dropout_rate: 0, noise_offset }, 'look');
    const [batch] = exampleRunData(examples, { context, recipe }).batches(0);
    // The target is noise - sample, and without deviations the sample is the mean.
    const target = context.denoiser.fromRows(batch!.inputs['target']!, shape.sample);
    return Array.from(target, (value, i) => value + values(0)[i]!);
  };
  const [plain, moved] = [noiseOf(0), noiseOf(0.5)];
  const offsets = moved.map((value, i) => value - plain[i]!);
  for (let c = 0; c < CHANNELS; c++) {
    const [first, ...others] = offsets.slice(c * FRAMES, (c + 1) * FRAMES);
    expect(Math.abs(first!)).toBeGreaterThan(1e-3);
    for (const other of others) expect(other).toBeCloseTo(first!, 5);
  }
  expect(Math.abs(offsets[0]! - offsets[FRAMES]!)).toBeGreaterThan(1e-3);
});

/** Every file that a file imports, for its types too, and what those import. */
function reached(path: string, seen = new Set<string>()): Set<string> {
  if (seen.has(path)) return seen;
  seen.add(path);
  for (const [, from] of readFileSync(path, 'utf8').matchAll(/from '(\.[^']+\.ts)'/g))
    reached(resolve(dirname(path), from!), seen);
  return seen;
}

test('the training of denoisers knows no picture, no UNet, no CLIP', () => {
  const src = resolve(import.meta.dirname, '../../../src');
  const files = ['batch', 'denoise', 'graphs', 'plan', 'run-data'].map((name) =>
    join(src, `tasks/denoising/${name}.ts`),
  );
  const all = new Set(files.flatMap((file) => [...reached(file)]));
  expect(all.has(join(src, 'models/diffusion/denoiser.ts'))).toBe(true);
  expect(all.has(join(src, 'models/schedulers/process.ts'))).toBe(true);
  const known = [...all].map((path) => path.slice(src.length + 1));
  const families =
    /^(?:models\/(?:stable-diffusion|clip|t5|musicgen|encodec|causal-lm)|datasets|tasks\/(?:look|sound|voice))\//;
  expect(known.filter((path) => families.test(path))).toEqual([]);
});
