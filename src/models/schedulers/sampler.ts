import { UserError } from '../../common/errors.ts';
import type { ConfigReader } from '../files/config-reader.ts';
import { ddimSampler } from './ddim.ts';
import { dpmSolverSampler } from './dpm-solver-multistep.ts';
import { eulerAncestralSampler, eulerSampler } from './euler.ts';
import { NoiseSchedule, schedulerConfig } from './noise-schedule.ts';

/** One way from noise to a picture. Samples are any-shaped flat arrays in float64; model outputs are read in the same order. */
export interface Sampler {
  /** What the model is told at each step, from noisy to clear. */
  readonly timesteps: readonly number[];
  /** What standard normal noise is multiplied by to begin. */
  readonly initNoiseSigma: number;
  /** Each step wants fresh standard normal noise. */
  readonly needsNoise: boolean;
  /** What the model is shown at step i. */
  scaleModelInput(sample: Float64Array, i: number): Float32Array<ArrayBuffer>;
  /** The sample after step i. Steps are taken in order: a multistep sampler remembers what the model said before. */
  step(output: ArrayLike<number>, i: number, sample: Float64Array, noise?: ArrayLike<number>): Float64Array;
}

export const SAMPLERS = {
  DDIMScheduler: ddimSampler,
  EulerDiscreteScheduler: eulerSampler,
  EulerAncestralDiscreteScheduler: eulerAncestralSampler,
  DPMSolverMultistepScheduler: dpmSolverSampler,
} as const satisfies Record<string, (context: SamplerContext) => Sampler>;

export type SamplerName = keyof typeof SAMPLERS;

export interface SamplerContext {
  config: ConfigReader;
  schedule: NoiseSchedule;
  steps: number;
  /** Karras' noise levels: as asked for, else as the configuration says. */
  karras: boolean;
}

const KARRAS: readonly SamplerName[] = ['EulerDiscreteScheduler', 'DPMSolverMultistepScheduler'];

/**
 * The sampler that diffusers' `Name.from_config(config)` with `set_timesteps(steps)` makes: fields that the configuration
 * leaves out take the defaults of the named class, whatever class the configuration was written by.
 * Throws UserError for an unknown name and for settings that are not supported.
 */
export function createSampler(
  name: string,
  json: unknown,
  steps: number,
  { karras }: { karras?: boolean | undefined } = {},
): Sampler {
  if (!Object.hasOwn(SAMPLERS, name))
    throw new UserError(`The scheduler “${name}” is not supported. Choose one of ${Object.keys(SAMPLERS).join(', ')}.`);
  const known = name as SamplerName;
  const schedule = NoiseSchedule.fromConfig(json);
  if (!Number.isSafeInteger(steps) || steps < 1 || steps > schedule.timesteps)
    throw new UserError(`The number of steps is a whole number from 1 to ${schedule.timesteps}, not ${steps}.`);
  const config = schedulerConfig(json);
  const canKarras = KARRAS.includes(known);
  if (karras === true && !canKarras)
    throw new UserError(`Karras noise levels go with ${KARRAS.join(' and ')}, not with ${name}. Turn them off.`);
  return SAMPLERS[known]({
    config,
    schedule,
    steps,
    karras: canKarras && (karras ?? config.flag('use_karras_sigmas', false)),
  });
}
