import { describe, expect } from 'vitest';
import { Graph } from '../../../src/engine/graph.ts';
import { binary, operand, unary } from '../../../src/engine/ops/expression.ts';
import { headReference } from '../../support/head.ts';
import { slope } from '../../support/kernels.ts';
import { FAMILIES, familyDevice, relativeError, runGraph, weightOf, wide } from './support.ts';
import type { Values } from './support.ts';
import { seeded } from '../../support/seeds.ts';

describe.each(FAMILIES)('gradients through whole graphs, %s family', (family) => {
  /**
   * loss = Σ CE(head, z), z = tanh(u) · number + u with u = [a | b], a = x · p (a trained row), b = (x · p + c) · sigmoid(q):
   * maps of every extent, concat, residual sums and two trained rows, against finite differences in float64.
   */
  seeded.each([
    [6, 5],
    [9, 8],
  ])('trained rows behind maps and a concat, %i rows of %i columns', async ({ random, note }, [rows, columns]) => {
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
    // A sum of positive losses of 11 words, whose logits are sums of at most 16 products. The rows of a gradient have five columns or
    // more over six rows or more, which all cancel to a hundredth once in 10^10 times; differences in float64 are good to 1e-9.
    expect(Math.abs(outputs['loss']![0]! / model() - 1), note).toBeLessThan(2e-6);
    for (const [key, values] of [
      ['p', wideP],
      ['q', wideQ],
    ] as const) {
      const expected = values.map((_, i) => slope(model, values, i));
      expect(relativeError(gradients[key]!, expected), `${note}, d${key}`).toBeLessThan(2e-5);
    }
  });

  seeded('a row parameter trained on a single row', async ({ random, note }) => {
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

  seeded(
    'LoRA with dropout, bias and residual, and a second layer that hands its gradient on',
    async ({ random, note }) => {
      const [rows, k, n, vocabulary, rank, scale, p] = [7, 12, 8, 9, 3, 0.5, 0.4];
      const data = { x: random.normal(rows * k), residual: random.normal(rows * n) };
      const labels = Int32Array.from({ length: rows }, () => random.int(0, vocabulary - 1));
      const weights = {
        w1: random.normal(n * k),
        bias: random.normal(n),
        w2: random.normal(n * n),
        // So small that no word is all but certain: the gradient would be what rounding leaves of 1 - 1.
        head: random.normal(vocabulary * n).map((value) => value / 20),
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
        inputs: {
          ...data,
          labels,
          ones1: new Float32Array(rows * k).fill(1),
          ones2: new Float32Array(rows * n).fill(1),
        },
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
            for (let r = 0; r < rank; r++)
              weight += scale * b[c * rank + r]! * a[r * width + j]! * mask[t * width + j]!;
            sum += weight * input[t * width + j]!;
          }
          return sum;
        });
      const model = (): number => {
        const first = layer(wide(data.x), k, weights.w1, low.a1, low.b1, outputs['mask1']!).map(
          (v, i) => v + weights.bias[i % n]! + data.residual[i]!,
        );
        const second = layer(first, n, weights.w2, low.a2, low.b2, outputs['mask2']!).map((v, i) => v + first[i]!);
        return headReference(second, weights.head, labels, n, vocabulary, 1).loss.reduce(
          (sum, value) => sum + value,
          0,
        );
      };
      expect(Math.abs(outputs['loss']![0]! / model() - 1), note).toBeLessThan(5e-6);
      for (const key of ['a1', 'b1', 'a2', 'b2'] as const) {
        const expected = low[key].map((_, i) => slope(model, low[key], i));
        expect(relativeError(gradients[key]!, expected), `${note}, d${key}`).toBeLessThan(3e-5);
      }
    },
  );
});
