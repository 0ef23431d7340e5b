import { describe, expect, test } from 'vitest';
import { Graph } from '../../../src/engine/graph.ts';
import { binary, constant, operand, strength, unary } from '../../../src/engine/ops/expression.ts';
import type { Expression } from '../../../src/engine/ops/expression.ts';
import type { Tensor } from '../../../src/engine/tensor.ts';
import { evaluate } from '../../engine/interpreter.ts';
import { FAMILIES, familyDevice, runGraph } from './support.ts';
import type { Values } from './support.ts';
import type { Random } from '../../support/matmul.ts';
import { seeded } from '../../support/seeds.ts';

/** A few sizes: one number, odd, four at a time, more than one workgroup. */
const shapes: readonly (readonly [rows: number, columns: number])[] = [
  [1, 1],
  [3, 5],
  [7, 12],
  [1, 260],
  [33, 20],
];
const anyShape = (sizes: Random): readonly [number, number] => [sizes.int(2, 90), sizes.int(1, 90)];

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
  seeded.each(shapes, anyShape)('map over %i × %i', async ({ random, note }, [rows, columns]) => {
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
      const away = outputs['y']!.map((value, i) => Math.abs(value - expected[i]!) / (1 + Math.abs(expected[i]!)));
      // WGSL's exp and log are good to a few last places, exp to one more for each half of |x|: under 15 of them here.
      expect(Math.max(...away), `${note}, ${name}`).toBeLessThan(2e-6);
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

  seeded.each([
    [3, [1, 2, 5]],
    [5, [4, 8, 16]],
    [70, [12, 3, 4]],
    [1, [1, 1, 1]],
  ])('concat of %i rows, %j columns, and its slices', async ({ random, note }, [rows, widths]) => {
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

  seeded.each(shapes, anyShape)('column sums and sums over %i × %i', async ({ random, note }, [rows, columns]) => {
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
    // Roundings are of either sign: those of a sum of n normal numbers come to 2^-24 · n / 2, which is 1e-5 · √n at n = 1e5.
    const near = (got: Values, expected: Float64Array): void => {
      const away = got.map((value, i) => Math.abs(value - expected[i]!));
      expect(Math.max(...away), note).toBeLessThan(1e-5 * (1 + Math.sqrt(rows * columns)));
    };
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

  seeded(
    'dropout keeps the share it should, scales what it keeps, and draws anew for each seed and salt',
    async ({ random, note }) => {
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
      // Hoeffding: the mean of n draws from 0 to 1 is this far from what is expected once in 10^12 times.
      const apart = Math.sqrt(Math.log(2e12) / (2 * count));
      for (const mask of [first['mask']!, first['other']!, again['mask']!]) {
        expect(Math.abs(share(mask) - 0.7), note).toBeLessThan(apart);
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
        expect(Math.abs(agreement(a!, b!) - 0.58), note).toBeLessThan(apart);
      }
    },
  );
});
