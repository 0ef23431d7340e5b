import { describe, expect, test } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import { NoiseSchedule } from '../../../src/models/schedulers/noise-schedule.ts';
import { createSampler } from '../../../src/models/schedulers/sampler.ts';
import { fixture } from '../../support/disk-folder.ts';

interface Case {
  config: Record<string, unknown>;
  name: string;
  steps: number;
  timesteps: number[];
  initNoiseSigma: number;
  samples: number[][];
}

interface Expected {
  start: number[];
  cases: Case[];
  schedules: {
    config: Record<string, unknown>;
    timesteps: number[];
    alphasCumprod: number[];
    noisy: number[][];
    velocity: number[][];
  }[];
}

const { start, cases, schedules } = fixture<Expected>('look-schedulers.json');

/** The made-up model and noise of tests/reference/look_scheduler_fixtures.py. */
const model = (shown: Float32Array, t: number): number[] =>
  Array.from(shown, (x, i) => 0.8 * Math.sin(1.7 * x + 0.013 * t + i) + 0.1 * x);
const noise = (step: number): number[] => start.map((_, i) => Math.sin(1 + 3 * step + 2 * i));

/** Distance in units of the expected vector's length. */
function distance(actual: ArrayLike<number>, expected: readonly number[]): number {
  const off = Math.hypot(...expected.map((value, i) => value - actual[i]!));
  return off / Math.hypot(...expected);
}

describe('samplers do what diffusers does', () => {
  test.each(cases.map((each) => [`${each.name} ${JSON.stringify(each.config)}`, each] as const))('%s', (_, each) => {
    const sampler = createSampler(each.name, each.config, each.steps);
    expect(sampler.timesteps).toHaveLength(each.timesteps.length);
    sampler.timesteps.forEach((t, i) => expect(Math.abs(t - each.timesteps[i]!)).toBeLessThan(1e-3));
    expect(sampler.initNoiseSigma / each.initNoiseSigma).toBeCloseTo(1, 6);
    let sample: Float64Array = Float64Array.from(start, (x) => x * sampler.initNoiseSigma);
    sampler.timesteps.forEach((t, i) => {
      sample = sampler.step(model(sampler.scaleModelInput(sample, i), t), i, sample, noise(i));
      expect(distance(sample, each.samples[i]!), `step ${i}`).toBeLessThan(3e-6);
    });
  });
});

test.each(schedules)('noising and velocity of $config', ({ config, timesteps, alphasCumprod, noisy, velocity }) => {
  const schedule = NoiseSchedule.fromConfig(config);
  timesteps.forEach((t, i) => {
    expect(schedule.alphasCumprod[t]).toBeCloseTo(alphasCumprod[i]!, 12);
    expect(distance(schedule.addNoise(start, noise(0), t), noisy[i]!)).toBeLessThan(1e-7);
    expect(distance(schedule.velocity(start, noise(0), t), velocity[i]!)).toBeLessThan(1e-7);
    const snr = schedule.snr(t);
    expect(snr / (1 + snr)).toBeCloseTo(alphasCumprod[i]!, 11);
  });
});

test('a zero terminal SNR is exactly zero, and the first timestep stays', () => {
  const config = { beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 };
  const plain = NoiseSchedule.fromConfig(config);
  const zero = NoiseSchedule.fromConfig({ ...config, rescale_betas_zero_snr: true });
  expect(zero.snr(999)).toBe(0);
  expect(zero.alphasCumprod[0]).toBeCloseTo(plain.alphasCumprod[0]!, 12);
});

test('karras is an option over the configuration', () => {
  const { config } = cases.find(({ config }) => config['use_karras_sigmas'] === true)!;
  const without = createSampler('DPMSolverMultistepScheduler', config, 20, { karras: false });
  const asked = createSampler('DPMSolverMultistepScheduler', { ...config, use_karras_sigmas: false }, 20, {
    karras: true,
  });
  const configured = createSampler('DPMSolverMultistepScheduler', config, 20);
  expect(asked.timesteps).toEqual(configured.timesteps);
  expect(without.timesteps).not.toEqual(configured.timesteps);
});

test.each([
  ['prediction_type', { prediction_type: 'sample' }, 'DDIMScheduler'],
  ['beta_schedule', { beta_schedule: 'sigmoid' }, 'DDIMScheduler'],
  ['trained_betas', { trained_betas: ['a'] }, 'DDIMScheduler'],
  ['thresholding', { thresholding: true }, 'DDIMScheduler'],
  ['use_beta_sigmas', { use_beta_sigmas: true }, 'EulerDiscreteScheduler'],
  ['timestep_spacing', { timestep_spacing: 'quadratic' }, 'EulerDiscreteScheduler'],
  ['solver_order', { solver_order: 3 }, 'DPMSolverMultistepScheduler'],
  ['algorithm_type', { algorithm_type: 'sde-dpmsolver++' }, 'DPMSolverMultistepScheduler'],
  ['variance_type', { variance_type: 'learned_range' }, 'DPMSolverMultistepScheduler'],
])('%s that is not supported is named', (field, config, name) => {
  expect(() => createSampler(name, config, 10)).toThrow(UserError);
  expect(() => createSampler(name, config, 10)).toThrow(field);
});

test('unknown names, karras where it has no meaning and odd step counts are refused', () => {
  expect(() => createSampler('toString', {}, 10)).toThrow(/toString.*DDIMScheduler/);
  expect(() => createSampler('DDIMScheduler', {}, 10, { karras: true })).toThrow(/Karras/);
  for (const steps of [0, 1.5, 1001, NaN]) expect(() => createSampler('DDIMScheduler', {}, steps)).toThrow(UserError);
  expect(() => createSampler('DDIMScheduler', { steps_offset: 1 }, 1000)).toThrow(/too many/);
});
