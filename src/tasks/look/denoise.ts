import { RandomStream } from '../../common/random.ts';
import type { Program } from '../../engine/program.ts';
import { IDLE_STEP } from '../../engine/wgsl.ts';
import { concatFloats } from '../../common/floats.ts';
import { fromRows } from '../../models/layers/feature-rows.ts';
import type { Sampler } from '../../models/schedulers/sampler.ts';
import type { UnetConfig } from '../../models/stable-diffusion/unet-2d-condition.ts';
import { unetInputs } from '../../models/stable-diffusion/unet-2d-condition.ts';
import type { LatentSize } from './batch.ts';
import type { TextState } from './text.ts';

/** What the UNet is told at each step: by the prompt, and, where guidance is wanted, by the negative prompt. */
export interface Guidance {
  positive: TextState;
  /** Left out: no guidance. */
  negative?: TextState | undefined;
  /** prediction = negative + scale · (positive - negative) (Ho and Salimans, arXiv:2207.12598). */
  scale: number;
  timeIds?: readonly number[] | undefined;
}

/** Standard normal latents of one picture, [C, h, w], from a seed alone. */
export function seededLatents(seed: number, count: number): Float32Array<ArrayBuffer> {
  const random = new RandomStream(seed, 'latents');
  return Float32Array.from({ length: count }, () => random.normal());
}

/**
 * From noise to latents, in the sampler's steps. `program` is a UNet's for the latents' size and, with a negative prompt,
 * for two pictures at once: the negative one first, as diffusers has them.
 * @param latents standard normal, [C, h, w]
 * @param onStep called after each step with the number done
 * @returns latents [C, h, w], before the decoder's scaling is undone
 */
export async function denoise(
  program: Program,
  config: UnetConfig,
  sampler: Sampler,
  { latents, size, guidance }: { latents: Float32Array; size: LatentSize; guidance: Guidance },
  options: { strength?: number; seed?: number; signal?: AbortSignal | undefined; onStep?: (done: number) => void } = {},
): Promise<Float32Array<ArrayBuffer>> {
  const { positive, negative, scale, timeIds } = guidance;
  const texts = negative ? [negative, positive] : [positive];
  const images = texts.length;
  const pixels = size.height * size.width;
  const count = config.outChannels * pixels;
  const random = new RandomStream(options.seed ?? 0, 'sampler');
  let sample: Float64Array = Float64Array.from(latents, (value) => value * sampler.initNoiseSigma);
  const shape = { images, ...size, contextLength: positive.contextLength };
  const told = {
    encoderHiddenStates: concatFloats(texts.map(({ states }) => states)),
    ...(positive.pooled && {
      textEmbeds: concatFloats(texts.map(({ pooled }) => pooled!)),
      timeIds: texts.flatMap(() => [...(timeIds ?? [])]),
    }),
  };
  for (const [i, timestep] of sampler.timesteps.entries()) {
    options.signal?.throwIfAborted();
    const seen = sampler.scaleModelInput(sample, i);
    const inputs = unetInputs(config, shape, {
      sample: concatFloats(texts.map(() => seen)),
      timesteps: texts.map(() => timestep),
      ...told,
    });
    const { prediction } = await program.run(inputs, { ...IDLE_STEP, strength: options.strength ?? 1 });
    const said = fromRows(prediction!, config.outChannels, pixels);
    const guided = negative
      ? Float64Array.from({ length: count }, (_, at) => said[at]! + scale * (said[count + at]! - said[at]!))
      : said;
    const noise = sampler.needsNoise ? Float64Array.from({ length: count }, () => random.normal()) : undefined;
    sample = sampler.step(guided, i, sample, noise);
    options.onStep?.(i + 1);
  }
  return Float32Array.from(sample);
}
