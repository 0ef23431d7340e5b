import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/engine/graph.ts';
import { slope } from '../support/kernels.ts';
import { FAMILIES, familyDevice, relativeError, runGraph, wide } from './engine/support.ts';
import { seeded } from '../support/seeds.ts';
import type { Draw } from '../support/seeds.ts';

const SCALE = 0.25;

/** Losses of the rows, and the gradient of SCALE times their sum. */
function reference(x: Float32Array, labels: Int32Array, weight: Float32Array) {
  const columns = x.length / labels.length;
  const dx = new Float64Array(x.length);
  const loss = Float64Array.from(labels, (label, row) => {
    if (label < 0) return 0;
    const values = [...x.subarray(row * columns, (row + 1) * columns)];
    const most = Math.max(...values);
    const logSum = most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
    values.forEach((value, i) => {
      dx[row * columns + i] = SCALE * weight[row]! * (Math.exp(value - logSum) - Number(i === label));
    });
    return weight[row]! * (logSum - values[label]!);
  });
  return { loss, dx };
}

function someLabels({ random }: Draw, rows: number, columns: number): Int32Array<ArrayBuffer> {
  const labels = Int32Array.from({ length: rows }, () => random.int(0, columns - 1));
  if (rows > 1) labels[random.int(1, rows - 1)] = -100;
  return labels;
}

describe.each(FAMILIES)('cross-entropy over logits with weights of rows, %s family', (family) => {
  seeded.each(
    [
      [1, 1],
      [3, 7],
      [9, 64],
      [5, 2048],
    ],
    (sizes) => [sizes.int(2, 70), sizes.int(2, 500)],
  )('%i rows of %i logits', async (draw, [rows, columns]) => {
    const { random, note } = draw;
    // Far from zero: only a stable form survives.
    const x = random.normal(rows * columns).map((value) => 4 * value + 100);
    const labels = someLabels(draw, rows, columns);
    const weight = random.normal(rows).map(Math.abs);
    if (rows > 2) weight[0] = 0;
    const graph = new Graph();
    const inputs = {
      x: graph.input('x', [rows, columns]),
      labels: graph.input('labels', [rows], 'i32'),
      weight: graph.input('weight', [rows]),
    };
    const { loss, dx } = graph.emit('crossEntropy', inputs, { withGradient: true });
    graph.output('loss', loss);
    graph.output('dx', dx!);
    graph.output('alone', graph.emit('crossEntropy', inputs, { withGradient: false }).loss);
    const { outputs } = await runGraph(await familyDevice(family), graph, {
      inputs: { x, labels, weight },
      step: { loss_scale: SCALE },
    });
    const expected = reference(x, labels, weight);
    expect(outputs['alone'], note).toEqual(outputs['loss']);
    outputs['loss']!.forEach((value, row) => {
      // The logits lie near 100, whose last bit is 8e-6.
      const bound = 6e-5 * weight[row]!;
      expect(Math.abs(value - expected.loss[row]!), `${note}, row ${row}`).toBeLessThanOrEqual(bound);
      const gradient = outputs['dx']!.subarray(row * columns, (row + 1) * columns);
      if (labels[row]! < 0)
        expect(
          gradient.every((g) => g === 0),
          `${note}, row ${row}`,
        ).toBe(true);
      const away = gradient.map((g, i) => g - expected.dx[row * columns + i]!);
      expect(Math.hypot(...away), `${note}, row ${row}`).toBeLessThanOrEqual(SCALE * bound);
    });
  });

  seeded('gradients of two heads over one hidden state agree with finite differences', async (draw) => {
    const { random, note } = draw;
    const [rows, hidden, columns] = [11, 6, 13];
    const x = random.normal(rows * hidden);
    const labels = [0, 1].map(() => someLabels(draw, rows, columns));
    const weight = random.normal(rows).map(Math.abs);
    const heads = [0, 1].map(() => random.normal(columns * hidden));
    const factor = random.normal(hidden);
    const graph = new Graph();
    const trained = graph.multiply(graph.input('x', [rows, hidden]), graph.parameter('factor', [hidden]));
    const losses = heads.map((_, i) => {
      const name = `w${i}`;
      const head = graph.weight(name, { dtype: 'f32', sources: [{ name, shape: [columns, hidden] }] });
      const logits = graph.emit('linear', { x: trained, weight: head }, { segments: [] }).y;
      return graph.emit(
        'crossEntropy',
        { x: logits, labels: graph.input(`labels${i}`, [rows], 'i32'), weight: graph.input('weight', [rows]) },
        { withGradient: true },
      ).loss;
    });
    losses.forEach((loss, i) => graph.output(`loss${i}`, loss));
    graph.backward();
    const { gradients } = await runGraph(await familyDevice(family), graph, {
      inputs: { x, weight, labels0: labels[0]!, labels1: labels[1]! },
      weights: { w0: heads[0]!, w1: heads[1]! },
      parameters: { factor },
      step: { loss_scale: SCALE },
    });
    const precise = wide(factor);
    const total = (): number =>
      heads.reduce((sum, head, i) => {
        for (let row = 0; row < rows; row++) {
          const label = labels[i]![row]!;
          if (label < 0) continue;
          const logits = Array.from({ length: columns }, (_, n) => {
            let value = 0;
            for (let k = 0; k < hidden; k++) value += x[row * hidden + k]! * precise[k]! * head[n * hidden + k]!;
            return value;
          });
          const logSum = Math.log(logits.reduce((all, value) => all + Math.exp(value), 0));
          sum += SCALE * weight[row]! * (logSum - logits[label]!);
        }
        return sum;
      }, 0);
    const expected = precise.map((_, i) => slope(total, precise, i));
    expect(relativeError(gradients['factor']!, expected), note).toBeLessThan(1e-5);
  });
});

test('labels and weights that are not the rows are refused', () => {
  const graph = new Graph();
  const x = graph.input('x', [4, 3]);
  const [labels, few] = [graph.input('labels', [4], 'i32'), graph.input('few', [3])];
  expect(() => graph.emit('crossEntropy', { x, labels, weight: few }, { withGradient: true })).toThrow(/one weight/);
  expect(() => graph.emit('crossEntropy', { x, labels: few, weight: few }, { withGradient: true })).toThrow(
    /one label/,
  );
});
