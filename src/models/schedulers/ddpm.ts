import { UserError } from '../../common/errors.ts';
import type { RandomStream } from '../../common/random.ts';
import type { PredictionType } from './noise-schedule.ts';
import { NoiseSchedule } from './noise-schedule.ts';
import type { Process, ProcessSettings, SamplerRequest } from './process.ts';
import type { Sampler } from './sampler.ts';
import { SAMPLERS, createSampler } from './sampler.ts';

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

/** Denoising diffusion (Ho et al., arXiv:2006.11239) over whole timesteps, for models that say the noise or v. */
export class DdpmProcess implements Process {
  readonly schedule: NoiseSchedule;
  readonly samplers = Object.keys(SAMPLERS);
  readonly usualSampler = 'DPMSolverMultistepScheduler';
  readonly #config: unknown;

  /** @param config a diffusers scheduler's configuration, of whatever class. Throws UserError for what is not supported. */
  constructor(config: unknown) {
    this.#config = config;
    this.schedule = NoiseSchedule.fromConfig(config);
  }

  get predictionType(): PredictionType {
    return this.schedule.predictionType;
  }

  drawTimestep(random: RandomStream): number {
    return random.integer(this.schedule.timesteps);
  }

  timestepAt(share: number): number {
    return Math.floor(share * this.schedule.timesteps);
  }

  requireTimesteps(timesteps: readonly number[], file: string): void {
    const last = this.schedule.timesteps - 1;
    const outside = timesteps.find((timestep) => !Number.isInteger(timestep) || timestep < 0 || timestep > last);
    if (outside !== undefined)
      throw new UserError(`${file} holds the timestep ${outside}; whole numbers from 0 to ${last} are needed.`);
  }

  addNoise(sample: ArrayLike<number>, noise: ArrayLike<number>, timestep: number): Float32Array<ArrayBuffer> {
    return this.schedule.addNoise(sample, noise, timestep);
  }

  target(sample: ArrayLike<number>, noise: ArrayLike<number>, timestep: number): Float32Array {
    if (this.predictionType === 'v_prediction') return this.schedule.velocity(sample, noise, timestep);
    return Float32Array.from(noise);
  }

  weight(timestep: number, { snr_gamma }: ProcessSettings): number {
    return snrWeight(this.schedule, timestep, snr_gamma);
  }

  sampler({ name, steps, karras }: SamplerRequest): Sampler {
    return createSampler(name, this.#config, steps, { karras });
  }
}
