import { describe, expect } from 'vitest';
import { attention, attentionBackward, attentionParts, attentionStats } from '../../src/engine/kernels/attention.ts';
import type { Ranges } from '../support/attention.ts';
import { inverseRanges, reference } from '../support/attention.ts';
import { FAMILIES, familyDevice, normError, runOn } from '../support/kernels.ts';
import type { Random } from '../support/matmul.ts';
import { seeded } from '../support/seeds.ts';

const [HEADS, HEAD_DIM] = [2, 12];
const WIDTH = HEADS * HEAD_DIM;

/** Clips of `perClip` queries with `perText` keys each, of which the first `seen[clip]` are words and the rest padding. */
interface Case {
  perClip: number;
  perText: number;
  seen: readonly number[];
}

const cases: Case[] = [
  // Few queries: on cards the kernel for generation.
  { perClip: 2, perText: 5, seen: [0, 3] },
  { perClip: 70, perText: 9, seen: [9, 0, 4] },
  { perClip: 64, perText: 33, seen: [0, 0] },
];
const anyCase = (sizes: Random): Case => ({
  perClip: sizes.int(1, 90),
  perText: sizes.int(2, 40),
  seen: [0, sizes.int(1, 2), 0],
});

const isZero = (values: Float32Array): boolean => values.every((value) => value === 0);

describe.each(FAMILIES)('queries that see nothing, %s family', (family) => {
  seeded.each(cases, anyCase)(
    'texts of $perText, of which $seen are seen, by $perClip queries each',
    async ({ random, note }, c) => {
      const { perClip, perText, seen } = c;
      const [queries, keys] = [seen.length * perClip, seen.length * perText];
      const keyRanges: Ranges = Uint32Array.from({ length: 2 * queries }, (_, i) => {
        const clip = Math.floor(i / 2 / perClip);
        return clip * perText + (i % 2 === 0 ? 0 : seen[clip]!);
      });
      const queryRanges = inverseRanges(keyRanges, keys);
      const at = {
        q: { stride: WIDTH, offset: 0 },
        k: { stride: 2 * WIDTH, offset: 0 },
        v: { stride: 2 * WIDTH, offset: WIDTH },
      };
      const shape = {
        ...{ queries, keys, heads: HEADS, kvHeads: HEADS, headDim: HEAD_DIM, scale: HEAD_DIM ** -0.5 },
        ...{ ...at, o: at.q },
      };
      const backward = { ...shape, dO: at.q, dq: at.q, dk: at.k, dv: at.v };
      const parts = attentionParts((await familyDevice(family)).target, backward);
      const [q, kv, dO] = [
        random.normal(queries * WIDTH),
        random.normal(keys * 2 * WIDTH),
        random.normal(queries * WIDTH),
      ];
      const junk = (length: number) => new Float32Array(length).fill(NaN);
      const got = await runOn(
        family,
        (target) => [
          ...attention(target, shape, { q: 'q', k: 'kv', v: 'kv', keyRanges: 'keyRanges', o: 'o', lse: 'lse' }),
          ...attentionBackward(target, backward, {
            ...{
              q: 'q',
              k: 'kv',
              v: 'kv',
              o: 'o',
              dO: 'dO',
              lse: 'lse',
              keyRanges: 'keyRanges',
              queryRanges: 'queryRanges',
            },
            ...{ stats: 'stats', dq: 'dq', dk: 'dkv', dv: 'dkv' },
            ...(parts > 0 && { parts: 'parts' }),
          }),
        ],
        {
          ...{ q, kv, dO, keyRanges, queryRanges },
          ...{ o: junk(queries * WIDTH), lse: junk(HEADS * queries), stats: junk(attentionStats(shape)) },
          ...{ dq: junk(queries * WIDTH), dkv: junk(keys * 2 * WIDTH), parts: junk(Math.max(1, parts)) },
        },
        ['o', 'dq', 'dkv'],
      );
      const arrays = { q: Float64Array.from(q), k: Float64Array.from(kv), v: Float64Array.from(kv) };
      const expected = reference(shape, arrays, keyRanges, { data: Float64Array.from(dO), ...at.q });
      // dk and dv side by side, as they lie.
      const dkv = Float64Array.from({ length: keys * 2 * WIDTH }, (_, i) => {
        const [row, column] = [Math.floor(i / (2 * WIDTH)), i % (2 * WIDTH)];
        return column < WIDTH ? expected.dk[row * WIDTH + column]! : expected.dv[row * WIDTH + column - WIDTH]!;
      });
      for (const [name, values] of [
        ['o', expected.o],
        ['dq', expected.dq],
        ['dkv', dkv],
      ] as const) {
        // One key alone, or one with all of the probability, leaves dq nothing but the rounding of what it is a difference of.
        const least = name === 'dq' ? expected.terms.dq : 0;
        if (Math.hypot(...values, least) === 0) continue;
        // As in attention.test.ts: means with weights that sum to 1, and gradients against the sizes of their two terms.
        expect(normError(got[name]!, values, least), `${note}, ${name}`).toBeLessThan(1e-5);
      }
      seen.forEach((count, clip) => {
        const rows = (values: Float32Array, first: number, last: number, width: number) =>
          values.subarray(first * width, last * width);
        if (count === 0) {
          for (const name of ['o', 'dq']) {
            const own = rows(got[name]!, clip * perClip, (clip + 1) * perClip, WIDTH);
            expect(isZero(own), `${note}, ${name} of clip ${clip}`).toBe(true);
          }
        }
        const unseen = rows(got['dkv']!, clip * perText + count, (clip + 1) * perText, 2 * WIDTH);
        expect(isZero(unseen), `${note}, gradients of what clip ${clip} does not see`).toBe(true);
      });
    },
  );
});
