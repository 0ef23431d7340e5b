import type { RandomStream } from '../../src/common/random.ts';
import type { Process, SamplerRequest } from '../../src/models/schedulers/process.ts';
import type { Sampler } from '../../src/models/schedulers/sampler.ts';

/** σ' = s σ / (1 + (s - 1) σ) */
const shifted = (sigma: number, shift: number): number => (shift * sigma) / (1 + (shift - 1) * sigma);

/**
 * Flow matching over continuous σ from 0 to 1: x = (1 - σ) sample + σ noise, target noise - sample; u logit-normal, the loss
 * weighed by 2 / (π (1 - 2σ + 2σ²)), sampled by Euler's steps. Another process beside DDPM, for tests.
 */
export class FlowProcess implements Process {
  readonly predictionType = 'flow_prediction';
  readonly samplers = ['FlowMatchEulerDiscreteScheduler'];
  readonly usualSampler = 'FlowMatchEulerDiscreteScheduler';
  readonly shift: number;

  constructor(shift: number) {
    this.shift = shift;
  }

  drawTimestep(random: RandomStream): number {
    return this.timestepAt(1 / (1 + Math.exp(-random.normal())));
  }

  timestepAt(share: number): number {
    return shifted(1 - share, this.shift);
  }

  requireTimesteps(timesteps: readonly number[], file: string): void {
    if (timesteps.some((sigma) => !(sigma >= 0 && sigma <= 1))) throw new Error(`${file}: σ from 0 to 1`);
  }

  addNoise(sample: ArrayLike<number>, noise: ArrayLike<number>, sigma: number): Float32Array<ArrayBuffer> {
    return Float32Array.from(sample, (value, i) => (1 - sigma) * value + sigma * noise[i]!);
  }

  target(sample: ArrayLike<number>, noise: ArrayLike<number>): Float32Array<ArrayBuffer> {
    return Float32Array.from(noise, (value, i) => value - sample[i]!);
  }

  weight(sigma: number): number {
    return 2 / (Math.PI * (1 - 2 * sigma + 2 * sigma ** 2));
  }

  sampler({ steps, positions }: SamplerRequest): Sampler {
    // The shift bends with the sample's size, as dynamic shifts do.
    const shift = this.shift + positions / 100;
    const sigmas = Array.from({ length: steps }, (_, i) => shifted(1 - i / steps, shift));
    return {
      timesteps: sigmas,
      initNoiseSigma: 1,
      needsNoise: false,
      scaleModelInput: (sample) => Float32Array.from(sample),
      step: (output, i, sample) => sample.map((value, at) => value + ((sigmas[i + 1] ?? 0) - sigmas[i]!) * output[at]!),
    };
  }
}
