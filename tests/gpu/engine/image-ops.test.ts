import { describe, expect, test } from 'vitest';
import { Graph } from '../../../src/engine/graph.ts';
import { binary, gelu, geluTanh, operand, quickGelu, silu, unary } from '../../../src/engine/ops/expression.ts';
import type { Tensor } from '../../../src/engine/tensor.ts';
import { evaluate } from '../../engine/interpreter.ts';
import { makeRanges, inverseRanges, reference } from '../../support/attention.ts';
import { erf } from '../../support/erf.ts';
import { slope } from '../../support/kernels.ts';
import { normReference } from '../../support/norms.ts';
import { FAMILIES, familyDevice, relativeError, runGraph, wide } from './support.ts';
import type { Values } from './support.ts';
import { seeded } from '../../support/seeds.ts';

const weightOf = (graph: Graph, name: string, shape: readonly number[]): Tensor =>
  graph.weight(name, { dtype: 'f32', sources: [{ name, shape }] });

describe.each(FAMILIES)('elementwise for images, %s family', (family) => {
  test('erf to the seventh digit, and the activations made of it and of sigmoid', async () => {
    const count = 20_000;
    const x = Float32Array.from({ length: count }, (_, i) => (i / (count - 1) - 0.5) * 12);
    const graph = new Graph();
    const input = graph.input('x', [count / 4, 4]);
    const made = { silu, quickGelu, gelu, geluTanh };
    graph.output('erf', graph.map(unary('erf', operand(0)), [input]));
    for (const [name, of] of Object.entries(made)) graph.output(name, graph.map(of(operand(0)), [input]));
    const { outputs } = await runGraph(await familyDevice(family), graph, { inputs: { x } });
    const worst = (got: Values, expected: (value: number) => number): number =>
      got.reduce((most, value, i) => Math.max(most, Math.abs(value - expected(x[i]!))), 0);
    expect(worst(outputs['erf']!, erf)).toBeLessThan(2e-7);
    for (const [name, of] of Object.entries(made)) {
      const e = of(operand(0));
      expect(
        worst(outputs[name]!, (value) => evaluate(e, [value], 1)),
        name,
      ).toBeLessThan(1e-6);
    }
  });

  seeded.each(
    [
      [6, 2, 5],
      [8, 4, 12],
    ],
    (sizes) => [sizes.int(2, 9) * 3, 3, sizes.int(2, 40)],
  )(
    '%i rows in %i groups of %i columns: an operand of one row a group',
    async ({ random, note }, [rows, groups, columns]) => {
      const inputs = {
        x: random.normal(rows * columns),
        each: random.normal(groups * columns),
        halves: random.normal(columns),
      };
      const graph = new Graph();
      const expression = binary('add', binary('mul', operand(0), operand(1)), operand(2));
      const x = graph.input('x', [rows, columns]);
      const y = graph.map(expression, [x, graph.input('each', [groups, columns]), graph.input('halves', [columns])]);
      graph.output('y', y);
      const { outputs } = await runGraph(await familyDevice(family), graph, { inputs });
      const expected = Float64Array.from({ length: rows * columns }, (_, i) => {
        const [row, c] = [Math.floor(i / columns), i % columns];
        return inputs.x[i]! * inputs.each[Math.floor(row / (rows / groups)) * columns + c]! + inputs.halves[c]!;
      });
      const terms = expected.map(
        (value, i) => Math.abs(value - inputs.halves[i % columns]!) + Math.abs(inputs.halves[i % columns]!),
      );
      // Two roundings of 2^-24, of no more than the terms.
      expect(relativeError(outputs['y']!, expected, Math.hypot(...terms)), note).toBeLessThan(2e-7);
    },
  );

  seeded.each(
    [
      [2, 3, 7],
      [3, 300, 5],
      [1, 1500, 12],
    ],
    (sizes) => [sizes.int(1, 4), sizes.int(100, 400), sizes.int(4, 40)],
  )('sums of columns over %i groups of %i rows, %i columns', async ({ random, note }, [groups, groupRows, columns]) => {
    const count = groups * groupRows * columns;
    const [x, z] = [random.normal(count), random.normal(count)];
    const graph = new Graph();
    const [a, b] = [graph.input('x', [groups * groupRows, columns]), graph.input('z', [groups * groupRows, columns])];
    graph.output('y', graph.emit('columnSum', { x: a, z: b }, { groups }).y);
    // The gradient of a row is added up over two runs.
    graph.emit('columnSum', { x: a }, {}, { y: graph.gradientOf(graph.parameter('row', [columns])) });
    const { outputs, gradients } = await runGraph(await familyDevice(family), graph, {
      inputs: { x, z },
      parameters: { row: new Float32Array(columns) },
      steps: [{ accumulate: 0 }, { accumulate: 1 }],
    });
    const y = new Float64Array(groups * columns);
    const row = new Float64Array(columns);
    for (let i = 0; i < count; i++) {
      y[Math.floor(i / (groupRows * columns)) * columns + (i % columns)]! += x[i]! * z[i]!;
      row[i % columns]! += 2 * x[i]!;
    }
    // Against what sums of so many normal numbers are on average, since a few may cancel. Partial sums grow as √n, and their
    // roundings are of either sign: all of a sum come to 2^-24 · √n / 2 of its size, 1.2e-6 for the longest (1,500 and 1,600 rows)
    // were they added one by one; they are added in parts. The second sum is rounded once more when it is added to.
    const size = (length: number, rows: number): number => Math.sqrt(length * rows);
    expect(relativeError(outputs['y']!, y, size(y.length, groupRows)), note).toBeLessThan(2e-6);
    expect(relativeError(gradients['row']!, row, size(4 * columns, groups * groupRows)), note).toBeLessThan(5e-6);
  });

  seeded.each(
    [
      [1, 1],
      [70, 4],
      [5, 3],
      [9, 260],
    ],
    (sizes) => [sizes.int(1, 90), sizes.int(1, 90)],
  )('the squared error of %i rows of %i columns, and its gradient', async ({ random, note }, [rows, columns]) => {
    const inputs = {
      x: random.normal(rows * columns),
      target: random.normal(rows * columns),
      weight: random.normal(rows),
    };
    const graph = new Graph();
    const given = {
      x: graph.input('x', [rows, columns]),
      target: graph.input('target', [rows, columns]),
      weight: graph.input('weight', [rows]),
    };
    const { loss, dx } = graph.emit('squaredError', given, { withGradient: true });
    graph.output('loss', loss);
    graph.output('dx', dx!);
    graph.output('plain', graph.emit('squaredError', given, { withGradient: false }).loss);
    const { outputs } = await runGraph(await familyDevice(family), graph, { inputs, step: { loss_scale: 0.25 } });
    const away = wide(inputs.x).map((value, i) => value - inputs.target[i]!);
    const expected = Float64Array.from({ length: rows }, (_, r) =>
      away.subarray(r * columns, (r + 1) * columns).reduce((sum, value) => sum + inputs.weight[r]! * value ** 2, 0),
    );
    // The terms of a row have one sign, and x and target are exact: nothing cancels.
    expect(relativeError(outputs['loss']!, expected), note).toBeLessThan(1e-6);
    expect(outputs['plain'], note).toEqual(outputs['loss']);
    const slopes = away.map((value, i) => 0.25 * 2 * inputs.weight[Math.floor(i / columns)]! * value);
    expect(relativeError(outputs['dx']!, slopes), note).toBeLessThan(1e-6);
  });
});

describe.each(FAMILIES)('one wide head, %s family', (family) => {
  seeded.each([
    { mask: 'full', queries: 50, keys: 50, headDim: 512, packed: false },
    { mask: 'images', queries: 150, keys: 33, headDim: 260, packed: true },
    { mask: 'padded', queries: 24, keys: 24, headDim: 257, packed: false },
  ])(
    '$mask, $queries queries, $keys keys, $headDim elements',
    async ({ random, note }, { mask, queries, keys, headDim, packed }) => {
      const ranges = makeRanges(mask, queries, keys);
      const kvColumns = packed ? 2 * headDim : headDim;
      const data = { q: random.normal(queries * headDim), k: random.normal(keys * kvColumns) };
      const v = packed ? data.k : random.normal(keys * headDim);
      const graph = new Graph();
      const k = graph.input('k', [keys, kvColumns]);
      const attributes = { heads: 1, kvHeads: 1, headDim, scale: headDim ** -0.5 };
      const offsets = { qOffset: 0, kOffset: 0, vOffset: packed ? headDim : 0 };
      const { o, lse } = graph.emit(
        'attention',
        {
          q: graph.input('q', [queries, headDim]),
          k,
          v: packed ? k : graph.input('v', [keys, headDim]),
          keyRanges: graph.input('keyRanges', [queries, 2], 'u32'),
        },
        { ...attributes, ...offsets },
      );
      graph.output('o', o);
      graph.output('lse', lse);
      const { outputs } = await runGraph(await familyDevice(family), graph, {
        inputs: { ...data, ...(!packed && { v }), keyRanges: ranges },
      });
      const shape = {
        ...{ ...attributes, queries, keys },
        q: { stride: headDim, offset: 0 },
        k: { stride: kvColumns, offset: 0 },
        v: { stride: kvColumns, offset: offsets.vOffset },
        o: { stride: headDim, offset: 0 },
      };
      const expected = reference(shape, { q: wide(data.q), k: wide(data.k), v: wide(v) }, ranges);
      expect(relativeError(outputs['o']!, expected.o), note).toBeLessThan(5e-6);
      outputs['lse']!.forEach((value, i) =>
        expect(Math.abs(value - expected.lse[i]!) / (1 + Math.abs(expected.lse[i]!)), `${note}, row ${i}`).toBeLessThan(
          1e-5,
        ),
      );
    },
  );
});

const [IMAGES, PIXELS, CONTEXT, C, HEADS] = [2, 6, 5, 8, 2];
const ROWS = IMAGES * PIXELS;
const WEIGHTS = { q: [C, C], kv: [2 * C, C], qkv: [3 * C, C], up: [6 * C, C], down: [C, 3 * C] } as const;
const VECTORS = ['gnWeight', 'gnBias', 'lnWeight', 'lnBias'] as const;
const EPS = 1e-5;
const own = (queriesEach: number, keysEach: number): Uint32Array<ArrayBuffer> =>
  Uint32Array.from(
    Array.from({ length: IMAGES * queriesEach }, (_, t) => {
      const image = Math.floor(t / queriesEach);
      return [image * keysEach, (image + 1) * keysEach];
    }).flat(),
  );

/** What a block of an image model is made of, around three trained rows: of the image, of the time, of the context. */
function imageBlock(graph: Graph, trained: { image: boolean; context: boolean }): void {
  const attributes = { heads: HEADS, kvHeads: HEADS, headDim: C / HEADS, scale: 0.6 };
  const none = { segments: [] };
  const vector = (name: string): Tensor => weightOf(graph, name, [C]);
  const weight = (name: keyof typeof WEIGHTS): Tensor => weightOf(graph, name, WEIGHTS[name]);
  const linear = (x: Tensor, name: keyof typeof WEIGHTS, residual?: Tensor): Tensor =>
    graph.emit('linear', { x, weight: weight(name), ...(residual && { residual }) }, none).y;
  const range = (name: string, rows: number): Tensor => graph.input(name, [rows, 2], 'u32');
  const given = (name: string, rows: number, isTrained: boolean): Tensor => {
    const x = graph.input(name, [rows, C]);
    return isTrained ? graph.multiply(x, graph.parameter(`p ${name}`, [C])) : x;
  };
  const image = given('image', ROWS, trained.image);
  const context = given('context', IMAGES * CONTEXT, trained.context);
  const time = given('time', IMAGES, trained.image);
  const affine = { weight: vector('gnWeight'), bias: vector('gnBias') };
  const normed = graph.emit(
    'groupNorm',
    { x: image, ...affine },
    { images: IMAGES, groups: 4, eps: EPS, activation: 'silu' },
  ).y;
  const timed = graph.add(normed, time);
  const layered = graph.emit(
    'layerNorm',
    { x: timed, weight: vector('lnWeight'), bias: vector('lnBias') },
    { eps: EPS },
  ).y;
  const qkv = linear(layered, 'qkv');
  const self = graph.emit(
    'attention',
    { q: qkv, k: qkv, v: qkv, keyRanges: range('selfRanges', ROWS), queryRanges: range('selfRanges', ROWS) },
    { ...attributes, qOffset: 0, kOffset: C, vOffset: 2 * C, density: 1 / IMAGES },
  ).o;
  const x = graph.add(self, timed);
  const kv = linear(context, 'kv');
  const cross = graph.emit(
    'attention',
    {
      ...{ q: linear(x, 'q'), k: kv, v: kv, keyRanges: range('contextRanges', ROWS) },
      queryRanges: range('imageRanges', IMAGES * CONTEXT),
    },
    { ...attributes, qOffset: 0, kOffset: 0, vOffset: C },
  ).o;
  const mixed = graph.add(cross, x);
  const gated = graph.emit('gatedActivation', { x: linear(mixed, 'up') }, { activation: 'gelu', gate: 'second' }).y;
  const y = linear(gated, 'down', mixed);
  const { loss } = graph.emit(
    'squaredError',
    { x: y, target: graph.input('target', [ROWS, C]), weight: graph.input('weight', [ROWS]) },
    { withGradient: true },
  );
  graph.output('loss', graph.emit('sum', { x: loss }, {}).y);
  graph.backward();
}

type Named = Record<string, Float64Array>;

function imageModel(inputs: Named, weights: Named, parameters: Named): number {
  const product = (x: Float64Array, name: keyof typeof WEIGHTS): Float64Array => {
    const [n, k] = WEIGHTS[name];
    return Float64Array.from({ length: (x.length / k) * n }, (_, i) => {
      let sum = 0;
      for (let j = 0; j < k; j++) sum += x[Math.floor(i / n) * k + j]! * weights[name]![(i % n) * k + j]!;
      return sum;
    });
  };
  const given = (name: string): Float64Array =>
    inputs[name]!.map((value, i) => value * (parameters[`p ${name}`]?.[i % C] ?? 1));
  const plus = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value + b[i]!);
  const attend = (
    arrays: { q: Float64Array; k: Float64Array; v: Float64Array },
    strides: readonly [number, number],
    offsets: readonly [number, number, number],
    ranges: Uint32Array<ArrayBuffer>,
  ): Float64Array =>
    reference(
      {
        ...{ queries: ROWS, keys: arrays.k.length / strides[1], heads: HEADS, kvHeads: HEADS },
        ...{ headDim: C / HEADS, scale: 0.6, o: { stride: C, offset: 0 } },
        q: { stride: strides[0], offset: offsets[0] },
        k: { stride: strides[1], offset: offsets[1] },
        v: { stride: strides[1], offset: offsets[2] },
      },
      arrays,
      ranges,
    ).o;
  const groups = { images: IMAGES, pixels: PIXELS, channels: C, groups: 4, eps: EPS, activation: 'silu' } as const;
  const layers = { images: ROWS, pixels: 1, channels: C, groups: 1, eps: EPS, activation: null };
  const normed = normReference(groups, given('image'), weights['gnWeight']!, weights['gnBias']!).y;
  const time = given('time');
  const timed = normed.map((value, i) => value + time[Math.floor(i / (PIXELS * C)) * C + (i % C)]!);
  const qkv = product(normReference(layers, timed, weights['lnWeight']!, weights['lnBias']!).y, 'qkv');
  const x = plus(attend({ q: qkv, k: qkv, v: qkv }, [3 * C, 3 * C], [0, C, 2 * C], own(PIXELS, PIXELS)), timed);
  const kv = product(given('context'), 'kv');
  const mixed = plus(attend({ q: product(x, 'q'), k: kv, v: kv }, [C, 2 * C], [0, 0, C], own(PIXELS, CONTEXT)), x);
  const up = product(mixed, 'up');
  const gated = Float64Array.from({ length: ROWS * 3 * C }, (_, i) => {
    const at = Math.floor(i / (3 * C)) * 6 * C + (i % (3 * C));
    const gate = up[at + 3 * C]!;
    return (up[at]! * gate * (1 + erf(gate / Math.SQRT2))) / 2;
  });
  const y = plus(product(gated, 'down'), mixed);
  return y.reduce(
    (sum, value, i) => sum + inputs['weight']![Math.floor(i / C)]! * (value - inputs['target']![i]!) ** 2,
    0,
  );
}

describe.each(FAMILIES)('gradients through an image block, %s family', (family) => {
  seeded.each([
    { image: true, context: true },
    { image: true, context: false },
    { image: false, context: true },
  ])('trained: image and time $image, context $context', async ({ random, note }, trained) => {
    const inputs = {
      image: random.normal(ROWS * C),
      context: random.normal(IMAGES * CONTEXT * C),
      time: random.normal(IMAGES * C),
      target: random.normal(ROWS * C),
      weight: random.normal(ROWS).map(Math.abs),
    };
    const weights: Record<string, Values> = Object.fromEntries([
      ...Object.entries(WEIGHTS).map(([name, [n, k]]) => [name, random.normal(n * k).map((w) => w / Math.sqrt(k))]),
      ...VECTORS.map((name) => [name, random.normal(C)]),
    ]) as Record<string, Values>;
    const names = [...(trained.image ? ['p image', 'p time'] : []), ...(trained.context ? ['p context'] : [])];
    const parameters = Object.fromEntries(names.map((name) => [name, random.normal(C)]));
    const graph = new Graph();
    imageBlock(graph, trained);
    const contextRanges = own(PIXELS, CONTEXT);
    const ranges = {
      selfRanges: own(PIXELS, PIXELS),
      contextRanges,
      imageRanges: inverseRanges(contextRanges, IMAGES * CONTEXT),
    };
    const { outputs, gradients } = await runGraph(await familyDevice(family), graph, {
      inputs: { ...inputs, ...ranges },
      weights,
      parameters,
    });
    const precise = (record: Record<string, Values>): Named =>
      Object.fromEntries(Object.entries(record).map(([name, values]) => [name, wide(values)]));
    const [i, w, p] = [precise(inputs), precise(weights), precise(parameters)];
    const model = (): number => imageModel(i, w, p);
    expect(Math.abs(outputs['loss']![0]! / model() - 1), note).toBeLessThan(1e-5);
    for (const name of names) {
      const expected = p[name]!.map((_, at) => slope(model, p[name]!, at));
      expect(relativeError(gradients[name]!, expected), `${note}, ${name}`).toBeLessThan(1e-4);
    }
  });
});
