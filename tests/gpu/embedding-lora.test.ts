import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/engine/graph.ts';
import { slope } from '../support/kernels.ts';
import { relativeError } from '../support/matmul.ts';
import { FAMILIES, familyDevice, runGraph, wide } from './engine/support.ts';
import { seeded } from '../support/seeds.ts';

interface Case {
  rows: number;
  columns: number;
  vocabulary: number;
  rank: number;
}

const STRENGTH = 0.75;
const SCALE = 2;

describe.each(FAMILIES)('LoRA of an embedding, %s family', (family) => {
  seeded.each<Case>(
    [
      { rows: 9, columns: 12, vocabulary: 5, rank: 4 },
      { rows: 130, columns: 64, vocabulary: 66, rank: 8 },
    ],
    (sizes) => ({
      rows: sizes.int(9, 16),
      columns: sizes.int(2, 90),
      vocabulary: sizes.int(1, 200),
      rank: sizes.int(1, 9),
    }),
  )(
    '$rows ids of $vocabulary, $columns wide, rank $rank',
    async ({ random, note }, { rows, columns, vocabulary, rank }) => {
      const ids = Uint32Array.from({ length: rows }, () => random.int(0, vocabulary - 1));
      const values = {
        table: random.normal(vocabulary * columns),
        a: random.normal(rank * vocabulary),
        b: random.normal(columns * rank),
        wanted: random.normal(rows * columns),
      };
      const graph = new Graph();
      const idsTensor = graph.input('ids', [rows], 'u32');
      const table = graph.weight('table', { dtype: 'f32', sources: [{ name: 'table', shape: [vocabulary, columns] }] });
      const x = graph.emit('embedding', { ids: idsTensor, table }, { scale: 1 }).y;
      const { y } = graph.emit(
        'embeddingLora',
        { x, ids: idsTensor, a: graph.parameter('a', [rank, vocabulary]), b: graph.parameter('b', [columns, rank]) },
        { rank, scale: SCALE },
      );
      graph.output('y', y);
      graph.emit(
        'squaredError',
        { x: y, target: graph.input('wanted', [rows, columns]), weight: graph.input('weight', [rows]) },
        { withGradient: true },
      );
      graph.backward();
      // Three runs: the gradient is put, then added twice.
      const { outputs, gradients } = await runGraph(await familyDevice(family), graph, {
        inputs: { ids, wanted: values.wanted, weight: new Float32Array(rows).fill(1) },
        weights: { table: values.table },
        parameters: { a: values.a, b: values.b },
        steps: [0, 1, 1].map((accumulate) => ({ accumulate, strength: STRENGTH, loss_scale: 0.5 })),
      });
      const [a, b] = [wide(values.a), wide(values.b)];
      let given = { table: values.table, wanted: values.wanted };
      const result = (): Float64Array =>
        Float64Array.from({ length: rows * columns }, (_, i) => {
          const id = ids[Math.floor(i / columns)]!;
          const n = i % columns;
          let sum = given.table[id * columns + n]!;
          for (let j = 0; j < rank; j++) sum += SCALE * STRENGTH * b[n * rank + j]! * a[j * vocabulary + id]!;
          return sum;
        });
      expect(relativeError(outputs['y']!, result(), 1 + rank), note).toBeLessThan(2e-6);
      const loss = (): number => 0.5 * result().reduce((sum, value, i) => sum + (value - given.wanted[i]!) ** 2, 0);
      // Some of each, and always the ids that occur; of those that do not the gradient is 0 to the last bit.
      const sample = (length: number): number[] => Array.from({ length: 40 }, () => random.int(0, length - 1));
      const slopes = (data: Float64Array, places: number[]) => places.map((i) => 3 * slope(loss, data, i, 1e-4));
      const places = { a: [...sample(a.length), ids[0]!], b: sample(b.length) };
      const expected = { a: slopes(a, places.a), b: slopes(b, places.b) };
      // The same of absolute values, nothing subtracted: the sizes of what the gradients are sums of.
      given = { table: values.table.map(Math.abs), wanted: values.wanted.map((value) => -Math.abs(value)) };
      for (const data of [a, b]) data.forEach((value, i) => (data[i] = Math.abs(value)));
      const terms = { a: slopes(a, places.a), b: slopes(b, places.b) };
      for (const name of ['a', 'b'] as const) {
        const away = places[name].map((i, at) => gradients[name]![i]! - expected[name][at]!);
        expect(Math.hypot(...terms[name]), note).toBeGreaterThan(0);
        // As many roundings of 2^-24 as there are terms one after the other: in y, along its columns, over the rows.
        const roundings = rank + columns + rows + 10;
        expect(Math.hypot(...away), `${note}, d${name}`).toBeLessThan(
          roundings * 2 ** -24 * Math.hypot(...terms[name]),
        );
      }
      const used = new Set(ids);
      gradients['a']!.forEach((value, i) => {
        if (!used.has(i % vocabulary)) expect(value, `${note}, id ${i % vocabulary}`).toBe(0);
      });
    },
  );

  seeded('two codebooks one after the other, and the adapter switched off', async ({ random, note }) => {
    const [rows, columns, vocabulary, rank] = [9, 12, 10, 4];
    const graph = new Graph();
    const x = graph.input('x', [rows, columns]);
    const books = [0, 1].map((i) => ({
      ids: Uint32Array.from({ length: rows }, () => random.int(0, vocabulary - 1)),
      a: random.normal(rank * vocabulary),
      b: random.normal(columns * rank),
      key: (name: string) => `${name}${i}`,
    }));
    let y = x;
    for (const { key } of books) {
      const ids = graph.input(key('ids'), [rows], 'u32');
      const low = {
        a: graph.parameter(key('a'), [rank, vocabulary]),
        b: graph.parameter(key('b'), [columns, rank]),
      };
      y = graph.emit('embeddingLora', { x: y, ids, ...low }, { rank, scale: 1 }).y;
    }
    graph.output('y', y);
    const data = random.normal(rows * columns);
    const inputs = Object.fromEntries(books.map(({ ids, key }) => [key('ids'), ids]));
    const parameters = Object.fromEntries(
      books.flatMap(({ a, b, key }) => [[key('a'), a] as const, [key('b'), b] as const]),
    );
    for (const strength of [0, 1]) {
      const { outputs } = await runGraph(await familyDevice(family), graph, {
        inputs: { ...inputs, x: data },
        parameters,
        step: { strength },
      });
      if (strength === 0) {
        expect(outputs['y'], note).toEqual(data);
        continue;
      }
      const expected = Float64Array.from(data, (value, i) => {
        for (const { ids, a, b } of books) {
          for (let j = 0; j < rank; j++)
            value += b[(i % columns) * rank + j]! * a[j * vocabulary + ids[Math.floor(i / columns)]!]!;
        }
        return value;
      });
      expect(relativeError(outputs['y']!, expected, 1 + 2 * rank), note).toBeLessThan(2e-6);
    }
  });
});

test('sizes that do not fit are refused', () => {
  const graph = new Graph();
  const x = graph.input('x', [4, 6]);
  const ids = graph.input('ids', [4], 'u32');
  const [a, b] = [graph.parameter('a', [2, 9]), graph.parameter('b', [6, 2])];
  const emit = (inputs: object, rank = 2) =>
    graph.emit('embeddingLora', { x, ids, a, b, ...inputs }, { rank, scale: 1 }).h.shape;
  expect(emit({})).toEqual([4, 2]);
  expect(() => emit({}, 3)).toThrow(/not \[3,9\]/);
  expect(() => emit({}, 0)).toThrow(/rank above 0/);
  expect(() => emit({ b: graph.parameter('short', [5, 2]) })).toThrow(/not \[6,2\]/);
  expect(() => emit({ ids: graph.input('few', [3], 'u32') })).toThrow(/one id for each row/);
});
