import { describe, expect } from 'vitest';
import { adamW, gradientNorm, gradientNormScratch, reduceSum } from '../../src/engine/kernels/optimizer.ts';
import { FAMILIES, normError, familyDevice, runOn } from '../support/kernels.ts';
import { seeded } from '../support/seeds.ts';

const settings = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.1 };

/** torch.optim.AdamW, single-tensor form, in float64. */
function adamStep(
  state: Record<'p' | 'g' | 'm' | 'v', Float64Array>,
  clip: number,
  lr: number,
  bc1: number,
  bc2: number,
): void {
  const { p, g, m, v } = state;
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i]! * clip;
    p[i]! *= 1 - lr * settings.weightDecay;
    m[i] = settings.beta1 * m[i]! + (1 - settings.beta1) * gradient;
    v[i] = settings.beta2 * v[i]! + (1 - settings.beta2) * gradient * gradient;
    p[i]! -= ((lr / bc1) * m[i]!) / (Math.sqrt(v[i]!) / Math.sqrt(bc2) + settings.eps);
  }
}

describe.each(FAMILIES)('optimiser, %s family', (family) => {
  seeded.each([1, 7, 4096, 100003], (sizes) => 4 * sizes.int(1, 9000))(
    'norm, clip and AdamW over %i parameters',
    async ({ random, note }, count) => {
      const target = (await familyDevice(family)).target;
      const g = random.normal(count);
      const p = random.normal(count);
      const m = random.normal(count).map((value) => 0.1 * value);
      const v = random.normal(count).map((value) => 0.01 * value * value);
      const maxNorm = count === 7 ? 1e6 : 0.5;
      const [lr, bc1, bc2] = [0.01, 1 - 0.9 ** 3, 1 - 0.999 ** 3];
      const got = await runOn(
        family,
        () => [
          ...gradientNorm(target, { count, maxNorm }, { x: 'g', scratch: 'scratch', state: 'state' }),
          ...adamW(
            target,
            { count, ...settings },
            { weights: 'p', gradients: 'g', first: 'm', second: 'v', state: 'state' },
          ),
        ],
        { g, p, m, v, scratch: new Float32Array(gradientNormScratch(target, count)), state: new Float32Array(4) },
        ['p', 'm', 'v', 'state'],
        { learning_rate: lr, bias_correction1: bc1, bias_correction2: bc2 },
      );
      const norm = Math.sqrt(g.reduce((sum, value) => sum + value * value, 0));
      const clip = Math.min(1, maxNorm / (norm + 1e-6));
      expect(Math.abs(got['state']![0]! / norm - 1), note).toBeLessThan(1e-5);
      expect(Math.abs(got['state']![1]! / clip - 1), note).toBeLessThan(1e-5);
      expect(got['state']![2], note).toBe(0);
      const before = Float64Array.from(p);
      const state = {
        p: Float64Array.from(p),
        g: Float64Array.from(g),
        m: Float64Array.from(m),
        v: Float64Array.from(v),
      };
      adamStep(state, clip, lr, bc1, bc2);
      // Against what goes into the sum, which of one value cancels now and then.
      const terms = Math.hypot(...m, Math.min(norm * clip, maxNorm));
      expect(normError(got['m']!, state.m) * Math.hypot(...state.m), note).toBeLessThan(3e-7 * terms);
      // A sum of positive numbers after some six roundings.
      expect(normError(got['v']!, state.v), note).toBeLessThan(1e-6);
      const change = Float32Array.from(got['p']!, (value, i) => value - p[i]!);
      const expected = state.p.map((value, i) => value - before[i]!);
      // Beside p itself, which is rounded twice, by 2^-24 each: a change near nothing (of one value, by chance) disappears in that.
      const error = normError(change, expected) * Math.hypot(...expected);
      expect(error, note).toBeLessThan(1e-5 * Math.hypot(...expected) + 1.3e-7 * Math.hypot(...before));
    },
  );

  seeded('a gradient that is not finite is found, and changes nothing', async ({ random, note }) => {
    const target = (await familyDevice(family)).target;
    for (const wrong of [NaN, Infinity, 3e38]) {
      const count = 5000;
      const g = random.normal(count);
      g[random.int(0, count - 1)] = wrong;
      const p = random.normal(count);
      const got = await runOn(
        family,
        () => [
          ...gradientNorm(target, { count, maxNorm: 1 }, { x: 'g', scratch: 'scratch', state: 'state' }),
          ...adamW(
            target,
            { count, ...settings },
            { weights: 'p', gradients: 'g', first: 'm', second: 'v', state: 'state' },
          ),
        ],
        {
          g,
          p,
          m: new Float32Array(count),
          v: new Float32Array(count),
          scratch: new Float32Array(gradientNormScratch(target, count)),
          state: new Float32Array(4),
        },
        ['p', 'm', 'state'],
        { learning_rate: 0.1 },
      );
      expect(got['state']![2], note).toBe(1);
      expect(got['p'], note).toEqual(p);
      expect(
        got['m']!.every((value) => value === 0),
        note,
      ).toBe(true);
    }
  });

  seeded('a beginning that learns at its own rate does as a buffer of its own would', async ({ random, note }) => {
    const [count, slow, rate] = [1000, 260, 0.1];
    const data = {
      g: random.normal(count),
      p: random.normal(count),
      m: random.normal(count),
      v: random.normal(count).map(Math.abs),
    };
    const step = async (lr: number, own?: { count: number; rate: number }) =>
      (
        await runOn(
          family,
          (target) =>
            adamW(
              target,
              { count, ...settings, slow: own },
              { weights: 'p', gradients: 'g', first: 'm', second: 'v', state: 'state' },
            ),
          { ...data, state: Float32Array.of(1, 1, 0, 0) },
          ['p'],
          { learning_rate: lr, bias_correction1: 0.2, bias_correction2: 0.01 },
        )
      )['p']!;
    const both = await step(1e-2, { count: slow, rate });
    const [fast, slowly] = [await step(1e-2), await step(1e-2 * rate)];
    expect(both.subarray(slow), note).toEqual(fast.subarray(slow));
    expect(normError(both.subarray(0, slow), Float64Array.from(slowly.subarray(0, slow))), note).toBeLessThan(1e-7);
    expect(both.subarray(0, slow), note).not.toEqual(fast.subarray(0, slow));
  });

  seeded.each([1, 3, 1000, 70001])('sum of %i values, set or added', async ({ random, note }, count) => {
    const x = random.normal(count).map((value) => value + 1);
    const expected = x.reduce((sum, value) => sum + value, 0);
    // At least four lanes add one number after the other, then each other, then what is there: so many roundings of 2^-24.
    const roundings = count / 4 + 12;
    const size = x.reduce((sum, value) => sum + Math.abs(value), 6);
    for (const accumulate of [0, 1]) {
      const { y } = await runOn(
        family,
        (target) => reduceSum(target, { count, index: 1, accumulate: true }, { x: 'x', y: 'y' }),
        { x, y: Float32Array.of(5, 6, 7) },
        ['y'],
        { accumulate },
      );
      expect([y![0], y![2]], note).toEqual([5, 7]);
      expect(Math.abs(y![1]! - expected - 6 * accumulate), note).toBeLessThan(roundings * 2 ** -24 * size);
    }
  });
});
