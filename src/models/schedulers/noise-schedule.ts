import { ConfigReader } from '../files/config-reader.ts';

export type PredictionType = 'epsilon' | 'v_prediction';

const FILE = 'scheduler/scheduler_config.json';

export const schedulerConfig = (json: unknown): ConfigReader => new ConfigReader(json, FILE);

/** 1 - ᾱ(t + 1/T)/ᾱ(t) of the cosine schedule (Nichol and Dhariwal, arXiv:2102.09672), at most 0.999. */
function cosineBetas(steps: number): Float64Array {
  const bar = (t: number): number => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;
  return Float64Array.from({ length: steps }, (_, i) => Math.min(1 - bar((i + 1) / steps) / bar(i / steps), 0.999));
}

function trainedBetas(config: ConfigReader): Float64Array {
  const value = config.values['trained_betas'];
  if (
    !Array.isArray(value) ||
    value.length === 0 ||
    !value.every((beta) => typeof beta === 'number' && beta >= 0 && beta <= 1)
  )
    throw config.wrong('trained_betas', 'a list of numbers from 0 to 1 is needed');
  return Float64Array.from(value as number[]);
}

/** The betas of the configuration, as diffusers' schedulers take them (all share these fields and defaults). */
function betasOf(config: ConfigReader): Float64Array {
  if (config.has('trained_betas')) return trainedBetas(config);
  const steps = config.size('num_train_timesteps', 1000);
  const [start, end] = [config.number('beta_start', 0.0001), config.number('beta_end', 0.02)];
  if (!(start > 0 && end > 0 && start < 1 && end < 1))
    throw config.wrong('beta_end', 'betas between 0 and 1 are needed');
  const line = (from: number, to: number): Float64Array =>
    Float64Array.from({ length: steps }, (_, i) => (steps === 1 ? from : from + ((to - from) * i) / (steps - 1)));
  switch (config.choice('beta_schedule', ['linear', 'scaled_linear', 'squaredcos_cap_v2'], 'linear')) {
    case 'linear':
      return line(start, end);
    case 'scaled_linear':
      return line(Math.sqrt(start), Math.sqrt(end)).map((root) => root * root);
    case 'squaredcos_cap_v2':
      return cosineBetas(steps);
  }
}

/** ᾱ such that the last timestep is pure noise (Lin et al., arXiv:2305.08891, algorithm 1). */
function zeroTerminal(alphasCumprod: Float64Array): Float64Array {
  const roots = alphasCumprod.map(Math.sqrt);
  const [first, last] = [roots[0]!, roots.at(-1)!];
  return roots.map((root) => ((root - last) * (first / (first - last))) ** 2);
}

/**
 * How noisy each timestep is (Ho et al., arXiv:2006.11239): x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε. Everything in float64 from the
 * configuration's numbers.
 */
export class NoiseSchedule {
  /** ᾱ_t for t = 0 … timesteps - 1. */
  readonly alphasCumprod: Float64Array;
  readonly predictionType: PredictionType;
  /** The last timestep is pure noise. */
  readonly zeroTerminalSnr: boolean;

  private constructor(alphasCumprod: Float64Array, predictionType: PredictionType, zeroTerminalSnr: boolean) {
    this.alphasCumprod = alphasCumprod;
    this.predictionType = predictionType;
    this.zeroTerminalSnr = zeroTerminalSnr;
  }

  /** @param json a diffusers scheduler's configuration, of whatever class. Throws UserError for what is not supported. */
  static fromConfig(json: unknown): NoiseSchedule {
    const config = schedulerConfig(json);
    const predictionType = config.choice('prediction_type', ['epsilon', 'v_prediction'], 'epsilon');
    let product = 1;
    const plain = betasOf(config).map((beta) => (product *= 1 - beta));
    const zero = config.flag('rescale_betas_zero_snr', false);
    return new NoiseSchedule(zero ? zeroTerminal(plain) : plain, predictionType, zero);
  }

  get timesteps(): number {
    return this.alphasCumprod.length;
  }

  #alpha(timestep: number): number {
    const alpha = this.alphasCumprod[timestep];
    if (alpha === undefined) throw new RangeError(`timestep ${timestep} of ${this.timesteps}`);
    return alpha;
  }

  #mix(a: ArrayLike<number>, b: ArrayLike<number>, ofA: number, ofB: number): Float32Array<ArrayBuffer> {
    return Float32Array.from(a, (value, i) => ofA * value + ofB * b[i]!);
  }

  /** x_t = √ᾱ x_0 + √(1 - ᾱ) ε */
  addNoise(latents: ArrayLike<number>, noise: ArrayLike<number>, timestep: number): Float32Array<ArrayBuffer> {
    const alpha = this.#alpha(timestep);
    return this.#mix(latents, noise, Math.sqrt(alpha), Math.sqrt(1 - alpha));
  }

  /** v = √ᾱ ε - √(1 - ᾱ) x_0 (Salimans and Ho, arXiv:2202.00512): what a v-prediction model says. */
  velocity(latents: ArrayLike<number>, noise: ArrayLike<number>, timestep: number): Float32Array<ArrayBuffer> {
    const alpha = this.#alpha(timestep);
    return this.#mix(noise, latents, Math.sqrt(alpha), -Math.sqrt(1 - alpha));
  }

  /** Signal-to-noise ratio ᾱ / (1 - ᾱ). */
  snr(timestep: number): number {
    const alpha = this.#alpha(timestep);
    return alpha / (1 - alpha);
  }
}
