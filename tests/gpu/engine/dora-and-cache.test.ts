import { describe, expect } from 'vitest';
import { Graph } from '../../../src/engine/graph.ts';
import { packWeights } from '../../support/matmul.ts';
import { FAMILIES, familyDevice, relativeError, runGraph, weightOf } from './support.ts';
import { seeded } from '../../support/seeds.ts';

describe.each(FAMILIES)('the norm of DoRA and the cache, %s family', (family) => {
  seeded.each(['f32', 'bf16', 'f16'] as const)(
    '‖W + sBA‖ of each row, W stored as %s',
    async ({ random, note }, dtype) => {
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
        // Against what is summed, an element is good to rank + 2 roundings of 2^-24, and a root halves the share of its sum's.
        const error = relativeError(outputs['norm']!, expected, Math.sqrt(terms));
        expect(error, `${note}, ${rows} × ${columns}`).toBeLessThan(1e-6);
      }
    },
  );

  seeded.each([
    [5, 9, 3, 4],
    [8, 24, 8, 12],
  ])(
    '%i rows of %i columns scattered from column %i, width %i',
    async ({ random, note }, [rows, columns, offset, width]) => {
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
    },
  );
});
