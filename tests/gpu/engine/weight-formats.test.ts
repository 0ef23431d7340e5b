import { describe, expect, test } from 'vitest';
import { Graph } from '../../../src/engine/graph.ts';
import { loraSegments } from '../../../src/engine/kernels/lora_segments.ts';
import { Program, ProgramPlan } from '../../../src/engine/program.ts';
import type { Tensor } from '../../../src/engine/tensor.ts';
import { WeightStore } from '../../../src/engine/weights.ts';
import { IDLE_STEP } from '../../../src/engine/wgsl.ts';
import type { WeightType } from '../../../src/engine/weight-formats.ts';
import type { Draw } from '../../support/seeds.ts';
import { seeded } from '../../support/seeds.ts';
import { byteFormat, decodeBytes, withByteFormat } from '../../support/weight-formats.ts';
import type { Values } from './support.ts';
import { FAMILIES, familyDevice, relativeError, runGraph, sourceOf } from './support.ts';

// A format with groups, known to this file alone, from the source to every kernel that reads matrices.
/** Whether each result is off by no more than the roundings of sums of `terms` products, of these sizes, can add up to. */
function expectSums(got: Values, expected: Float64Array, sizes: Float64Array, terms: number, what: string): void {
  expect(got.length, what).toBe(expected.length);
  const wrong = got.findIndex((value, i) => !(Math.abs(value - expected[i]!) <= (terms + 8) * 2 ** -23 * sizes[i]!));
  expect(wrong, `${what}: ${got[wrong]} for ${expected[wrong]}`).toBe(-1);
}

/** left [m, terms] · right, and the same of absolute values. */
function product(
  m: number,
  n: number,
  terms: number,
  left: (m: number, t: number) => number,
  right: (t: number, n: number) => number,
) {
  const sums = new Float64Array(m * n);
  const sizes = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      for (let t = 0; t < terms; t++) {
        const value = left(i, t) * right(t, j);
        sums[i * n + j]! += value;
        sizes[i * n + j]! += Math.abs(value);
      }
    }
  }
  return { sums, sizes };
}

const FORMATS = [
  ['a scale', byteFormat(32, false)],
  ['a scale and an offset', byteFormat(16, true)],
] as const;

/** q, k, v one below the other; each begins where a binding may, its scales too. */
const LAYERS = [
  { name: 'q', columns: 512, rank: 3, scale: 0.5 },
  { name: 'k', columns: 256, rank: 0, scale: 1 },
  { name: 'v', columns: 256, rank: 5, scale: 2 },
];
const m = 5;
const k = 24;
const n = 1024;

describe.each(FAMILIES)('a format with groups, %s family', (family) => {
  describe.each(FORMATS)('with %s a group', (_, format) => {
    const layers = ({ random }: Draw) => {
      const weights = Object.fromEntries(LAYERS.map(({ name, columns }) => [name, random.normal(columns * k)]));
      return {
        weights,
        decoded: Float64Array.from(LAYERS.flatMap(({ name }) => [...decodeBytes(format, weights[name]!)])),
      };
    };
    const spec = (type: WeightType) => ({
      dtype: type,
      sources: LAYERS.map(({ name, columns }) => ({ name, shape: [columns, k] })),
    });
    // What an offset cancels was rounded before it was cancelled: sizes are those of the summands.
    const size = (value: number): number => Math.abs(value) + 16;

    seeded.each([
      { how: 'whole', maxBinding: Infinity, parts: 1 },
      { how: 'in parts', maxBinding: 64 * k * 6, parts: 3 },
    ])('a stack of q, k and v, $how: forward, backward and as a table', async (draw, { how, maxBinding, parts }) => {
      const { random } = draw;
      const { weights, decoded } = layers(draw);
      await withByteFormat(format, async (type) => {
        const graph = new Graph(maxBinding);
        const weight = graph.weight('stack', spec(type));
        expect(weight.parts?.length ?? 1).toBe(parts);
        const segments = loraSegments(LAYERS);
        const inputs = {
          x: random.normal(m * k),
          dy: random.normal(m * n),
          residual: random.normal(m * n),
          ids: Uint32Array.of(0, 1023, 383, 384, 700),
        };
        const parameters = { a: random.normal(8 * k), b: random.normal(512 * 3 + 256 * 5) };
        const x = graph.input('x', [m, k]);
        const dy = graph.input('dy', [m, n]);
        graph.output('y', graph.emit('linear', { x, weight }, { segments: [] }).y);
        graph.output('dx', graph.emit('linearBackward', { dy, weight }, {}).dx);
        // With all that a product may bind besides: the scales take the eighth binding.
        const lora = { a: graph.parameter('a', [8, k]), b: graph.parameter('b', [512 * 3 + 256 * 5]) };
        const residual = graph.input('residual', [m, n]);
        const low = { x, weight, residual, ...lora };
        graph.output('withLora', graph.emit('linear', low, { segments }).y);
        graph.output(
          'rows',
          graph.emit('embedding', { ids: graph.input('ids', [5], 'u32'), table: weight }, { scale: 2 }).y,
        );
        const { outputs } = await runGraph(await familyDevice(family), graph, { inputs, weights, parameters });

        const forward = product(
          m,
          n,
          k,
          (i, t) => inputs.x[i * k + t]!,
          (t, j) => decoded[j * k + t]!,
        );
        const sizes = product(
          m,
          n,
          k,
          (i, t) => inputs.x[i * k + t]!,
          (t, j) => size(decoded[j * k + t]!),
        ).sizes;
        expectSums(outputs['y']!, forward.sums, sizes, k, `y, ${how}`);
        const back = product(
          m,
          k,
          n,
          (i, t) => inputs.dy[i * n + t]!,
          (t, j) => decoded[t * k + j]!,
        );
        const backSizes = product(
          m,
          k,
          n,
          (i, t) => inputs.dy[i * n + t]!,
          (t, j) => size(decoded[t * k + j]!),
        ).sizes;
        expectSums(outputs['dx']!, back.sums, backSizes, n, `dx, ${how}`);
        const rows = Float64Array.from(
          [...inputs.ids].flatMap((id) => [...decoded.subarray(id * k, id * k + k)].map((v) => 2 * v)),
        );
        expectSums(
          outputs['rows']!,
          rows,
          rows.map((value) => 2 * size(value)),
          1,
          `rows, ${how}`,
        );
        // The low-rank path adds what it adds to any weight.
        const plain = new Graph();
        const floats = plain.weight('stack', { dtype: 'f32', sources: [{ name: 'stack', shape: [n, k] }] });
        const same = { x: plain.input('x', [m, k]), weight: floats, residual: plain.input('residual', [m, n]) };
        const own = { a: plain.parameter('a', [8, k]), b: plain.parameter('b', [512 * 3 + 256 * 5]) };
        plain.output('y', plain.emit('linear', { ...same, ...own }, { segments }).y);
        const given = { inputs: { x: inputs.x, residual: inputs.residual }, parameters };
        const reference = await runGraph(await familyDevice(family), plain, {
          ...given,
          weights: { stack: Float32Array.from(decoded) },
        });
        expect(relativeError(outputs['withLora']!, reference.outputs['y']!), how).toBeLessThan(1e-5);
      });
    });

    seeded('one of a stack is found in the memory of the stack, its scales too', async (draw) => {
      const { random } = draw;
      const { weights, decoded } = layers(draw);
      await withByteFormat(format, async (type) => {
        const device = await familyDevice(family);
        const whole = new Graph();
        whole.weight('stack', spec(type));
        const store = await WeightStore.load(device, whole, sourceOf(weights));
        const x = random.normal(m * k);
        let start = 0;
        for (const { name, columns } of LAYERS) {
          const graph = new Graph();
          const weight = graph.weight(name, { dtype: type, sources: [{ name, shape: [columns, k] }] });
          graph.output('y', graph.emit('linear', { x: graph.input('x', [m, k]), weight }, { segments: [] }).y);
          const program = await Program.build(device, ProgramPlan.of(graph, device.target, Infinity), {
            weights: store,
          });
          const { y } = await program.run({ x }, IDLE_STEP);
          program.destroy();
          const at = start;
          const right = (t: number, j: number): number => decoded[(at + j) * k + t]!;
          const expected = product(m, columns, k, (i, t) => x[i * k + t]!, right);
          const { sizes } = product(
            m,
            columns,
            k,
            (i, t) => x[i * k + t]!,
            (t, j) => size(right(t, j)),
          );
          expectSums(y!, expected.sums, sizes, k, name);
          start += columns;
        }
        store.destroy();
      });
    });

    /** The same graph over the format and over f32 weights of the values that it holds. */
    async function alike(
      { random }: Draw,
      name: string,
      shape: number[],
      make: (graph: Graph, weight: Tensor) => Record<string, Values>,
    ) {
      const values = random.normal(shape.reduce((a, b) => a * b));
      const run = async (type: WeightType, given: Values) => {
        const graph = new Graph();
        const inputs = make(graph, graph.weight('w', { dtype: type, sources: [{ name: 'w', shape }] }));
        return (await runGraph(await familyDevice(family), graph, { inputs, weights: { w: given } })).outputs;
      };
      const grouped = await withByteFormat(format, (type) => run(type, values));
      const floats = await run('f32', Float32Array.from(decodeBytes(format, values)));
      for (const [key, expected] of Object.entries(floats))
        expect(relativeError(grouped[key]!, expected), `${name} ${key}`).toBeLessThan(1e-5);
    }

    // Rows that are no multiple of four are read one weight at a time, and groups go on across them.
    seeded.each([4, 9])('convolutions of %i channels, an LSTM as wide, and odd products', async (draw, width) => {
      const { random } = draw;
      const data = {
        map: random.normal(36 * width),
        dy: random.normal(36 * 8),
        gates: random.normal(3 * 4 * width),
        x: random.normal(3 * width),
      };
      const geometry = { images: 1, height: 6, width: 6, kernel: [3, 3], stride: 1, padding: [1, 1, 1, 1] } as const;
      await alike(draw, 'convolution', [8, 9 * width], (graph, weight) => {
        graph.output('y', graph.emit('conv2d', { x: graph.input('x', [36, width]), weight }, geometry).y);
        graph.output('dx', graph.emit('conv2dBackward', { dy: graph.input('dy', [36, 8]), weight }, geometry).dx);
        return { x: data.map, dy: data.dy };
      });
      await alike(draw, 'LSTM', [4 * width, width], (graph, weight) => {
        graph.output(
          'y',
          graph.emit('lstm', { x: graph.input('x', [3, 4 * width]), weight }, { clips: 1, length: 3 }).y,
        );
        return { x: data.gates };
      });
      await alike(draw, 'product', [70, width], (graph, weight) => {
        graph.output('y', graph.emit('linear', { x: graph.input('x', [3, width]), weight }, { segments: [] }).y);
        const table = graph.emit('embedding', { ids: graph.input('ids', [3], 'u32'), table: weight }, { scale: 1 });
        graph.output('rows', table.y);
        return { x: data.x, ids: Uint32Array.of(69, 0, 33) as never };
      });
    });
  });

  seeded('a norm of a weight and its adapter, as DoRA takes it', async ({ random }) => {
    const format = byteFormat(32, false);
    const [rows, columns, rank] = [40, 20, 2];
    const w = random.normal(rows * columns);
    const a = random.normal(rank * columns);
    const b = random.normal(rows * rank);
    await withByteFormat(format, async (type) => {
      const graph = new Graph();
      const weight = graph.weight('w', { dtype: type, sources: [{ name: 'w', shape: [rows, columns] }] });
      const low = { a: graph.parameter('a', [rank, columns]), b: graph.parameter('b', [rows, rank]) };
      graph.output('norm', graph.emit('doraNorm', { weight, ...low }, { rank, scale: 0.5 }).norm);
      const given = { weights: { w }, parameters: { a, b } };
      const { outputs } = await runGraph(await familyDevice(family), graph, given);
      const values = decodeBytes(format, w);
      const expected = Float64Array.from({ length: rows }, (_, i) => {
        let sum = 0;
        for (let c = 0; c < columns; c++) {
          let delta = 0;
          for (let r = 0; r < rank; r++) delta += b[i * rank + r]! * a[r * columns + c]!;
          sum += (values[i * columns + c]! + 0.5 * delta) ** 2;
        }
        return Math.sqrt(sum);
      });
      expect(relativeError(outputs['norm']!, expected)).toBeLessThan(1e-5);
    });
  });

  test('norms refuse it', async () => {
    await withByteFormat(byteFormat(32, false), async (type) => {
      const device = await familyDevice(family);
      const graph = new Graph();
      const weight = graph.weight('w', { dtype: type, sources: [{ name: 'w', shape: [8] }] });
      graph.output('y', graph.emit('rmsNorm', { x: graph.input('x', [2, 8]), weight }, { eps: 1e-5, offset: 0 }).y);
      expect(() => ProgramPlan.of(graph, device.target, Infinity)).toThrow('for matrices');
    });
  });
});
