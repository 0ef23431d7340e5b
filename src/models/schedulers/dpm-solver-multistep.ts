import { trainingSigmas } from './euler.ts';
import type { Sampler, SamplerContext } from './sampler.ts';
import {
  TIMESTEP_SPACINGS,
  interpolate,
  karrasSigmas,
  roundHalfEven,
  sigmaToTimestep,
  spacedTimesteps,
} from './timesteps.ts';

/** At noise level σ: x = α x_0 + (σ α) ε with α = 1 / √(σ² + 1), and λ = log of signal over noise. */
function level(sigma: number): { alpha: number; sigma: number; lambda: number } {
  const alpha = 1 / Math.sqrt(sigma * sigma + 1);
  return { alpha, sigma: sigma * alpha, lambda: -Math.log(sigma) };
}

/** Names of other solvers' settings that diffusers reads as its own. */
const SAME_ALGORITHM = ['dpmsolver++', 'deis'] as const;
const SAME_SOLVER = ['midpoint', 'heun', 'logrho', 'bh1', 'bh2'] as const;

/** Timesteps that lambda_min_clipped leaves, counted from the clear end. */
function unclipped(context: SamplerContext, trained: Float64Array): number {
  const { config } = context;
  if (!config.has('lambda_min_clipped')) return trained.length;
  const least = config.number('lambda_min_clipped', 0);
  return trained.filter((sigma) => level(sigma).lambda >= least).length;
}

/** DPM-Solver++ of second order over two steps, “2M” (Lu et al., arXiv:2211.01095, algorithm 2), or of first order. */
export function dpmSolverSampler(context: SamplerContext): Sampler {
  const { config, schedule, steps, karras } = context;
  config.expect({
    use_exponential_sigmas: false,
    use_beta_sigmas: false,
    use_lu_lambdas: false,
    use_flow_sigmas: false,
    use_dynamic_shifting: false,
    thresholding: false,
  });
  config.choice('algorithm_type', SAME_ALGORITHM, 'dpmsolver++');
  const order = config.size('solver_order', 2);
  if (order > 2) throw config.wrong('solver_order', 'supported are 1 and 2');
  if (['learned', 'learned_range'].includes(config.values['variance_type'] as string))
    throw config.wrong('variance_type', 'models that predict their variance are not supported');
  const heun = config.choice('solver_type', SAME_SOLVER, 'midpoint') === 'heun';
  const spacing = config.choice('timestep_spacing', TIMESTEP_SPACINGS, 'linspace');
  const trained = trainingSigmas(schedule);
  const endsClear = config.choice('final_sigmas_type', ['zero', 'sigma_min'], 'zero') === 'zero';
  const total = schedule.timesteps;
  let timesteps: number[];
  let sigmas: number[];
  if (karras) {
    sigmas = karrasSigmas(trained.at(-1)!, trained[0]!, steps);
    const cosine = config.values['beta_schedule'] === 'squaredcos_cap_v2';
    timesteps = sigmas.map((sigma) => (cosine ? Math.floor : roundHalfEven)(sigmaToTimestep(sigma, trained)));
  } else {
    const dropLast = { total: unclipped(context, trained) };
    timesteps = spacedTimesteps(config, { spacing, steps, total, dropLast, whole: true });
    sigmas = timesteps.map((t) => interpolate(trained, t));
  }
  sigmas.push(endsClear ? 0 : trained[0]!);
  const count = timesteps.length;
  const eulerAtEnd =
    endsClear || config.flag('euler_at_final', false) || (config.flag('lower_order_final', true) && count < 15);

  /** What the model said at the step before, as a clear sample. */
  let before: Float64Array | undefined;
  return {
    timesteps,
    initNoiseSigma: 1,
    needsNoise: false,
    scaleModelInput: (sample) => Float32Array.from(sample),
    step(output, i, sample) {
      const [from, to] = [level(sigmas[i]!), level(sigmas[i + 1]!)];
      const epsilon = schedule.predictionType === 'epsilon';
      const clear = sample.map((x, at) =>
        epsilon ? (x - from.sigma * output[at]!) / from.alpha : from.alpha * x - from.sigma * output[at]!,
      );
      const previous = i > 0 && order === 2 && !(i === count - 1 && eulerAtEnd) ? before : undefined;
      before = clear;
      const h = to.lambda - from.lambda;
      const keep = to.sigma / from.sigma;
      // -α (e^-h - 1)
      const add = -to.alpha * Math.expm1(-h);
      if (!previous) return sample.map((x, at) => keep * x + add * clear[at]!);
      const ratio = h / (from.lambda - level(sigmas[i - 1]!).lambda);
      const slope = heun ? to.alpha * (Math.expm1(-h) / h + 1) : 0.5 * add;
      return sample.map((x, at) => keep * x + add * clear[at]! + slope * ratio * (clear[at]! - previous[at]!));
    },
  };
}
