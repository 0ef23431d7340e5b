import { UserError } from '../../common/errors.ts';
import type { ConfigReader } from '../files/config-reader.ts';

export type TimestepSpacing = 'leading' | 'trailing' | 'linspace';
export const TIMESTEP_SPACINGS: readonly TimestepSpacing[] = ['leading', 'trailing', 'linspace'];

/** Halves go to the even neighbour, as NumPy rounds. */
export function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}

/** NumPy's linspace: the end is exact. */
export function linspace(start: number, end: number, count: number): number[] {
  const step = (end - start) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i > 0 && i === count - 1 ? end : i === 0 ? start : start + i * step));
}

/** NumPy's arange(start, 0, -step), whose steps are the rounded difference of its first two numbers. */
function countdown(start: number, step: number): number[] {
  const delta = start - step - start;
  return Array.from({ length: Math.ceil(start / step) }, (_, i) => start + i * delta);
}

/** The timesteps of a sampler from noisy to clear (Lin et al., arXiv:2305.08891, table 2), as diffusers' spacings give them. */
export function spacedTimesteps(
  config: ConfigReader,
  options: {
    spacing: TimestepSpacing;
    steps: number;
    /** Timesteps of training. */
    total: number;
    /** DPM-Solver leaves out one more: it spaces `steps + 1` and drops the clearest. Its total is what lambda leaves. */
    dropLast?: { total: number };
    /** Rounded to whole timesteps; Euler's linspace keeps fractions in float32. */
    whole: boolean;
  },
): number[] {
  const { spacing, steps, total, dropLast, whole } = options;
  const last = dropLast?.total ?? total;
  const points = dropLast ? steps + 1 : steps;
  let timesteps: number[];
  if (spacing === 'linspace') {
    timesteps = linspace(0, last - 1, points)
      .map((t) => (whole ? roundHalfEven(t) : Math.fround(t)))
      .reverse();
  } else if (spacing === 'leading') {
    const ratio = Math.floor(last / points);
    const offset = config.number('steps_offset', 0);
    timesteps = Array.from({ length: points }, (_, i) => i * ratio + offset).reverse();
  } else {
    timesteps = countdown(last, total / steps).map((t) => roundHalfEven(t) - 1);
  }
  if (dropLast && spacing !== 'trailing') timesteps.pop();
  if (timesteps.some((t) => t < 0 || t > total - 1)) {
    throw new UserError(`${steps} steps are too many for this model, which knows ${total} timesteps. Choose fewer.`);
  }
  return timesteps;
}

/** Linear interpolation of values at 0, 1, 2, …; constant beyond the ends. */
export function interpolate(values: ArrayLike<number>, x: number): number {
  const low = Math.min(Math.max(Math.floor(x), 0), values.length - 1);
  const high = Math.min(low + 1, values.length - 1);
  return values[low]! + (values[high]! - values[low]!) * Math.min(Math.max(x - low, 0), 1);
}

/** Noise levels with even steps in σ^(1/7) (Karras et al., arXiv:2206.00364). */
export function karrasSigmas(most: number, least: number, count: number): number[] {
  const rho = 7;
  const [high, low] = [most ** (1 / rho), least ** (1 / rho)];
  return (count === 1 ? [0] : linspace(0, 1, count)).map((ramp) => (high + ramp * (low - high)) ** rho);
}

/** The timestep, with fraction, whose noise level is sigma: interpolated in log σ over the levels of training. */
export function sigmaToTimestep(sigma: number, trainingSigmas: ArrayLike<number>): number {
  const wanted = Math.log(Math.max(sigma, 1e-10));
  const logs = Array.from(trainingSigmas, Math.log);
  const atMost = logs.filter((log) => wanted >= log).length;
  const low = Math.min(Math.max(atMost - 1, 0), logs.length - 2);
  const weight = Math.min(Math.max((logs[low]! - wanted) / (logs[low]! - logs[low + 1]!), 0), 1);
  return (1 - weight) * low + weight * (low + 1);
}
