import { describe, expect } from 'vitest';
import { attention, attentionBackward, attentionParts, attentionStats } from '../../src/engine/kernels/attention.ts';
import { columnsOf, inverseRanges, makeRanges, reference } from '../support/attention.ts';
import { FAMILIES, familyDevice, normError, runOn, slope } from '../support/kernels.ts';
import type { Random } from '../support/matmul.ts';
import { seeded } from '../support/seeds.ts';
import type { Draw } from '../support/seeds.ts';

interface Case {
  mask: string;
  queries: number;
  keys: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  /** q, k and v in one buffer, and so their gradients; or k and v beside q */
  packed: boolean | 'kv';
}

const cases: Case[] = [
  { mask: 'causal', queries: 1, keys: 1, heads: 1, kvHeads: 1, headDim: 1, packed: true },
  { mask: 'causal', queries: 70, keys: 70, heads: 4, kvHeads: 2, headDim: 32, packed: true },
  { mask: 'full', queries: 9, keys: 31, heads: 3, kvHeads: 3, headDim: 5, packed: false },
  { mask: 'window', queries: 37, keys: 37, heads: 2, kvHeads: 1, headDim: 12, packed: true },
  { mask: 'segments', queries: 67, keys: 67, heads: 4, kvHeads: 1, headDim: 32, packed: true },
  { mask: 'padded', queries: 40, keys: 40, heads: 2, kvHeads: 2, headDim: 12, packed: false },
  { mask: 'causal', queries: 1, keys: 133, heads: 6, kvHeads: 2, headDim: 64, packed: false },
  { mask: 'causal', queries: 3, keys: 300, heads: 2, kvHeads: 1, headDim: 20, packed: false },
  { mask: 'causal', queries: 33, keys: 33, heads: 2, kvHeads: 2, headDim: 80, packed: true },
  // Head sizes that are compiled already: each one more costs a software adapter seconds.
  { mask: 'images', queries: 48, keys: 33, heads: 2, kvHeads: 2, headDim: 12, packed: 'kv' },
  { mask: 'full', queries: 200, keys: 3, heads: 1, kvHeads: 1, headDim: 12, packed: 'kv' },
  // On cards three parts of the queries, the last one shorter; and two of which one image's keys need but one.
  { mask: 'full', queries: 300, keys: 77, heads: 1, kvHeads: 1, headDim: 12, packed: 'kv' },
  { mask: 'images', queries: 210, keys: 70, heads: 1, kvHeads: 1, headDim: 32, packed: 'kv' },
  { mask: 'full', queries: 67, keys: 67, heads: 2, kvHeads: 2, headDim: 12, packed: true },
];

const drawn: ((sizes: Random) => Case)[] = [
  (sizes) => ({
    mask: 'images',
    queries: sizes.int(3, 200),
    keys: sizes.int(3, 80),
    heads: 2,
    kvHeads: 2,
    headDim: [12, 32][sizes.int(0, 1)]!,
    packed: 'kv',
  }),
  (sizes) => ({
    mask: 'causal',
    queries: sizes.int(2, 150),
    keys: 0,
    heads: 3,
    kvHeads: 1,
    headDim: [5, 12, 32, 64, 20][sizes.int(0, 4)]!,
    packed: true,
  }),
];

/** A matrix of normal numbers whose rows have some columns that attention must leave alone. */
function layout(c: Case) {
  const qWidth = c.heads * c.headDim;
  const kvWidth = c.kvHeads * c.headDim;
  if (c.packed === 'kv') {
    const stride = 2 * kvWidth;
    return {
      q: { stride: qWidth, offset: 0 },
      k: { stride, offset: 0 },
      v: { stride, offset: kvWidth },
      names: { q: 'q', k: 'kv', v: 'kv' },
      gradients: { dq: 'dq', dk: 'dkv', dv: 'dkv' },
    };
  }
  if (c.packed) {
    const stride = qWidth + 2 * kvWidth;
    return {
      q: { stride, offset: 0 },
      k: { stride, offset: qWidth },
      v: { stride, offset: qWidth + kvWidth },
      names: { q: 'qkv', k: 'qkv', v: 'qkv' },
      gradients: { dq: 'dqkv', dk: 'dqkv', dv: 'dqkv' },
    };
  }
  return {
    q: { stride: qWidth + 4, offset: 4 },
    k: { stride: kvWidth, offset: 0 },
    v: { stride: kvWidth + 8, offset: 8 },
    names: { q: 'q', k: 'k', v: 'v' },
    gradients: { dq: 'dq', dk: 'dk', dv: 'dv' },
  };
}

async function compare({ random, note }: Draw, family: (typeof FAMILIES)[number], given: Case) {
  const c = { ...given, keys: given.keys || given.queries };
  const { queries, keys, heads, kvHeads, headDim } = c;
  const at = layout(c);
  const [qWidth, kvWidth] = [heads * headDim, kvHeads * headDim];
  const o = { stride: qWidth + 4, offset: 4 };
  const shape = { queries, keys, heads, kvHeads, headDim, scale: 1.5 * headDim ** -0.5, q: at.q, k: at.k, v: at.v, o };
  const keyRanges = makeRanges(c.mask, queries, keys);
  const queryRanges = inverseRanges(keyRanges, keys);
  const blank = { ...{} } as Record<string, Float32Array<ArrayBuffer>>;
  for (const [name, buffer] of Object.entries(at.names)) {
    const rows = name === 'q' ? queries : keys;
    blank[buffer] ??= random.normal(rows * at[name as 'q'].stride);
    blank[at.gradients[`d${name}` as 'dq']] ??= new Float32Array(rows * at[name as 'q'].stride).fill(9);
  }
  const dO = random.normal(queries * o.stride);
  const backwardShape = { ...shape, dO: o, dq: at.q, dk: at.k, dv: at.v };
  const parts = attentionParts((await familyDevice(family)).target, backwardShape);
  expect(parts > 0, 'queries shared out').toBe(family === 'gpu' && c.packed === 'kv' && queries > 128);
  const got = await runOn(
    family,
    (target) => [
      ...attention(target, shape, { ...at.names, keyRanges: 'keyRanges', o: 'o', lse: 'lse' }),
      ...attention(target, shape, { ...at.names, keyRanges: 'keyRanges', o: 'again' }),
      ...attentionBackward(target, backwardShape, {
        ...at.names,
        ...at.gradients,
        o: 'o',
        dO: 'dO',
        lse: 'lse',
        keyRanges: 'keyRanges',
        queryRanges: 'queryRanges',
        stats: 'stats',
        ...(parts > 0 && { parts: 'parts' }),
      }),
    ],
    {
      ...blank,
      dO,
      keyRanges,
      queryRanges,
      o: new Float32Array(queries * o.stride).fill(7),
      again: new Float32Array(queries * o.stride).fill(7),
      lse: new Float32Array(heads * queries),
      stats: new Float32Array(attentionStats(shape)),
      parts: new Float32Array(Math.max(1, parts)),
    },
    ['o', 'again', 'lse', ...new Set(Object.values(at.gradients))],
  );
  const wide = (name: string) => Float64Array.from(blank[name]!);
  const inputs = { q: wide(at.names.q), k: wide(at.names.k), v: wide(at.names.v) };
  const expected = reference(shape, inputs, keyRanges, { data: Float64Array.from(dO), ...o });
  const result = columnsOf(got['o']!, queries, qWidth, o);
  // o is a mean of rows of v, with weights that sum to 1: it shrinks as the square root of the keys, and so do roundings, of
  // either sign. A score is a sum of headDim ≤ 256 products: it is known to √256 / 2 roundings of 2^-24, in four parts or more.
  expect(normError(result, expected.o), note).toBeLessThan(3e-6);
  expect(got['again'], note).toEqual(got['o']);
  for (let t = 0; t < queries; t++) expect(got['o']![t * o.stride], `${note}: columns beside o`).toBe(7);
  got['lse']!.forEach((value, i) => {
    expect(Math.abs(value - expected.lse[i]!) / (1 + Math.abs(expected.lse[i]!)), note).toBeLessThan(3e-6);
  });
  for (const [name, rows, width] of [
    ['dq', queries, qWidth],
    ['dk', keys, kvWidth],
    ['dv', keys, kvWidth],
  ] as const) {
    const columns = at[name.slice(1) as 'q'];
    const gradient = columnsOf(got[at.gradients[name]]!, rows, width, columns);
    // One key alone has probability 1, and scores without gradient: nothing but what they are the difference of.
    const least = expected.terms[name];
    expect(Math.hypot(...expected[name], least), note).toBeGreaterThan(0);
    expect(normError(gradient, expected[name], least), `${note}, ${name}`).toBeLessThan(6e-6);
    if (!c.packed && columns.offset > 0) expect(got[at.gradients[name]]![0], `${note}: columns beside ${name}`).toBe(9);
  }
}

describe.each(FAMILIES)('attention, %s family', (family) => {
  seeded.each(cases, ...drawn)(
    '$mask, $queries queries, $keys keys, heads $heads/$kvHeads of $headDim',
    async (draw, c) => {
      await compare(draw, family, c);
    },
  );
  seeded('the largest heads', async (draw) => {
    await compare(draw, family, {
      mask: 'causal',
      queries: 19,
      keys: 19,
      heads: 2,
      kvHeads: 1,
      headDim: 256,
      packed: true,
    });
    await compare(draw, family, {
      mask: 'segments',
      queries: 21,
      keys: 21,
      heads: 1,
      kvHeads: 1,
      headDim: 129,
      packed: true,
    });
  });
});

seeded('heads of 40, software adapters', async (draw) => {
  await compare(draw, 'cpu', {
    mask: 'images',
    queries: 50,
    keys: 40,
    heads: 2,
    kvHeads: 2,
    headDim: 40,
    packed: 'kv',
  });
});

seeded('the reference gradients agree with finite differences', ({ random, note }) => {
  const c = { mask: 'segments', queries: 13, keys: 13, heads: 4, kvHeads: 2, headDim: 3, packed: true };
  const { names: _, gradients: __, ...at } = layout(c);
  const shape = { ...c, ...at, scale: 0.7, o: { stride: 12, offset: 0 } };
  const ranges = makeRanges(c.mask, 13, 13);
  const x = Float64Array.from(random.normal(13 * at.q.stride));
  const dO = { data: Float64Array.from(random.normal(13 * 12)), stride: 12, offset: 0 };
  const run = () => reference(shape, { q: x, k: x, v: x }, ranges, dO);
  const { dq, dk, dv } = run();
  const loss = () => run().o.reduce((sum, value, i) => sum + value * dO.data[i]!, 0);
  for (let trial = 0; trial < 30; trial++) {
    const t = random.int(0, 12);
    const e = random.int(0, at.q.stride - 1);
    const expected = e < 12 ? dq[t * 12 + e]! : e < 18 ? dk[t * 6 + e - 12]! : dv[t * 6 + e - 18]!;
    expect(slope(loss, x, t * at.q.stride + e), note).toBeCloseTo(expected, 6);
  }
});
