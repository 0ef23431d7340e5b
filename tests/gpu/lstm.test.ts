import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/engine/graph.ts';
import type { DType } from '../../src/engine/tensor.ts';
import { packWeights } from '../support/matmul.ts';
import { FAMILIES, familyDevice, runGraph } from './engine/support.ts';
import type { Values } from './engine/support.ts';
import { seeded } from '../support/seeds.ts';
import type { Draw } from '../support/seeds.ts';

interface Case {
  clips: number;
  length: number;
  hidden: number;
  dtype?: Exclude<DType, 'i32' | 'u32'>;
}

/** Root mean square of the difference. h and c are of size 1, and a single one of them may be next to nothing. */
const awayFrom = (got: Values, expected: Float64Array): number =>
  got.length === expected.length
    ? Math.hypot(...got.map((value, i) => value - expected[i]!)) / Math.sqrt(got.length)
    : NaN;

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** torch.nn.LSTM's recurrence in float64; x are the gates' sums without it. */
function reference({ clips, length, hidden }: Case, x: Values, w: Values, h0?: Float64Array, c0?: Float64Array) {
  const y = new Float64Array(clips * length * hidden);
  const h = h0?.slice() ?? new Float64Array(clips * hidden);
  const c = c0?.slice() ?? new Float64Array(clips * hidden);
  for (let clip = 0; clip < clips; clip++) {
    for (let t = 0; t < length; t++) {
      const before = h.slice(clip * hidden, (clip + 1) * hidden);
      for (let unit = 0; unit < hidden; unit++) {
        const [i, f, g, o] = [0, 1, 2, 3].map((gate) => {
          const row = gate * hidden + unit;
          let sum = x[(clip * length + t) * 4 * hidden + row]!;
          for (let k = 0; k < hidden; k++) sum += w[row * hidden + k]! * before[k]!;
          return sum;
        }) as [number, number, number, number];
        const at = clip * hidden + unit;
        c[at] = sigmoid(f) * c[at]! + sigmoid(i) * Math.tanh(g);
        h[at] = sigmoid(o) * Math.tanh(c[at]!);
        y[(clip * length + t) * hidden + unit] = h[at]!;
      }
    }
  }
  return { y, h, c };
}

/** Numbers as torch starts with them keep the recurrence from forgetting, and from running into the ends of σ. */
const weights = ({ random }: Draw, hidden: number): Values =>
  random.normal(4 * hidden * hidden).map((w) => w / Math.sqrt(hidden));

function layer(graph: Graph, { clips, length, hidden, dtype = 'f32' }: Case, carried: 'none' | 'apart' | 'same') {
  const x = graph.input('x', [clips * length, 4 * hidden]);
  const shape = [4 * hidden, hidden];
  // An input where it may: weights are uploaded in small pieces here.
  const weight =
    dtype === 'f32' ? graph.input('w', shape) : graph.weight('w', { dtype, sources: [{ name: 'w', shape }] });
  const [h0, c0] = ['h', 'c'].map((name) => graph.state(name, [clips, hidden]));
  const into =
    carried === 'same'
      ? { h: h0!, c: c0! }
      : carried === 'apart'
        ? { h: graph.state('last h', [clips, hidden]), c: graph.state('last c', [clips, hidden]) }
        : {};
  return graph.emit('lstm', { x, weight, ...(carried !== 'none' && { h0: h0!, c0: c0! }) }, { clips, length }, into);
}

describe.each(FAMILIES)('LSTM, %s family', (family) => {
  seeded.each<Case>(
    [
      { clips: 3, length: 40, hidden: 24, dtype: 'bf16' },
      // Beyond what one workgroup does, with clips that share the weights and one left over.
      { clips: 5, length: 7, hidden: 132 },
      { clips: 2, length: 5, hidden: 139 },
    ],
    (sizes) => ({ clips: sizes.int(1, 4), length: sizes.int(1, 30), hidden: sizes.int(1, 40), dtype: 'f16' }),
  )('$clips clips of $length steps, $hidden units', async (draw, c) => {
    const { random, note } = draw;
    const { clips, length, hidden } = c;
    const x = random.normal(clips * length * 4 * hidden);
    const { values: w } = packWeights(weights(draw, hidden), c.dtype ?? 'f32');
    const graph = new Graph();
    const { y, h, c: cell } = layer(graph, c, 'none');
    graph.output('y', y);
    graph.output('h', h);
    graph.output('c', cell);
    const given: Record<string, Values> = c.dtype && c.dtype !== 'f32' ? { x } : { x, w };
    const { outputs } = await runGraph(await familyDevice(family), graph, { inputs: given, weights: { w } });
    const expected = reference(c, x, w);
    // Gates are sums of hidden ≤ 139 products of size 1 / √hidden, good to √139 / 2 roundings of 2^-24 at the most; σ and tanh never
    // amplify an error, and what is carried on is multiplied with a gate under 1.
    for (const name of ['y', 'h', 'c'] as const)
      expect(awayFrom(outputs[name]!, expected[name]), `${note}, ${name}`).toBeLessThan(2e-6);
  });

  seeded.each<Case>([
    { clips: 2, length: 1, hidden: 128 },
    { clips: 2, length: 6, hidden: 128 },
    { clips: 5, length: 1, hidden: 132 },
    { clips: 5, length: 4, hidden: 132 },
  ])('carried on from states: $clips clips of $length steps, $hidden units', async (draw, c) => {
    const { random, note } = draw;
    const { clips, length, hidden } = c;
    const x = random.normal(clips * length * 4 * hidden);
    const w = weights(draw, hidden);
    const start = { h: random.normal(clips * hidden).map(Math.tanh), c: random.normal(clips * hidden) };
    // A program for all chunks is run twice: the second goes on where the first ended, x being the same.
    for (const carried of ['apart', 'same'] as const) {
      const graph = new Graph();
      graph.output('y', layer(graph, c, carried).y);
      const last = { 'last h': new Float32Array(clips * hidden), 'last c': new Float32Array(clips * hidden) };
      const { outputs, states } = await runGraph(await familyDevice(family), graph, {
        inputs: { x, w },
        states: { ...start, ...(carried === 'apart' && last) },
        ...(carried === 'same' && { steps: [{}, {}] }),
      });
      let expected = reference(c, x, w, Float64Array.from(start.h), Float64Array.from(start.c));
      if (carried === 'same') expected = reference(c, x, w, expected.h, expected.c);
      const [h, cell] = carried === 'same' ? ['h', 'c'] : ['last h', 'last c'];
      expect(awayFrom(outputs['y']!, expected.y), `${note}, ${carried}`).toBeLessThan(2e-6);
      expect(awayFrom(states[h!]!, expected.h), `${note}, ${carried}`).toBeLessThan(2e-6);
      expect(awayFrom(states[cell!]!, expected.c), `${note}, ${carried}`).toBeLessThan(2e-6);
    }
  });

  test('gates far out saturate without NaN', async () => {
    const c: Case = { clips: 1, length: 3, hidden: 128 };
    const x = new Float32Array(3 * 512).map((_, i) => (i % 3 === 0 ? 1e30 : i % 3 === 1 ? -1e30 : -500));
    const graph = new Graph();
    graph.output('y', layer(graph, c, 'none').y);
    const w = new Float32Array(512 * 128);
    const given: Record<string, Values> = c.dtype && c.dtype !== 'f32' ? { x } : { x, w };
    const { outputs } = await runGraph(await familyDevice(family), graph, { inputs: given, weights: { w } });
    const expected = reference(c, x, w);
    outputs['y']!.forEach((value, i) => expect(Math.abs(value - expected.y[i]!), `${i}`).toBeLessThan(1e-6));
  });
});

test('an LSTM whose sizes do not fit is refused', () => {
  const graph = new Graph();
  const weight = graph.weight('w', { dtype: 'f32', sources: [{ name: 'w', shape: [12, 3] }] });
  const x = graph.input('x', [8, 12]);
  const run = (inputs: object, attributes: object) =>
    graph.emit('lstm', { x, weight, ...inputs }, { clips: 2, length: 4, ...attributes });
  expect(run({}, {}).h.shape).toEqual([2, 3]);
  expect(() => run({}, { clips: 3 })).toThrow(/8 rows, not 3 clips/);
  expect(() => run({ h0: graph.state('h', [2, 3]) }, {})).toThrow(/go together/);
  expect(() => run({ h0: graph.state('h', [2, 3]), c0: graph.state('c', [1, 3]) }, {})).toThrow(/not \[2,3\]/);
  expect(() =>
    run({ weight: graph.weight('v', { dtype: 'f32', sources: [{ name: 'v', shape: [9, 3] }] }) }, {}),
  ).toThrow(/four gates/);
});
