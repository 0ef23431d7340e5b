import { describe, expect } from 'vitest';
import { attention } from '../../src/engine/kernels/attention.ts';
import { Graph } from '../../src/engine/graph.ts';
import type { KernelFamily } from '../../src/engine/kernels/kernel.ts';
import type { MASKS } from '../support/attention.ts';
import { makeRanges } from '../support/attention.ts';
import { FAMILIES, runOn } from '../support/kernels.ts';
import { familyDevice, relativeError, runGraph } from './engine/support.ts';
import type { Random } from '../support/matmul.ts';
import { seeded } from '../support/seeds.ts';
import type { Draw } from '../support/seeds.ts';

interface Case {
  mask: keyof typeof MASKS;
  rows: number;
  heads: number;
  headDim: number;
  span: number;
}

/** Float64, with all scores written out. */
function reference({ rows, heads, headDim, span }: Case, qkv: Float32Array, bias: Float32Array, ranges: Uint32Array) {
  const width = heads * headDim;
  const o = new Float64Array(rows * width);
  for (let h = 0; h < heads; h++) {
    for (let t = 0; t < rows; t++) {
      const scores: number[] = [];
      const [from, to] = [ranges[2 * t]!, ranges[2 * t + 1]!];
      for (let s = from; s < to; s++) {
        const distance = Math.max(-span, Math.min(span, s - t));
        let score = bias[h * (2 * span + 1) + distance + span]!;
        for (let e = 0; e < headDim; e++) {
          score += qkv[t * 3 * width + h * headDim + e]! * qkv[s * 3 * width + width + h * headDim + e]!;
        }
        scores.push(score);
      }
      const most = Math.max(...scores);
      const sum = scores.reduce((all, score) => all + Math.exp(score - most), 0);
      scores.forEach((score, i) => {
        for (let e = 0; e < headDim; e++) {
          const value = qkv[(from + i) * 3 * width + 2 * width + h * headDim + e]!;
          o[t * width + h * headDim + e]! += (Math.exp(score - most) / sum) * value;
        }
      });
    }
  }
  return o;
}

const cases: Case[] = [
  { mask: 'full', rows: 1, heads: 1, headDim: 12, span: 0 },
  // Few rows: on cards the kernel for generation.
  { mask: 'full', rows: 7, heads: 2, headDim: 12, span: 6 },
  { mask: 'full', rows: 70, heads: 2, headDim: 12, span: 69 },
  { mask: 'images', rows: 66, heads: 3, headDim: 12, span: 21 },
  { mask: 'padded', rows: 40, heads: 2, headDim: 12, span: 5 },
];
const anyCase = (sizes: Random): Case => ({
  mask: 'full',
  rows: sizes.int(9, 90),
  heads: sizes.int(1, 4),
  headDim: 12,
  span: sizes.int(0, 30),
});

async function run({ random }: Draw, family: KernelFamily, c: Case) {
  const { rows, heads, headDim, span } = c;
  const width = heads * headDim;
  // T5 scales nothing: its weights are small instead.
  const qkv = random.normal(rows * 3 * width).map((value) => value / Math.sqrt(Math.sqrt(headDim)));
  const bias = random.normal(heads * (2 * span + 1)).map((value) => 2 * value);
  const keyRanges = makeRanges(c.mask, rows, rows);
  const columns = (offset: number) => ({ stride: 3 * width, offset });
  const shape = {
    ...{ queries: rows, keys: rows, heads, kvHeads: heads, headDim, span, scale: 1 },
    ...{ q: columns(0), k: columns(width), v: columns(2 * width), o: { stride: width, offset: 0 } },
  };
  const { o } = await runOn(
    family,
    (target) =>
      attention(target, shape, { q: 'qkv', k: 'qkv', v: 'qkv', bias: 'bias', keyRanges: 'keyRanges', o: 'o' }),
    { qkv, bias, keyRanges, o: new Float32Array(rows * width).fill(NaN) },
    ['o'],
  );
  return { o: o!, expected: reference(c, qkv, bias, keyRanges), keyRanges, width };
}

describe.each(FAMILIES)('attention with a bias for each distance, %s family', (family) => {
  seeded.each(cases, anyCase)('$mask, $rows rows, $heads heads of $headDim, span $span', async (draw, c) => {
    const { note } = draw;
    const { o, expected, keyRanges, width } = await run(draw, family, c);
    // As in attention.test.ts: means with weights that sum to 1, of scores that are sums of 12 products.
    expect(relativeError(o, expected), note).toBeLessThan(3e-6);
    for (let t = 0; t < c.rows; t++) {
      if (keyRanges[2 * t]! < keyRanges[2 * t + 1]!) continue;
      expect([...o.subarray(t * width, (t + 1) * width)], `${note}, row ${t} sees nothing`).toEqual(
        new Array(width).fill(0),
      );
    }
  });

  seeded('as an op of a graph, two texts side by side', async ({ random, note }) => {
    const [rows, heads, headDim, span] = [24, 2, 12, 9];
    const width = heads * headDim;
    const graph = new Graph();
    const qkv = graph.input('qkv', [rows, 3 * width]);
    const bias = graph.input('bias', [heads, 2 * span + 1]);
    const keyRanges = graph.input('keyRanges', [rows, 2], 'u32');
    const attributes = { heads, kvHeads: heads, headDim, scale: 1, qOffset: 0, kOffset: width, vOffset: 2 * width };
    const inputs = { q: qkv, k: qkv, v: qkv, bias, keyRanges };
    graph.output('o', graph.emit('relativeAttention', inputs, { ...attributes, span }).o);
    expect(() => graph.emit('relativeAttention', inputs, { ...attributes, span: 4 })).toThrow(/bias is \[2,19\]/);
    const values = {
      qkv: random.normal(rows * 3 * width).map((value) => value / 2),
      bias: random.normal(heads * (2 * span + 1)),
      keyRanges: Uint32Array.from({ length: 2 * rows }, (_, i) => (i >= rows ? 12 : 0) + (i % 2 === 1 ? 12 : 0)),
    };
    const { outputs } = await runGraph(await familyDevice(family), graph, { inputs: values });
    const c: Case = { mask: 'full', rows, heads, headDim, span };
    const expected = reference(c, values.qkv, values.bias, values.keyRanges);
    expect(relativeError(outputs['o']!, expected), note).toBeLessThan(3e-6);
  });
});
