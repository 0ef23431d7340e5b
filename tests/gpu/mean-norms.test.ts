import { describe, expect } from 'vitest';
import { groupNorm, groupNormBackward, groupNormParts } from '../../src/engine/kernels/group_norm.ts';
import { layerNorm, layerNormBackward } from '../../src/engine/kernels/layer_norm.ts';
import { FAMILIES, familyDevice, normError, runOn, slope } from '../support/kernels.ts';
import { packWeights } from '../support/matmul.ts';
import type { NormCase } from '../support/norms.ts';
import { normReference } from '../support/norms.ts';
import type { Random } from '../support/matmul.ts';
import { seeded } from '../support/seeds.ts';
import type { Draw } from '../support/seeds.ts';

const zeros = (length: number) => new Float32Array(length);
const shifted = ({ random }: Draw, count: number, by: number) => random.normal(count).map((value) => value + by);

const TYPES = ['f32', 'bf16', 'f16'] as const;

const rows = [
  { rows: 1, width: 2 },
  { rows: 3, width: 5 },
  { rows: 7, width: 320 },
];
const anyRows = [
  (sizes: Random) => ({ rows: sizes.int(2, 30), width: sizes.int(3, 500) }),
  (sizes: Random) => ({ rows: sizes.int(2, 30), width: 4 * sizes.int(1, 400) }),
];

describe.each(FAMILIES)('layer norm, %s family', (family) => {
  seeded.each(rows, ...anyRows)('rows $rows, width $width', async (draw, { rows, width }) => {
    const { seed, random } = draw;
    for (const weightType of TYPES) {
      const count = rows * width;
      const [x, dy, add] = [shifted(draw, count, 2), random.normal(count), random.normal(count)];
      const weight = packWeights(random.normal(width), weightType);
      const bias = packWeights(random.normal(width), weightType);
      // Of two elements x̂ is ±1 whatever they are, and dx nothing, but for eps.
      const shape = { rows, width, eps: width === 2 ? 0.5 : 1e-5, weightType };
      const got = await runOn(
        family,
        (target) => [
          ...layerNorm(target, shape, { x: 'x', weight: 'w', bias: 'b', y: 'y', stats: 'stats' }),
          ...layerNormBackward(target, shape, { dy: 'dy', x: 'x', weight: 'w', stats: 'stats', dx: 'dx' }),
          ...layerNormBackward(target, shape, { dy: 'dy', x: 'x', weight: 'w', stats: 'stats', dx: 'sum', add: 'add' }),
        ],
        {
          ...{ x, dy, add, w: weight.packed, b: bias.packed },
          ...{ y: zeros(count), dx: zeros(count), sum: zeros(count), stats: zeros(2 * rows) },
        },
        ['y', 'stats', 'dx', 'sum'],
      );
      const like = { images: rows, pixels: 1, channels: width, groups: 1, eps: shape.eps, activation: null };
      const expected = normReference(like, x, weight.values, bias.values, dy);
      const note = `seed ${seed}, ${weightType}`;
      // Few elements may cancel: against what they are sums of.
      const { terms } = expected;
      expect(normError(got['y']!, expected.y, terms.y), note).toBeLessThan(2e-6);
      expect(normError(got['stats']!, expected.stats, terms.stats), note).toBeLessThan(2e-6);
      expect(normError(got['dx']!, expected.dx, terms.dx), note).toBeLessThan(5e-6);
      const sum = expected.dx.map((value, i) => value + add[i]!);
      expect(normError(got['sum']!, sum, Math.hypot(terms.dx, ...add)), note).toBeLessThan(5e-6);
    }
  });

  seeded('rows a thousand standard deviations from zero', async (draw) => {
    const { seed, random } = draw;
    const [count, width] = [12 * 96, 96];
    const x = shifted(draw, count, 1000);
    const [w, b] = [random.normal(width), random.normal(width)];
    const shape = { rows: 12, width, eps: 1e-5, weightType: 'f32' } as const;
    const got = await runOn(
      family,
      (target) => layerNorm(target, shape, { x: 'x', weight: 'w', bias: 'b', y: 'y', stats: 'stats' }),
      { x, w, b, y: zeros(count), stats: zeros(24) },
      ['y'],
    );
    const like = { images: 12, pixels: 1, channels: width, groups: 1, eps: 1e-5, activation: null };
    // The mean itself is only known to half a unit in its last place, 3e-5.
    expect(normError(got['y']!, normReference(like, x, w, b).y), `seed ${seed}`).toBeLessThan(5e-5);
  });
});

const images: (NormCase & { mean?: number })[] = [
  { images: 1, pixels: 1, channels: 4, groups: 1, eps: 1e-5, activation: null },
  { images: 2, pixels: 9, channels: 6, groups: 3, eps: 1e-5, activation: 'silu' },
  { images: 1, pixels: 64, channels: 32, groups: 32, eps: 1e-6, activation: 'silu' },
  // Groups of 10 and of 30 channels: vectors of four lie across their borders.
  { images: 2, pixels: 100, channels: 320, groups: 32, eps: 1e-5, activation: 'silu' },
  { images: 1, pixels: 35, channels: 60, groups: 2, eps: 1e-5, activation: null },
  { images: 1, pixels: 1500, channels: 8, groups: 2, eps: 1e-5, activation: 'silu' },
  { images: 1, pixels: 700, channels: 16, groups: 4, eps: 1e-5, activation: null, mean: 1000 },
];
const anyImages = (sizes: Random): NormCase => ({
  images: sizes.int(1, 3),
  pixels: sizes.int(20, 300),
  channels: 15 * sizes.int(1, 4),
  groups: [1, 3, 5][sizes.int(0, 2)]!,
  eps: 1e-5,
  activation: sizes.uniform() < 0.5 ? 'silu' : null,
});

async function compareGroups(draw: Draw, family: (typeof FAMILIES)[number], c: NormCase & { mean?: number }) {
  const { seed, random } = draw;
  const { target } = await familyDevice(family);
  const count = c.images * c.pixels * c.channels;
  const far = c.mean !== undefined;
  for (const weightType of far ? (['f32'] as const) : TYPES) {
    const [x, dy, add] = [shifted(draw, count, c.mean ?? 1), random.normal(count), random.normal(count)];
    const weight = packWeights(random.normal(c.channels), weightType);
    const bias = packWeights(random.normal(c.channels), weightType);
    const shape = { ...c, weightType };
    const pairs = 2 * c.images * c.groups;
    const backward = { dy: 'dy', x: 'x', weight: 'w', bias: 'b', stats: 'stats', parts: 'parts', means: 'means' };
    const got = await runOn(
      family,
      () => [
        ...groupNorm(target, shape, { x: 'x', weight: 'w', bias: 'b', parts: 'parts', stats: 'stats', y: 'y' }),
        ...groupNormBackward(target, shape, { ...backward, dx: 'dx' }),
        ...groupNormBackward(target, shape, { ...backward, dx: 'sum', add: 'add' }),
      ],
      {
        ...{ x, dy, add, w: weight.packed, b: bias.packed },
        ...{ y: zeros(count), dx: zeros(count), sum: zeros(count), stats: zeros(pairs), means: zeros(pairs) },
        parts: zeros(groupNormParts(target, shape)),
      },
      ['y', 'stats', 'dx', 'sum'],
    );
    const expected = normReference(c, x, weight.values, bias.values, dy);
    const note = `seed ${seed}, ${weightType}`;
    const terms = far ? { y: 0, dx: 0, stats: 0 } : expected.terms;
    expect(normError(got['y']!, expected.y, terms.y), note).toBeLessThan(far ? 5e-5 : 3e-6);
    expect(normError(got['stats']!, expected.stats, terms.stats), note).toBeLessThan(3e-6);
    expect(normError(got['dx']!, expected.dx, terms.dx), note).toBeLessThan(far ? 1e-4 : 1e-5);
    const sum = expected.dx.map((value, i) => value + add[i]!);
    const least = far ? 0 : Math.hypot(terms.dx, Math.sqrt(add.reduce((size, value) => size + value ** 2, 0)));
    expect(normError(got['sum']!, sum, least), note).toBeLessThan(far ? 1e-4 : 1e-5);
  }
}

describe.each(FAMILIES)('group norm, %s family', (family) => {
  seeded.each(images, anyImages)(
    '$images × $pixels pixels, $channels channels in $groups groups, $activation',
    async (draw, c) => {
      await compareGroups(draw, family, c);
    },
  );
});

seeded('the formulas of the gradients agree with finite differences', ({ seed, random }) => {
  for (const activation of ['silu', null] as const) {
    const c = { images: 2, pixels: 3, channels: 4, groups: 2, eps: 1e-5, activation };
    const draw = (count: number) => Float64Array.from(random.normal(count));
    const [x, w, b, dy] = [draw(24), draw(4), draw(4), draw(24)];
    const loss = () => normReference(c, x, w, b).y.reduce((sum, value, i) => sum + value * dy[i]!, 0);
    const { dx } = normReference(c, x, w, b, dy);
    for (let i = 0; i < 24; i++) expect(slope(loss, x, i), `seed ${seed}`).toBeCloseTo(dx[i]!, 5);
  }
});
