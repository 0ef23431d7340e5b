import { expect, test } from 'vitest';
import { Xoshiro128 } from '../../../src/common/order.ts';
import { applyOperation, type Operation } from '../../../src/datasets/voice/curation.ts';
import type { TextRow, TrainingRow } from '../../../src/datasets/voice/rows.ts';
import { History } from '../../../src/worker/history.ts';
import { seeded } from '../../support/seeds.ts';

const text = (content: string): TextRow => ({ kind: 'text', text: content });

interface Rows {
  rows: readonly TrainingRow[];
}

function change(history: History<Rows>, operation: Operation): void {
  history.apply(operation.label, { rows: applyOperation(history.now.rows, operation) });
}

test('changes are undone and done again', () => {
  const history = new History<Rows>({ rows: ['a', 'b', 'c', 'd'].map(text) });
  const shown = () => history.now.rows.map((row) => (row.kind === 'text' ? row.text : '')).join('');
  change(history, { kind: 'remove', indices: [2, 0], label: 'Remove 2 rows' });
  expect(shown()).toBe('bd');
  change(history, { kind: 'edit', index: 1, row: text('D'), label: 'Edit' });
  change(history, { kind: 'add', index: 2, rows: [text('e'), text('f')], label: 'Add' });
  expect(shown()).toBe('bDef');
  expect([history.undoLabel, history.redoLabel]).toEqual(['Add', null]);
  history.undo();
  history.undo();
  expect([shown(), history.undoLabel, history.redoLabel]).toEqual(['bd', 'Remove 2 rows', 'Edit']);
  history.redo();
  expect(shown()).toBe('bD');
  // A new change after an undo drops what could be done again.
  change(history, { kind: 'remove', indices: [], label: 'Nothing' });
  expect(history.redoLabel).toBeNull();
  history.redo();
  expect(shown()).toBe('bD');
  for (let i = 0; i < 9; i++) history.undo();
  expect(shown()).toBe('abcd');
});

seeded('random changes come back exactly, and only so many are kept', ({ seed }) => {
  const random = Xoshiro128.from(seed);
  const history = new History<Rows>({ rows: Array.from({ length: 20 }, (_, i) => text(String(i))) }, 50);
  const state = (): string => JSON.stringify(history.now.rows);
  const states = [state()];
  for (let i = 0; i < 80; i++) {
    const { length } = history.now.rows;
    const kind = length === 0 ? 'add' : (['remove', 'edit', 'add'] as const)[random.below(3)]!;
    if (kind === 'remove') change(history, { kind, indices: [random.below(length), random.below(length)], label: '-' });
    else if (kind === 'edit')
      change(history, { kind, index: random.below(length), row: text(`e${String(i)}`), label: '-' });
    else change(history, { kind, index: random.below(length + 1), rows: [text('x'), text(`n${i}`)], label: '-' });
    states.push(state());
  }
  for (let back = 1; back <= 50; back++) {
    history.undo();
    expect(state()).toBe(states[80 - back]);
  }
  expect(history.undoLabel).toBeNull();
  for (let on = 31; on <= 80; on++) {
    history.redo();
    expect(state()).toBe(states[on]);
  }
});
