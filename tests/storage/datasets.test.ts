import { describe, expect, it } from 'vitest';
import { rowLength, type TrainingRow } from '../../src/datasets/voice/rows.ts';
import { chunkRows as chunkRowsOf, rechunk as rechunkOf } from '../../src/storage/chunks.ts';

const FORM = { characters: rowLength, key: (row: TrainingRow) => row };
const chunkRows = (rows: readonly TrainingRow[]): TrainingRow[][] => chunkRowsOf(rows, FORM);
const rechunk = (before: readonly TrainingRow[][], after: readonly TrainingRow[]): TrainingRow[][] =>
  rechunkOf(before, after, FORM);

const row = (text: string): TrainingRow => ({ kind: 'text', text });

describe('chunks of a data set', () => {
  it('keeps every row once and in order, whatever the sizes', () => {
    const rows = Array.from({ length: 2500 }, (_, i) => row('x'.repeat((i * 7919) % 5000)));
    const chunks = chunkRows(rows);
    expect(chunks.flat()).toEqual(rows);
    expect(chunks.length).toBeGreaterThan(1);
    for (const chunk of chunks) expect(chunk.length).toBeLessThanOrEqual(400);
  });

  it('gives a row larger than a chunk a chunk of its own', () => {
    const rows = [row('a'), row('b'.repeat(3_000_000)), row('c')];
    expect(chunkRows(rows).map((chunk) => chunk.length)).toEqual([1, 1, 1]);
  });

  it('changes one chunk where one row is removed, edited or put back', () => {
    const rows = Array.from({ length: 2000 }, (_, i) => row(String(i)));
    const before = chunkRows(rows);
    const changedChunks = (after: TrainingRow[][]): number =>
      after.filter((chunk, i) => chunk.length !== before[i]?.length || chunk.some((item, j) => item !== before[i]![j]))
        .length;

    const without = rows.filter((_, i) => i !== 450);
    const removed = rechunk(before, without);
    expect(removed.flat()).toEqual(without);
    expect(changedChunks(removed)).toBe(1);

    const edited = rechunk(before, rows.with(1250, row('other')));
    expect(edited.flat()).toEqual(rows.with(1250, row('other')));
    expect(changedChunks(edited)).toBe(1);

    const atBorder = rechunk(before, rows.with(1200, row('other')));
    expect(atBorder.flat()).toEqual(rows.with(1200, row('other')));
    expect(changedChunks(atBorder)).toBe(2);

    const restored = rechunk(removed, rows);
    expect(restored.flat()).toEqual(rows);
    expect(changedChunks(restored)).toBe(0);
  });

  it('cuts what is appended into chunks of the usual size', () => {
    const rows = Array.from({ length: 500 }, (_, i) => row(String(i)));
    const before = chunkRows(rows);
    const more = [...rows, ...Array.from({ length: 3000 }, (_, i) => row(`new ${i}`))];
    const after = rechunk(before, more);
    expect(after.flat()).toEqual(more);
    expect(after[0]).toEqual(before[0]);
    for (const chunk of after) expect(chunk.length).toBeLessThanOrEqual(400);
  });

  it('survives the removal of everything, and rows added after that', () => {
    const before = chunkRows(Array.from({ length: 900 }, (_, i) => row(String(i))));
    const empty = rechunk(before, []);
    expect(empty.flat()).toEqual([]);
    const again = [row('one')];
    expect(rechunk(empty, again).flat()).toEqual(again);
  });

  it('of rows with an id leaves them where they lie when every one of them is edited', () => {
    const form = { characters: () => 0, key: ({ id }: { id: number }) => id };
    const rows = Array.from({ length: 1000 }, (_, id) => ({ id, words: '' }));
    const before = chunkRowsOf(rows, form);
    const edited = rechunkOf(
      before,
      rows.map((row) => ({ ...row, words: 'new' })),
      form,
    );
    expect(edited.map((chunk) => chunk.length)).toEqual(before.map((chunk) => chunk.length));
    expect(edited.flat().map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
  });
});
