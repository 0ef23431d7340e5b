import type { NoiseSchedule } from './noise-schedule.ts';
import type { Sampler, SamplerContext } from './sampler.ts';
import {
  TIMESTEP_SPACINGS,
  interpolate,
  karrasSigmas,
  linspace,
  sigmaToTimestep,
  spacedTimesteps,
} from './timesteps.ts';

/** σ of every timestep of training; with a zero terminal SNR the last is finite all the same, as in diffusers. */
export function trainingSigmas({ alphasCumprod, zeroTerminalSnr }: NoiseSchedule): Float64Array {
  return alphasCumprod.map((alpha, t) => {
    const kept = zeroTerminalSnr && t === alphasCumprod.length - 1 ? 2 ** -24 : alpha;
    return Math.sqrt((1 - kept) / kept);
  });
}

/** What the model says at noise level sigma, as the clear sample it stands for; x = x_0 + σ ε. */
function clearSample(schedule: NoiseSchedule, sigma: number): (x: number, said: number) => number {
  if (schedule.predictionType === 'epsilon') return (x, said) => x - sigma * said;
  const square = sigma * sigma + 1;
  return (x, said) => x / square - (sigma / Math.sqrt(square)) * said;
}

function leastAndMost({ config }: SamplerContext, sigmas: readonly number[]): [number, number] {
  const least = config.has('sigma_min') ? config.number('sigma_min', 0) : sigmas.at(-1)!;
  const most = config.has('sigma_max') ? config.number('sigma_max', 0) : sigmas[0]!;
  return [least, most];
}

function scaled(sigmas: readonly number[]): Sampler['scaleModelInput'] {
  return (sample, i) => {
    const divisor = Math.sqrt(sigmas[i]! ** 2 + 1);
    return Float32Array.from(sample, (x) => x / divisor);
  };
}

function firstSigma(spacing: string, sigmas: readonly number[]): number {
  const most = Math.max(...sigmas);
  return spacing === 'leading' ? Math.sqrt(most * most + 1) : most;
}

/** Euler's method over σ (Karras et al., arXiv:2206.00364, algorithm 2 without churn). */
export function eulerSampler(context: SamplerContext): Sampler {
  const { config, schedule, steps, karras } = context;
  config.expect({ use_exponential_sigmas: false, use_beta_sigmas: false, timestep_type: 'discrete' });
  const spacing = config.choice('timestep_spacing', TIMESTEP_SPACINGS, 'linspace');
  const trained = trainingSigmas(schedule);
  let timesteps = spacedTimesteps(config, { spacing, steps, total: schedule.timesteps, whole: false });
  let sigmas =
    config.choice('interpolation_type', ['linear', 'log_linear'], 'linear') === 'linear'
      ? timesteps.map((t) => interpolate(trained, t))
      : linspace(Math.log(trained.at(-1)!), Math.log(trained[0]!), steps + 1).map(Math.exp);
  if (karras) {
    const [least, most] = leastAndMost(context, sigmas);
    sigmas = karrasSigmas(most, least, steps);
    timesteps = sigmas.map((sigma) => Math.fround(sigmaToTimestep(sigma, trained)));
  }
  sigmas.push(config.choice('final_sigmas_type', ['zero', 'sigma_min'], 'zero') === 'zero' ? 0 : trained[0]!);
  return {
    timesteps,
    initNoiseSigma: firstSigma(spacing, sigmas),
    needsNoise: false,
    scaleModelInput: scaled(sigmas),
    step(output, i, sample) {
      const sigma = sigmas[i]!;
      const clear = clearSample(schedule, sigma);
      const change = (sigmas[i + 1]! - sigma) / sigma;
      return sample.map((x, at) => x + (x - clear(x, output[at]!)) * change);
    },
  };
}

/** Euler's method that goes further down in σ than asked and comes back up with fresh noise. */
export function eulerAncestralSampler({ config, schedule, steps }: SamplerContext): Sampler {
  const spacing = config.choice('timestep_spacing', TIMESTEP_SPACINGS, 'linspace');
  const trained = trainingSigmas(schedule);
  const timesteps = spacedTimesteps(config, { spacing, steps, total: schedule.timesteps, whole: false });
  const sigmas = [...timesteps.map((t) => interpolate(trained, t)), 0];
  return {
    timesteps,
    initNoiseSigma: firstSigma(spacing, sigmas),
    needsNoise: true,
    scaleModelInput: scaled(sigmas),
    step(output, i, sample, noise) {
      if (!noise) throw new Error('an ancestral step needs noise');
      const [from, to] = [sigmas[i]!, sigmas[i + 1]!];
      const up = Math.sqrt((to ** 2 * (from ** 2 - to ** 2)) / from ** 2);
      const down = Math.sqrt(to ** 2 - up ** 2);
      const clear = clearSample(schedule, from);
      return sample.map((x, at) => x + ((x - clear(x, output[at]!)) / from) * (down - from) + noise[at]! * up);
    },
  };
}
