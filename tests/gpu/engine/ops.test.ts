import { describe, expect, test } from 'vitest';
import { Graph } from '../../../src/engine/graph.ts';
import { binary, constant, operand, strength, unary } from '../../../src/engine/ops/expression.ts';
import type { Expression } from '../../../src/engine/ops/expression.ts';
import type { DType, Tensor } from '../../../src/engine/tensor.ts';
import { evaluate } from '../../engine-unit/interpreter.ts';
import { Random, packWeights } from '../../support/matmul.ts';
import { slope } from '../../support/kernels.ts';
import { FAMILIES, familyDevice, newSeed, relativeError, runGraph, wide } from './support.ts';
import type { Values } from './support.ts';

const seed = newSeed();
const random = new Random(seed);
const note = `seed ${seed}`;

/** A few sizes: one number, odd, four at a time, more than one workgroup. */
const shapes: readonly (readonly [rows: number, columns: number])[] = [
  [1, 1],
  [3, 5],
  [7, 12],
  [1, 260],
  [33, 20],
  [random.int(2, 90), random.int(1, 90)],
];

const weightOf = (graph: Graph, name: string, shape: readonly number[], dtype: DType = 'f32'): Tensor =>
  graph.weight(name, { dtype, sources: [{ name, shape }] });

describe.each(FAMILIES)('elementwise, %s family', (family) => {
  const expressions: [string, Expression][] = [
    ['x y + row', binary('add', binary('mul', operand(0), operand(1)), operand(2))],
    [
      'x sigmoid(row) / (1 + exp(number))',
      binary(
        'div',
        binary('mul', operand(0), unary('sigmoid', operand(2))),
        binary('add', constant(1), unary('exp', operand(3))),
      ),
    ],
    [
      'tanh(x) sqrt(y²) - log(exp(row)) strength',
      binary(
        'sub',
        binary('mul', unary('tanh', operand(0)), unary('sqrt', binary('mul', operand(1), operand(1)))),
        binary('mul', strength, unary('log', unary('exp', operand(2)))),
      ),
    ],
  ];
  test.each(shapes)('map over %i × %i', async (rows, columns) => {
    for (const [name, expression] of expressions) {
      const graph = new Graph();
      const sizes = [[rows, columns], [rows, columns], [columns], [1]];
      const inputs = Object.fromEntries(
        sizes.map((shape, i) => [`in${i}`, random.normal(shape.reduce((a, b) => a * b))]),
      );
      const operands = sizes.map((shape, i) => graph.input(`in${i}`, shape)) as [Tensor, ...Tensor[]];
      graph.output('y', graph.map(expression, operands));
      const { outputs } = await runGraph(await familyDevice(family), graph, { inputs, step: { strength: 0.3 } });
      const expected = Float64Array.from({ length: rows * columns }, (_, i) => {
        const at = [i, i, i % columns, 0].map((index, j) => inputs[`in${j}`]![index]!);
        return evaluate(expression, at, Math.fround(0.3));
      });
      expect(outputs['y'], note).toHaveLength(expected.length);
      outputs['y']!.forEach((value, i) => {
        expect(
          Math.abs(value - expected[i]!) / (1 + Math.abs(expected[i]!)),
          `${note}, ${name}, element ${i}`,
        ).toBeLessThan(2e-6);
      });
    }
  });

  test('ends of the range: tanh and sigmoid neither overflow nor vanish', async () => {
    const graph = new Graph();
    const x = graph.input('x', [1, 6]);
    graph.output('tanh', graph.map(unary('tanh', operand(0)), [x]));
    graph.output('sigmoid', graph.map(unary('sigmoid', operand(0)), [x]));
    const inputs = { x: Float32Array.of(-200, -88, 0, 20, 89, 1e30) };
    const { outputs } = await runGraph(await familyDevice(family), graph, { inputs });
    expect([...outputs['tanh']!].map((value) => Number(value.toFixed(6)))).toEqual([-1, -1, 0, 1, 1, 1]);
    expect([...outputs['sigmoid']!].map((value) => Number(value.toFixed(6)))).toEqual([0, 0, 0.5, 1, 1, 1]);
  });

  test.each([
    [3, [1, 2, 5]],
    [5, [4, 8, 16]],
    [70, [12, 3, 4]],
    [1, [1, 1, 1]],
  ])('concat of %i rows, %j columns, and its slices', async (rows, widths) => {
    const graph = new Graph();
    const inputs = Object.fromEntries(widths.map((width, i) => [`x${i}`, random.normal(rows * width)]));
    const [x0, x1, x2] = widths.map((width, i) => graph.input(`x${i}`, [rows, width]));
    const { y } = graph.emit('concat', { x0: x0!, x1: x1!, x2: x2! }, {});
    graph.output('y', y);
    let offset = 0;
    for (const [i, width] of widths.entries()) {
      graph.output(`s${i}`, graph.emit('slice', { x: y }, { offset, width }).y);
      offset += width;
    }
    const { outputs } = await runGraph(await familyDevice(family), graph, { inputs });
    for (let row = 0; row < rows; row++) {
      const expected = widths.flatMap((width, i) => [...inputs[`x${i}`]!.slice(row * width, (row + 1) * width)]);
      expect([...outputs['y']!.slice(row * offset, (row + 1) * offset)], note).toEqual(expected);
    }
    widths.forEach((_, i) => expect(outputs[`s${i}`], note).toEqual(inputs[`x${i}`]));
  });

  test.each(shapes)('column sums and sums over %i × %i', async (rows, columns) => {
    const [x, z] = [random.normal(rows * columns), random.normal(rows * columns)];
    const graph = new Graph();
    const [a, b] = [graph.input('x', [rows, columns]), graph.input('z', [rows, columns])];
    graph.output('plain', graph.emit('columnSum', { x: a }, {}).y);
    graph.output('product', graph.emit('columnSum', { x: a, z: b }, {}).y);
    graph.output('all', graph.emit('sum', { x: a }, {}).y);
    const row = graph.parameter('row', [columns]);
    graph.emit('columnSum', { x: a }, {}, { y: graph.gradientOf(row) });
    // Three runs: put, then added twice.
    const { outputs, gradients } = await runGraph(await familyDevice(family), graph, {
      inputs: { x, z },
      parameters: { row: new Float32Array(columns) },
      steps: [{ accumulate: 0 }, { accumulate: 1 }, { accumulate: 1 }],
    });
    const sums = (value: (i: number) => number): Float64Array => {
      const result = new Float64Array(columns);
      for (let i = 0; i < rows * columns; i++) result[i % columns]! += value(i);
      return result;
    };
    const plain = sums((i) => x[i]!);
    const near = (got: Values, expected: Float64Array): void =>
      got.forEach((value, i) =>
        expect(Math.abs(value - expected[i]!), note).toBeLessThan(1e-5 * (1 + Math.sqrt(rows * columns))),
      );
    near(outputs['plain']!, plain);
    near(
      outputs['product']!,
      sums((i) => x[i]! * z[i]!),
    );
    near(outputs['all']!, Float64Array.of(x.reduce((sum, value) => sum + value, 0)));
    near(
      gradients['row']!,
      plain.map((value) => 3 * value),
    );
  });

  test('dropout keeps the share it should, scales what it keeps, and draws anew for each seed and salt', async () => {
    const count = 40_000;
    const p = 0.3;
    const x = random.normal(count).map((value) => value + Math.sign(value));
    const graph = new Graph();
    const input = graph.input('x', [200, 200]);
    const ones = graph.input('ones', [200, 200]);
    graph.output('y', graph.emit('dropout', { x: input }, { p, salt: 1 }).y);
    graph.output('mask', graph.emit('dropout', { x: ones }, { p, salt: 1 }).y);
    graph.output('other', graph.emit('dropout', { x: ones }, { p, salt: 2 }).y);
    graph.output('none', graph.emit('dropout', { x: input }, { p: 0, salt: 3 }).y);
    const run = async (stepSeed: number) =>
      (
        await runGraph(await familyDevice(family), graph, {
          inputs: { x, ones: new Float32Array(count).fill(1) },
          step: { seed: stepSeed },
        })
      ).outputs;
    const first = await run(random.int(0, 2 ** 31));
    const again = await run(random.int(0, 2 ** 31));
    expect(first['none']).toEqual(x);
    const kept = (values: Values): number[] => Array.from(values, (value) => Number(value !== 0));
    const share = (values: Values): number => kept(values).reduce((sum, value) => sum + value, 0) / count;
    for (const mask of [first['mask']!, first['other']!, again['mask']!]) {
      // Five standard deviations of a binomial.
      expect(Math.abs(share(mask) - 0.7), note).toBeLessThan(5 * Math.sqrt((0.7 * 0.3) / count));
    }
    const scale = Math.fround(1 / 0.7);
    first['y']!.forEach((value, i) => {
      const expected = first['mask']![i] === 0 ? 0 : x[i]! * scale;
      if (Math.abs(value - expected) > 1e-6 * Math.abs(expected))
        expect.fail(`${note}: element ${i} is ${value}, not ${expected}`);
    });
    // Independent masks agree in 0.7² + 0.3² of the elements; the same mask in all.
    const agreement = (a: Values, b: Values): number => {
      const [u, v] = [kept(a), kept(b)];
      return u.reduce((sum, value, i) => sum + Number(value === v[i]), 0) / count;
    };
    expect(agreement(first['y']!, first['mask']!)).toBe(1);
    for (const [a, b] of [
      [first['mask'], first['other']],
      [first['mask'], again['mask']],
    ] as const) {
      expect(Math.abs(agreement(a!, b!) - 0.58), note).toBeLessThan(0.02);
    }
  });
});

describe.each(FAMILIES)('the norm of DoRA and the cache, %s family', (family) => {
  test.each(['f32', 'bf16', 'f16'] as const)('‖W + sBA‖ of each row, W stored as %s', async (dtype) => {
    for (const [rows, columns, rank] of [
      [1, 2, 1],
      [5, 6, 3],
      [70, 130, 4],
    ] as const) {
      const { values: w } = packWeights(random.normal(rows * columns), dtype);
      const [a, b] = [random.normal(rank * columns), random.normal(rows * rank)];
      const graph = new Graph();
      const weight = weightOf(graph, 'w', [rows, columns], dtype);
      const low = { a: graph.parameter('a', [rank, columns]), b: graph.parameter('b', [rows, rank]) };
      graph.output('norm', graph.emit('doraNorm', { weight, ...low }, { rank, scale: 0.5 }).norm);
      const { outputs } = await runGraph(await familyDevice(family), graph, { weights: { w }, parameters: { a, b } });
      // What is summed before it is squared: in a row of two, both may cancel.
      let terms = 0;
      const expected = Float64Array.from({ length: rows }, (_, n) => {
        let sum = 0;
        for (let k = 0; k < columns; k++) {
          let value = w[n * columns + k]!;
          terms += value ** 2;
          for (let j = 0; j < rank; j++) {
            const low = 0.5 * b[n * rank + j]! * a[j * columns + k]!;
            terms += low ** 2;
            value += low;
          }
          sum += value * value;
        }
        return Math.sqrt(sum);
      });
      const error = relativeError(outputs['norm']!, expected, Math.sqrt(terms));
      expect(error, `${note}, ${rows} × ${columns}`).toBeLessThan(1e-6);
    }
  });

  test.each([
    [5, 9, 3, 4],
    [8, 24, 8, 12],
  ])('%i rows of %i columns scattered from column %i, width %i', async (rows, columns, offset, width) => {
    const x = random.normal(rows * columns);
    const state = random.normal(20 * width);
    const indices = Uint32Array.from({ length: rows }, (_, i) => (i * 7 + 3) % 20);
    const graph = new Graph();
    const into = graph.state('cache', [20, width]);
    graph.emit(
      'scatterRows',
      { x: graph.input('x', [rows, columns]), indices: graph.input('rows', [rows], 'u32') },
      { offset, width },
      { into },
    );
    const { states } = await runGraph(await familyDevice(family), graph, {
      inputs: { x, rows: indices },
      states: { cache: state },
    });
    const expected = state.slice();
    indices.forEach((to, row) =>
      expected.set(x.slice(row * columns + offset, row * columns + offset + width), to * width),
    );
    expect(states['cache'], note).toEqual(expected);
  });
});

/**
 * -log softmax(x Wᵀ)[label], and its gradient towards x. `terms`: their sizes where the label's probability is 0; where it is
 * nearly 1 both are a difference from 1.
 */
function headReference(
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  labels: Int32Array,
  k: number,
  vocabulary: number,
  scale: number,
) {
  const rows = labels.length;
  const loss = new Float64Array(rows);
  const dx = new Float64Array(rows * k);
  const squares = { loss: 0, dx: 0 };
  for (let t = 0; t < rows; t++) {
    if (labels[t]! < 0) continue;
    squares.loss++;
    for (let i = 0; i < k; i++) squares.dx += (scale * w[labels[t]! * k + i]!) ** 2;
    const logits = Float64Array.from({ length: vocabulary }, (_, v) => {
      let sum = 0;
      for (let i = 0; i < k; i++) sum += x[t * k + i]! * w[v * k + i]!;
      return sum;
    });
    const most = logits.reduce((a, b) => Math.max(a, b));
    const total = most + Math.log(logits.reduce((sum, value) => sum + Math.exp(value - most), 0));
    loss[t] = total - logits[labels[t]!]!;
    logits.forEach((value, v) => {
      const d = scale * (Math.exp(value - total) - Number(v === labels[t]));
      for (let i = 0; i < k; i++) dx[t * k + i]! += d * w[v * k + i]!;
    });
  }
  return { loss, dx, terms: { loss: Math.sqrt(squares.loss), dx: Math.sqrt(squares.dx) } };
}

describe.each(FAMILIES)('classifier head and loss, %s family', (family) => {
  test.each([
    { rows: 1, k: 4, vocabulary: 5, chunkRows: 64, maxBinding: Infinity, dtype: 'f32' },
    { rows: 150, k: 12, vocabulary: 200, chunkRows: 64, maxBinding: Infinity, dtype: 'f32' },
    { rows: 129, k: 20, vocabulary: 333, chunkRows: 128, maxBinding: 64 * 20 * 4, dtype: 'f32' },
    { rows: 70, k: 24, vocabulary: 190, chunkRows: 64, maxBinding: 128 * 24 * 2, dtype: 'bf16' },
    { rows: 5, k: 7, vocabulary: 131, chunkRows: 64, maxBinding: 64 * 7 * 2, dtype: 'f16' },
  ] as const)('$rows rows, $vocabulary words as $dtype, chunks of $chunkRows, bindings of $maxBinding', async (c) => {
    const { rows, k, vocabulary } = c;
    const { values: w } = packWeights(random.normal(vocabulary * k), c.dtype);
    const x = random.normal(rows * k);
    const labels = Int32Array.from({ length: rows }, (_, t) => (t % 5 === 3 ? -100 : random.int(0, vocabulary - 1)));
    const graph = new Graph(c.maxBinding);
    const weight = weightOf(graph, 'w', [vocabulary, k], c.dtype);
    expect(weight.parts?.length ?? 1).toBe(
      c.maxBinding === Infinity
        ? 1
        : Math.ceil(vocabulary / Math.floor(c.maxBinding / (k * (c.dtype === 'f32' ? 4 : 2)))),
    );
    const given = { x: graph.input('x', [rows, k]), weight, labels: graph.input('labels', [rows], 'i32') };
    const head = graph.emit('crossEntropyHead', given, { withGradient: true, chunkRows: c.chunkRows });
    graph.output('loss', head.loss);
    graph.output('dx', head.dx!);
    graph.output(
      'only loss',
      graph.emit('crossEntropyHead', given, { withGradient: false, chunkRows: c.chunkRows }).loss,
    );
    const { outputs } = await runGraph(await familyDevice(family), graph, {
      inputs: { x, labels },
      weights: { w },
      step: { loss_scale: 0.125 },
    });
    const expected = headReference(x, w, labels, k, vocabulary, 0.125);
    const { terms } = expected;
    expect(relativeError(outputs['loss']!, expected.loss, terms.loss), note).toBeLessThan(3e-6);
    expect(relativeError(outputs['dx']!, expected.dx, terms.dx), note).toBeLessThan(5e-6);
    expect(outputs['only loss'], note).toEqual(outputs['loss']);
    labels.forEach((label, t) => {
      if (label >= 0) return;
      expect(outputs['loss']![t]).toBe(0);
      expect(outputs['dx']!.slice(t * k, (t + 1) * k).every((value) => value === 0)).toBe(true);
    });
  });
});

describe.each(FAMILIES)('gradients through whole graphs, %s family', (family) => {
  /**
   * loss = Σ CE(head, z), z = tanh(u) · number + u with u = [a | b], a = x · p (a trained row), b = (x · p + c) · sigmoid(q):
   * maps of every extent, concat, residual sums and two trained rows, against finite differences in float64.
   */
  test.each([
    [6, 5],
    [9, 8],
  ])('trained rows behind maps and a concat, %i rows of %i columns', async (rows, columns) => {
    const vocabulary = 11;
    const data = {
      x: random.normal(rows * columns),
      number: Float32Array.of(0.6),
      c: random.normal(columns),
    };
    const labels = Int32Array.from({ length: rows }, (_, t) => (t === 2 ? -100 : random.int(0, vocabulary - 1)));
    const w = random.normal(vocabulary * 2 * columns).map((value) => 0.5 * value);
    const [p, q] = [random.normal(columns), random.normal(columns)];

    const graph = new Graph();
    const x = graph.input('x', [rows, columns]);
    const row = { p: graph.parameter('p', [columns]), q: graph.parameter('q', [columns]) };
    const a = graph.multiply(x, row.p);
    const gate = binary('mul', binary('add', operand(0), operand(1)), unary('sigmoid', operand(2)));
    const b = graph.map(gate, [a, graph.input('c', [columns]), row.q]);
    const u = graph.emit('concat', { x0: a, x1: b }, {}).y;
    const squashed = binary('add', binary('mul', unary('tanh', operand(0)), operand(1)), operand(0));
    const z = graph.map(squashed, [u, graph.input('number', [1])]);
    const head = {
      x: z,
      weight: weightOf(graph, 'w', [vocabulary, 2 * columns]),
      labels: graph.input('labels', [rows], 'i32'),
    };
    const { loss } = graph.emit('crossEntropyHead', head, { withGradient: true, chunkRows: 64 });
    graph.output('loss', graph.emit('sum', { x: loss }, {}).y);
    graph.backward();
    const { outputs, gradients } = await runGraph(await familyDevice(family), graph, {
      inputs: { ...data, labels },
      weights: { w },
      parameters: { p, q },
    });

    const wideP = wide(p);
    const wideQ = wide(q);
    const model = (): number => {
      const made = new Float64Array(rows * 2 * columns);
      for (let t = 0; t < rows; t++) {
        for (let i = 0; i < columns; i++) {
          const left = data.x[t * columns + i]! * wideP[i]!;
          const right = (left + data.c[i]!) / (1 + Math.exp(-wideQ[i]!));
          for (const [value, at] of [
            [left, i],
            [right, columns + i],
          ] as const) {
            made[t * 2 * columns + at] = Math.tanh(value) * data.number[0]! + value;
          }
        }
      }
      return headReference(made, w, labels, 2 * columns, vocabulary, 1).loss.reduce((sum, value) => sum + value, 0);
    };
    expect(Math.abs(outputs['loss']![0]! / model() - 1), note).toBeLessThan(2e-6);
    for (const [key, values] of [
      ['p', wideP],
      ['q', wideQ],
    ] as const) {
      const expected = values.map((_, i) => slope(model, values, i));
      expect(relativeError(gradients[key]!, expected), `${note}, d${key}`).toBeLessThan(2e-5);
    }
  });

  test('a row parameter trained on a single row', async () => {
    const columns = 6;
    const [x, p, w] = [random.normal(columns), random.normal(columns), random.normal(5 * columns)];
    const graph = new Graph();
    const scaled = graph.multiply(graph.input('x', [1, columns]), graph.parameter('p', [columns]));
    const head = { x: scaled, weight: weightOf(graph, 'w', [5, columns]), labels: graph.input('labels', [1], 'i32') };
    graph.output('loss', graph.emit('crossEntropyHead', head, { withGradient: true, chunkRows: 64 }).loss);
    graph.backward();
    const { gradients } = await runGraph(await familyDevice(family), graph, {
      inputs: { x, labels: Int32Array.of(3) },
      weights: { w },
      parameters: { p },
    });
    const { dx } = headReference(
      x.map((value, i) => value * p[i]!),
      w,
      Int32Array.of(3),
      columns,
      5,
      1,
    );
    const expected = dx.map((value, i) => value * x[i]!);
    // Where the label is all but certain the gradient is a difference from this.
    const least = Math.hypot(...x.map((value, i) => value * w[3 * columns + i]!));
    expect(relativeError(gradients['p']!, expected, least), note).toBeLessThan(5e-6);
  });

  test('LoRA with dropout, bias and residual, and a second layer that hands its gradient on', async () => {
    const [rows, k, n, vocabulary, rank, scale, p] = [7, 12, 8, 9, 3, 0.5, 0.4];
    const data = { x: random.normal(rows * k), residual: random.normal(rows * n) };
    const labels = Int32Array.from({ length: rows }, () => random.int(0, vocabulary - 1));
    const weights = {
      w1: random.normal(n * k),
      bias: random.normal(n),
      w2: random.normal(n * n),
      head: random.normal(vocabulary * n),
    };
    const parameters = {
      a1: random.normal(rank * k),
      b1: random.normal(n * rank),
      a2: random.normal(rank * n),
      b2: random.normal(n * rank),
    };
    const graph = new Graph();
    const x = graph.input('x', [rows, k]);
    const segments = [{ columns: n, rank, scale, hOffset: 0, bOffset: 0 }];
    const { y: dropped } = graph.emit('dropout', { x }, { p, salt: 5 });
    const y1 = graph.emit(
      'linear',
      {
        x,
        loraInput: dropped,
        weight: weightOf(graph, 'w1', [n, k]),
        bias: weightOf(graph, 'bias', [n]),
        residual: graph.input('residual', [rows, n]),
        a: graph.parameter('a1', [rank, k]),
        b: graph.parameter('b1', [n, rank]),
      },
      { segments },
    ).y;
    const { y: dropped2 } = graph.emit('dropout', { x: y1 }, { p, salt: 6 });
    const y2 = graph.emit(
      'linear',
      {
        x: y1,
        loraInput: dropped2,
        weight: weightOf(graph, 'w2', [n, n]),
        residual: y1,
        a: graph.parameter('a2', [rank, n]),
        b: graph.parameter('b2', [n, rank]),
      },
      { segments },
    ).y;
    const head = {
      x: y2,
      weight: weightOf(graph, 'head', [vocabulary, n]),
      labels: graph.input('labels', [rows], 'i32'),
    };
    const { loss } = graph.emit('crossEntropyHead', head, { withGradient: true, chunkRows: 64 });
    graph.output('loss', graph.emit('sum', { x: loss }, {}).y);
    graph.output('mask1', graph.emit('dropout', { x: graph.input('ones1', [rows, k]) }, { p, salt: 5 }).y);
    graph.output('mask2', graph.emit('dropout', { x: graph.input('ones2', [rows, n]) }, { p, salt: 6 }).y);
    graph.backward();
    const { outputs, gradients } = await runGraph(await familyDevice(family), graph, {
      inputs: { ...data, labels, ones1: new Float32Array(rows * k).fill(1), ones2: new Float32Array(rows * n).fill(1) },
      weights,
      parameters,
      step: { seed: 77 },
    });
    const low = Object.fromEntries(Object.entries(parameters).map(([key, values]) => [key, wide(values)])) as Record<
      keyof typeof parameters,
      Float64Array
    >;
    const layer = (
      input: Float64Array,
      width: number,
      w: Values,
      a: Float64Array,
      b: Float64Array,
      mask: Values,
    ): Float64Array =>
      Float64Array.from({ length: rows * n }, (_, i) => {
        const [t, c] = [Math.floor(i / n), i % n];
        let sum = 0;
        for (let j = 0; j < width; j++) {
          let weight = w[c * width + j]!;
          for (let r = 0; r < rank; r++) weight += scale * b[c * rank + r]! * a[r * width + j]! * mask[t * width + j]!;
          sum += weight * input[t * width + j]!;
        }
        return sum;
      });
    const model = (): number => {
      const first = layer(wide(data.x), k, weights.w1, low.a1, low.b1, outputs['mask1']!).map(
        (v, i) => v + weights.bias[i % n]! + data.residual[i]!,
      );
      const second = layer(first, n, weights.w2, low.a2, low.b2, outputs['mask2']!).map((v, i) => v + first[i]!);
      return headReference(second, weights.head, labels, n, vocabulary, 1).loss.reduce((sum, value) => sum + value, 0);
    };
    expect(Math.abs(outputs['loss']![0]! / model() - 1), note).toBeLessThan(5e-6);
    for (const key of ['a1', 'b1', 'a2', 'b2'] as const) {
      const expected = low[key].map((_, i) => slope(model, low[key], i));
      expect(relativeError(gradients[key]!, expected), `${note}, d${key}`).toBeLessThan(3e-5);
    }
  });
});
