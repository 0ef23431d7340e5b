import { concatFloats } from '../../common/floats.ts';
import { clipTextInputs } from '../../models/clip/text-encoder.ts';
import { toRows } from '../../models/layers/feature-rows.ts';
import type { TextEncoder } from '../../models/stable-diffusion/checkpoint.ts';
import type { NoiseSchedule } from '../../models/schedulers/noise-schedule.ts';
import type { UnetConfig } from '../../models/stable-diffusion/unet-2d-condition.ts';
import { unetInputs } from '../../models/stable-diffusion/unet-2d-condition.ts';
import type { Batch } from '../../training/trainer.ts';
import type { TextState } from './text.ts';

/** Latent height and width of a batch. */
export interface LatentSize {
  height: number;
  width: number;
}

export const programName = ({ height, width }: LatentSize): string => `${height}x${width}`;

/** One example with everything drawn: what the UNet sees and what it should say. Arrays are [C, h, w]. */
export interface NoisyRow {
  /** Scaled latents. */
  latents: Float32Array;
  noise: Float32Array;
  timestep: number;
  text: TextState;
  /** SDXL: original height and width, crop's top and left, target height and width. */
  timeIds?: readonly number[] | undefined;
  /** [h · w], how much each latent pixel counts; 1 everywhere where it is left out. */
  mask?: Float32Array | undefined;
  /** How much the example counts: prior preservation's weight, else 1. */
  weight: number;
}

/**
 * Weight of a timestep by min-SNR (Hang et al., arXiv:2303.09556), as diffusers' train_text_to_image_lora.py takes it:
 * min(snr, γ) / snr for epsilon, / (snr + 1) for v prediction; 1 with γ = 0.
 */
export function snrWeight(schedule: NoiseSchedule, timestep: number, gamma: number): number {
  if (gamma === 0) return 1;
  const snr = schedule.snr(timestep);
  const least = Math.min(snr, gamma);
  if (schedule.predictionType === 'v_prediction') return least / (snr + 1);
  // Pure noise (zero terminal SNR): the quotient's limit.
  return snr === 0 ? 1 : least / snr;
}

/** What a batch is made for. */
export interface BatchContext {
  config: UnetConfig;
  schedule: NoiseSchedule;
  /** Text encoders that are trained along, and so are given tokens; none where the UNet is given the text's states. */
  trained: readonly TextEncoder[];
}

/**
 * Inputs of the loss graph. The loss is the mean over rows, channels and pixels of weight · mask · (prediction - target)²,
 * so that the mean over a step's batches is what diffusers' training script reports.
 */
export function makeBatch(
  { config, schedule, trained }: BatchContext,
  rows: readonly NoisyRow[],
  size: LatentSize,
  snrGamma: number,
): Batch {
  const images = rows.length;
  const channels = config.inChannels;
  const pixels = size.height * size.width;
  const noisy = rows.map(({ latents, noise, timestep }) => schedule.addNoise(latents, noise, timestep));
  const targets = rows.map(({ latents, noise, timestep }) =>
    schedule.predictionType === 'v_prediction' ? schedule.velocity(latents, noise, timestep) : noise,
  );
  const weights = new Float32Array(images * pixels);
  rows.forEach(({ timestep, mask, weight }, n) => {
    const each = (weight * snrWeight(schedule, timestep, snrGamma)) / (images * channels * pixels);
    for (let i = 0; i < pixels; i++) weights[n * pixels + i] = each * (mask?.[i] ?? 1);
  });
  const texts = rows.map(({ text }) => text);
  const { contextLength, pooled } = texts[0]!;
  const given = trained.length === 0;
  const tokens = trained.map(({ name, config: encoder }, i) =>
    clipTextInputs(
      texts.map(({ ids }) => ids[i]!),
      encoder,
      name,
    ),
  );
  const inputs = unetInputs(
    config,
    { images, ...size, contextLength },
    {
      sample: concatFloats(noisy),
      timesteps: rows.map(({ timestep }) => timestep),
      ...(given && { encoderHiddenStates: concatFloats(texts.map(({ states }) => states)) }),
      ...(given && pooled && { textEmbeds: concatFloats(texts.map((text) => text.pooled!)) }),
      timeIds: rows.flatMap(({ timeIds = [] }) => [...timeIds]),
    },
  );
  return {
    program: programName(size),
    inputs: Object.assign({}, ...tokens, {
      ...inputs,
      target: toRows(concatFloats(targets), channels, pixels),
      weight: weights,
    }) as Batch['inputs'],
    labelTokens: 1,
  };
}
