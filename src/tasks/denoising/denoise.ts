import { RandomStream } from '../../common/random.ts';
import type { Program } from '../../engine/program.ts';
import { IDLE_STEP } from '../../engine/wgsl.ts';
import { concatFloats } from '../../common/floats.ts';
import type { Conditions, Denoiser, DenoiserShape, ExampleShape } from '../../models/diffusion/denoiser.ts';
import type { Guide } from '../../models/diffusion/guidance.ts';
import type { Sampler } from '../../models/schedulers/sampler.ts';

/** What is made, and what the denoiser is told at each step. */
export interface DenoiseRequest {
  /** Standard normal, of the shape's sample. */
  latents: Float32Array;
  shape: ExampleShape;
  positive: Conditions;
  /** Where guidance is wanted: what is told beside, and how the two become one. */
  guidance?: { negative: Conditions; guide: Guide } | undefined;
}

/** Shape of the program that a request runs: with guidance the negative prompt's row and the positive one's at once. */
export const denoiserShape = (shape: ExampleShape, isGuided: boolean): DenoiserShape => ({
  rows: isGuided ? 2 : 1,
  ...shape,
});

/** Standard normal latents of one sample from a seed alone. */
export function seededLatents(seed: number, count: number): Float32Array<ArrayBuffer> {
  const random = new RandomStream(seed, 'latents');
  return Float32Array.from({ length: count }, () => random.normal());
}

/**
 * From noise to a clear sample, in the sampler's steps. `program` is the denoiser's for `denoiserShape`: the negative prompt's
 * row comes first, as diffusers has them.
 * @param onStep called after each step with the number done
 */
export async function denoise(
  program: Program,
  denoiser: Denoiser,
  sampler: Sampler,
  { latents, shape, positive, guidance }: DenoiseRequest,
  options: { strength?: number; seed?: number; signal?: AbortSignal | undefined; onStep?: (done: number) => void } = {},
): Promise<Float32Array<ArrayBuffer>> {
  const conditions = guidance ? [guidance.negative, positive] : [positive];
  const whole = denoiserShape(shape, guidance !== undefined);
  const count = latents.length;
  const random = new RandomStream(options.seed ?? 0, 'sampler');
  let sample: Float64Array = Float64Array.from(latents, (value) => value * sampler.initNoiseSigma);
  for (const [i, timestep] of sampler.timesteps.entries()) {
    options.signal?.throwIfAborted();
    const seen = sampler.scaleModelInput(sample, i);
    const inputs = denoiser.inputs(whole, {
      sample: concatFloats(conditions.map(() => seen)),
      timesteps: conditions.map(() => timestep),
      conditions,
    });
    const { prediction } = await program.run(inputs, { ...IDLE_STEP, strength: options.strength ?? 1 });
    const said = denoiser.fromRows(prediction!, shape.sample);
    const guided = guidance ? guidance.guide(said.subarray(count), said.subarray(0, count)) : said;
    const noise = sampler.needsNoise ? Float64Array.from({ length: count }, () => random.normal()) : undefined;
    sample = sampler.step(guided, i, sample, noise);
    options.onStep?.(i + 1);
  }
  return Float32Array.from(sample);
}
