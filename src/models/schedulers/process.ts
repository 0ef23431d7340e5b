import type { RandomStream } from '../../common/random.ts';
import type { PredictionType } from './noise-schedule.ts';
import type { Sampler } from './sampler.ts';

/** What a denoiser is asked for: the noise, v, or the velocity of flow matching. */
export type Prediction = PredictionType | 'flow_prediction';

/** Fields of a recipe that say how a process draws its timesteps and weighs them. */
export interface ProcessSettings {
  /** Min-SNR's γ; 0: all timesteps weigh the same. */
  snr_gamma: number;
}

export interface SamplerRequest {
  /** diffusers' class name. */
  name: string;
  steps: number;
  /** Karras' noise levels, where that is asked for or not; else as the configuration says. */
  karras?: boolean | undefined;
  /** Positions of the sample: some schedules bend with its size. */
  positions: number;
}

/**
 * How a sample becomes noise, and what a denoiser learns of it. Arrays are samples of any shape. Timesteps are counted as the
 * process counts them (0 … 999, or parts of 1) and are what the denoiser is told.
 */
export interface Process {
  readonly predictionType: Prediction;
  /** diffusers' names of the samplers that it may be sampled with, the plainest first, and of the one that is usual here. */
  readonly samplers: readonly string[];
  readonly usualSampler: string;

  /** A timestep to learn at. */
  drawTimestep(random: RandomStream, settings: ProcessSettings): number;
  /** The timestep that a share of all lies before, 0 ≤ share < 1. */
  timestepAt(share: number, settings: ProcessSettings): number;
  /** Throws UserError, naming the file, for a timestep that training never sees. */
  requireTimesteps(timesteps: readonly number[], file: string): void;
  /** The noisy sample. */
  addNoise(sample: ArrayLike<number>, noise: ArrayLike<number>, timestep: number): Float32Array<ArrayBuffer>;
  /** What the denoiser should say of it. */
  target(sample: ArrayLike<number>, noise: ArrayLike<number>, timestep: number): Float32Array;
  /** How much the timestep's error counts. */
  weight(timestep: number, settings: ProcessSettings): number;
  /** Throws UserError for an unknown name, for settings that are not supported, and for too many steps. */
  sampler(request: SamplerRequest): Sampler;
}
