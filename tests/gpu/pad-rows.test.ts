import { describe, expect, test } from 'vitest';
import { padRows } from '../../src/engine/kernels/pad_rows.ts';
import { argmaxRows } from '../../src/engine/kernels/argmax_rows.ts';
import { Graph } from '../../src/engine/graph.ts';
import { FAMILIES, runOn } from '../support/kernels.ts';
import { seeded } from '../support/seeds.ts';

describe.each(FAMILIES)('rows of clips, %s family', (family) => {
  seeded.each(
    [
      { clips: 1, length: 1, columns: 1, left: 0, right: 0 },
      { clips: 1, length: 1, columns: 3, left: 2, right: 1 },
      { clips: 2, length: 5, columns: 3, left: 4, right: 4 },
      { clips: 3, length: 7, columns: 8, left: 6, right: 0 },
      { clips: 2, length: 9, columns: 4, left: -2, right: 3 },
      { clips: 2, length: 9, columns: 1, left: 5, right: -8 },
    ],
    (sizes) => {
      const length = sizes.int(2, 40);
      const [clips, columns] = [sizes.int(1, 4), sizes.int(1, 9)];
      return { clips, length, columns, left: sizes.int(0, length - 1), right: sizes.int(0, length - 1) };
    },
  )('$clips clips of $length rows and $columns columns, $left before and $right after', async ({ random, note }, c) => {
    const { clips, length, columns, left, right } = c;
    const x = random.normal(clips * length * columns);
    const out = left + length + right;
    const { y } = await runOn(
      family,
      () => [padRows({ clips, length, columns, left, right }, { x: 'x', y: 'y' })],
      { x, y: new Float32Array(clips * out * columns).fill(NaN) },
      ['y'],
    );
    const expected = y!.map((_, i) => {
      const row = Math.floor(i / columns);
      const place = (row % out) - left;
      if (place < 0 || place >= length) return 0;
      return x[(Math.floor(row / out) * length + place) * columns + (i % columns)]!;
    });
    expect(y, note).toEqual(expected);
  });

  seeded.each(
    [
      [1, 1],
      [3, 2],
      [5, 70],
      [17, 1030],
    ],
    (sizes) => [sizes.int(1, 40), sizes.int(1, 300)],
  )('the largest of each of %i rows of %i columns', async ({ random, note }, [rows, columns]) => {
    // Few different values, so that equals are common; and rows whose largest comes late, or is far below 0.
    const x = Float32Array.from({ length: rows * columns }, () => random.int(-4, 4));
    if (rows > 2) {
      x.fill(-1e30, 0, columns);
      x[columns - 1] = -1e29;
      x.fill(-Infinity, columns, 2 * columns);
    }
    const got = await runOn(
      family,
      (target) => [argmaxRows(target, { rows, columns }, { x: 'x', y: 'y' })],
      { x, y: new Float32Array(rows).fill(NaN) },
      ['y'],
    );
    const found = new Uint32Array(got['y']!.buffer, got['y']!.byteOffset, rows);
    const expected = Uint32Array.from({ length: rows }, (_, row) => {
      const values = [...x.subarray(row * columns, (row + 1) * columns)];
      return values.indexOf(values.reduce((a, b) => Math.max(a, b)));
    });
    expect(found, note).toEqual(expected);
  });
});

test('a cut that leaves nothing is refused, and so are rows that are no clips', () => {
  const graph = new Graph();
  const x = graph.input('x', [6, 2]);
  const pad = (fields: object) =>
    graph.emit('padRows', { x }, { clips: 2, length: 3, left: 0, right: 0, ...fields }).y.shape;
  expect(pad({ left: 2, right: 3 })).toEqual([16, 2]);
  expect(pad({ left: -1, right: 0 })).toEqual([4, 2]);
  expect(() => pad({ left: -3 })).toThrow(/nothing is left/);
  expect(() => pad({ clips: 4 })).toThrow(/6 rows, not 4 clips/);
});
