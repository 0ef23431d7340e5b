import { describe, expect } from 'vitest';
import { Graph } from '../../../src/engine/graph.ts';
import { headReference } from '../../support/head.ts';
import { packWeights } from '../../support/matmul.ts';
import { FAMILIES, familyDevice, relativeError, runGraph, weightOf } from './support.ts';
import { seeded } from '../../support/seeds.ts';

describe.each(FAMILIES)('classifier head and loss, %s family', (family) => {
  seeded.each([
    { rows: 1, k: 4, vocabulary: 5, chunkRows: 64, maxBinding: Infinity, dtype: 'f32' },
    { rows: 150, k: 12, vocabulary: 200, chunkRows: 64, maxBinding: Infinity, dtype: 'f32' },
    { rows: 129, k: 20, vocabulary: 333, chunkRows: 128, maxBinding: 64 * 20 * 4, dtype: 'f32' },
    { rows: 70, k: 24, vocabulary: 190, chunkRows: 64, maxBinding: 128 * 24 * 2, dtype: 'bf16' },
    { rows: 5, k: 7, vocabulary: 131, chunkRows: 64, maxBinding: 64 * 7 * 2, dtype: 'f16' },
  ] as const)(
    '$rows rows, $vocabulary words as $dtype, chunks of $chunkRows, bindings of $maxBinding',
    async ({ random, note }, c) => {
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
      // Logits are sums of k ≤ 24 products of size 1, good to √24 / 2 · 2^-24 · √24 = 7e-7; the softmax hands that on at most whole.
      expect(relativeError(outputs['loss']!, expected.loss, terms.loss), note).toBeLessThan(3e-6);
      expect(relativeError(outputs['dx']!, expected.dx, terms.dx), note).toBeLessThan(5e-6);
      expect(outputs['only loss'], note).toEqual(outputs['loss']);
      labels.forEach((label, t) => {
        if (label >= 0) return;
        expect(outputs['loss']![t]).toBe(0);
        expect(outputs['dx']!.slice(t * k, (t + 1) * k).every((value) => value === 0)).toBe(true);
      });
    },
  );
});
