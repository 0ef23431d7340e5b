import { describe, expect, test } from 'vitest';
import { headNormRope, headNormRopeBackward, type HeadNormRopeShape } from '../../src/engine/kernels/rope.ts';
import { FAMILIES, normError, runOn, slope } from '../support/kernels.ts';
import { packWeights } from '../support/matmul.ts';
import type { Random } from '../support/matmul.ts';
import { seeded } from '../support/seeds.ts';
import type { Draw } from '../support/seeds.ts';

interface Tables {
  cos: Float32Array<ArrayBuffer>;
  sin: Float32Array<ArrayBuffer>;
  positions: Uint32Array<ArrayBuffer>;
  q: Float32Array<ArrayBuffer>;
  k: Float32Array<ArrayBuffer>;
}

/** Float64 forward, as transformers writes it: x · cos + rotate_half(x) · sin with tables of whole rows. */
function forward(x: Float64Array, shape: HeadNormRopeShape, tables: Tables): Float64Array {
  const { tokens, heads, kvHeads, headDim: d, rotaryDim, norm } = shape;
  const rotates = shape.rotates ?? { q: true, k: true };
  const y = new Float64Array(x.length);
  const all = heads + 2 * kvHeads;
  for (let t = 0; t < tokens; t++) {
    for (let h = 0; h < all; h++) {
      const kind = h < heads ? 'q' : h < heads + kvHeads ? 'k' : 'v';
      let row = x.slice((t * all + h) * d, (t * all + h + 1) * d);
      if (norm && kind !== 'v') {
        const rstd = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / d + norm.eps);
        row = row.map((value, i) => value * rstd * (tables[kind][i]! + (norm.offset ?? 0)));
      }
      const half = kind !== 'v' && rotates[kind] ? rotaryDim / 2 : 0;
      for (let i = 0; i < d; i++) {
        let value = row[i]!;
        if (i < 2 * half) {
          const at = tables.positions[t]! * (rotaryDim / 2) + (i % half);
          value = value * tables.cos[at]! + (i < half ? -row[i + half]! : row[i - half]!) * tables.sin[at]!;
        }
        y[(t * all + h) * d + i] = value;
      }
    }
  }
  return y;
}

function makeTables({ random }: Draw, shape: HeadNormRopeShape): Tables & { qPacked: unknown; kPacked: unknown } {
  const positions = 50;
  const half = shape.rotaryDim / 2;
  const angles = Array.from({ length: positions * half }, (_, i) => Math.floor(i / half) * 100 ** -((i % half) / half));
  const type = shape.norm?.weightType ?? 'f32';
  const q = packWeights(random.normal(shape.headDim), type);
  const k = packWeights(random.normal(shape.headDim), type);
  return {
    cos: Float32Array.from(angles, Math.cos),
    sin: Float32Array.from(angles, Math.sin),
    positions: Uint32Array.from({ length: shape.tokens }, () => random.int(0, positions - 1)),
    q: q.values,
    k: k.values,
    qPacked: q.packed,
    kPacked: k.packed,
  };
}

const shapes: HeadNormRopeShape[] = [
  { tokens: 1, heads: 1, kvHeads: 1, headDim: 2, rotaryDim: 2 },
  { tokens: 5, heads: 4, kvHeads: 2, headDim: 6, rotaryDim: 4, norm: { eps: 1e-6, weightType: 'bf16' } },
  { tokens: 33, heads: 3, kvHeads: 1, headDim: 80, rotaryDim: 20 },
  { tokens: 17, heads: 2, kvHeads: 2, headDim: 5, rotaryDim: 4, norm: { eps: 1e-6, weightType: 'f32', offset: 1 } },
  { tokens: 9, heads: 2, kvHeads: 1, headDim: 256, rotaryDim: 256, norm: { eps: 1e-5, weightType: 'f16' } },
  { tokens: 12, heads: 4, kvHeads: 4, headDim: 16, rotaryDim: 16, rotates: { q: false, k: true } },
  { tokens: 6, heads: 4, kvHeads: 2, headDim: 12, rotaryDim: 0, norm: { eps: 1e-6, weightType: 'bf16' } },
];
const anyShape = (sizes: Random): HeadNormRopeShape => ({
  tokens: sizes.int(1, 300),
  heads: 6,
  kvHeads: 2,
  headDim: 4 * sizes.int(1, 20),
  rotaryDim: 4,
});

describe.each(FAMILIES)('rotary embedding and head norm, %s family', (family) => {
  seeded.each(shapes, anyShape)(
    'tokens $tokens, heads $heads/$kvHeads of $headDim, rotary $rotaryDim',
    async (draw, shape) => {
      const { seed, random } = draw;
      const size = shape.tokens * (shape.heads + 2 * shape.kvHeads) * shape.headDim;
      const { q, k, qPacked, kPacked, ...rest } = makeTables(draw, shape);
      const tables = { q, k, ...rest };
      const x = random.normal(size);
      const dy = random.normal(size);
      const names = { cos: 'cos', sin: 'sin', positions: 'positions', qWeight: 'q', kWeight: 'k' };
      const got = await runOn(
        family,
        (target) => [
          ...headNormRope(target, shape, { ...names, x: 'x', y: 'y' }),
          ...headNormRopeBackward(target, shape, { ...names, x: 'x', dy: 'dy', dx: 'dx' }),
        ],
        {
          cos: tables.cos.length ? tables.cos : new Float32Array(1),
          sin: tables.sin.length ? tables.sin : new Float32Array(1),
          positions: tables.positions,
          q: qPacked as Float32Array<ArrayBuffer>,
          k: kPacked as Float32Array<ArrayBuffer>,
          x,
          dy,
          y: new Float32Array(size),
          dx: new Float32Array(size),
        },
        ['y', 'dx'],
      );
      const note = `seed ${seed}`;
      const x64 = Float64Array.from(x);
      // Turning keeps the norm, and what the head norm multiplies with is known to some ten roundings of 2^-24: nothing cancels.
      expect(normError(got['y']!, forward(x64, shape, tables)), note).toBeLessThan(2e-6);
      // The gradient by central differences of <y, dy> in float64, head by head: no second formula to trust.
      const d = shape.headDim;
      const all = shape.heads + 2 * shape.kvHeads;
      const one = { ...shape, tokens: 1 };
      for (let trial = 0; trial < 12; trial++) {
        const t = random.int(0, shape.tokens - 1);
        const row = x64.slice(t * all * d, (t + 1) * all * d);
        const at = random.int(0, row.length - 1);
        const own = { ...tables, positions: tables.positions.slice(t, t + 1) };
        const loss = () => forward(row, one, own).reduce((sum, value, i) => sum + value * dy[t * all * d + i]!, 0);
        // A difference of two terms of about |dy| times rstd, each good to some ten roundings; a head of five normal numbers or more
        // has an rstd over 50 once in 10^8 times.
        expect(Math.abs(got['dx']![t * all * d + at]! - slope(loss, row, at)), note).toBeLessThan(
          2e-5 * (1 + Math.abs(got['dx']![t * all * d + at]!)),
        );
      }
    },
  );
});

test('a missing table is named', () => {
  const shape = { tokens: 1, heads: 1, kvHeads: 1, headDim: 4, rotaryDim: 4 };
  const target = {
    family: 'cpu',
    subgroups: false,
    subgroupSize: 4,
    hasF16: false,
    maxInvocations: 256,
    maxWorkgroupStorage: 16384,
  } as const;
  expect(() => headNormRope(target, shape, { x: 'x', y: 'y', cos: 'cos' })).toThrow('sines');
});
