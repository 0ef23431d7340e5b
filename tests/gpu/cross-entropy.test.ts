import { describe, expect } from 'vitest';
import { crossEntropy } from '../../src/engine/kernels/cross_entropy.ts';
import { FAMILIES, runOn } from '../support/kernels.ts';
import type { Random } from '../support/matmul.ts';
import { seeded } from '../support/seeds.ts';

function reference(logits: Float32Array, labels: Int32Array, vocabulary: number, scale: number) {
  const loss = new Float64Array(labels.length);
  const gradient = new Float64Array(logits.length);
  labels.forEach((label, row) => {
    if (label < 0) return;
    const values = Float64Array.from(logits.subarray(row * vocabulary, (row + 1) * vocabulary));
    const most = values.reduce((a, b) => Math.max(a, b));
    const logSum = most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
    loss[row] = logSum - values[label]!;
    values.forEach((value, i) => {
      gradient[row * vocabulary + i] = (Math.exp(value - logSum) - (i === label ? 1 : 0)) * scale;
    });
  });
  return { loss, gradient };
}

const shapes = [
  { rows: 1, vocabulary: 1, spread: 1 },
  { rows: 2, vocabulary: 3, spread: 5 },
  { rows: 5, vocabulary: 513, spread: 3 },
  { rows: 3, vocabulary: 32003, spread: 2 },
  { rows: 4, vocabulary: 49152, spread: 40 },
];
const anyShape = (sizes: Random) => ({ rows: sizes.int(1, 70), vocabulary: sizes.int(2, 900), spread: 10 });

describe.each(FAMILIES)('cross-entropy, %s family', (family) => {
  seeded.each(shapes, anyShape)(
    'rows $rows, vocabulary $vocabulary',
    async ({ seed, random }, { rows, vocabulary, spread }) => {
      const first = 3;
      const scale = 0.25;
      // Far from zero: only a stable form survives.
      const logits = random.normal(rows * vocabulary).map((value) => value * spread + 300);
      const labels = Int32Array.from({ length: rows }, () => random.int(0, vocabulary - 1));
      if (rows > 1) labels[random.int(0, rows - 1)] = -100;
      const padded = new Int32Array(first + rows);
      padded.set(labels, first);
      const shape = { rows, vocabulary, firstRow: first };
      const got = await runOn(
        family,
        (target) => [
          ...crossEntropy(
            target,
            { ...shape, withGradient: false },
            { logits: 'logits', labels: 'labels', loss: 'before' },
          ),
          ...crossEntropy(
            target,
            { ...shape, withGradient: true },
            { logits: 'logits', labels: 'labels', loss: 'loss' },
          ),
        ],
        {
          logits,
          labels: padded,
          before: new Float32Array(first + rows).fill(7),
          loss: new Float32Array(first + rows).fill(7),
        },
        ['before', 'loss', 'logits'],
        { loss_scale: scale },
      );
      const expected = reference(logits, labels, vocabulary, scale);
      const note = `seed ${seed}`;
      expect([...got['loss']!.slice(0, first)], note).toEqual([7, 7, 7]);
      for (let row = 0; row < rows; row++) {
        for (const name of ['loss', 'before']) {
          // The logits lie near 300 and more, whose last bit is 3e-5: three roundings of half of that or, past 512, of all of it.
          // The sum, of at most 49,152 positive terms in 64 parts or more, is known to 800 · 2^-24 = 5e-5.
          expect(Math.abs(got[name]![first + row]! - expected.loss[row]!), note).toBeLessThan(2e-4);
        }
        if (labels[row]! < 0) {
          expect(got['loss']![first + row], note).toBe(0);
          expect(
            got['logits']!.subarray(row * vocabulary, (row + 1) * vocabulary).every((value) => value === 0),
            note,
          ).toBe(true);
        }
      }
      // Relative to the probabilities, which sum to 1 in each row: where the label is all but certain the gradient is their
      // difference from 1, and keeps fewer digits. Their own error is that of the loss.
      const squares = expected.gradient.reduce((sum, value, i) => sum + (got['logits']![i]! - value) ** 2, 0);
      const error = Math.sqrt(squares);
      expect(error, note).toBeLessThan(2e-4 * scale * Math.sqrt(rows));
    },
  );
});
