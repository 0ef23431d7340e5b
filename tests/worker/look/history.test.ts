import { describe, expect, it } from 'vitest';
import type { PictureReport, PictureRow } from '../../../src/datasets/look/types.ts';
import { joinReports } from '../../../src/datasets/report.ts';
import { applyPictureChange } from '../../../src/worker/look/changes.ts';
import { History } from '../../../src/worker/history.ts';
import { changedMasks, withWords, type PictureSnapshot } from '../../../src/worker/look/snapshot.ts';

function row(id: string, fields: Partial<PictureRow> = {}): PictureRow {
  return {
    id,
    file: `${id}.jpg`,
    width: 100,
    height: 100,
    crop: { x: 0, y: 0, width: 100, height: 100 },
    cropByHand: false,
    bucket: [64, 64],
    caption: 'a photo of zilo',
    captionByHand: false,
    repeats: 1,
    hash: '0'.repeat(16),
    sharpness: 100,
    framing: 'unknown',
    warnings: [],
    masked: false,
    ...fields,
  };
}

const words = { triggerWord: 'zilo', template: 'a photo of {word}' };
const start: PictureSnapshot = { rows: [row('a'), row('b'), row('c')], words, masks: new Map() };
const ids = (snapshot: Partial<PictureSnapshot>): string[] => (snapshot.rows ?? []).map(({ id }) => id);

describe('the history of a set of pictures', () => {
  it('goes back and forth over every kind of change', () => {
    const history = new History(start);
    const mask = new Blob(['m']);
    const changes = [
      { kind: 'remove', ids: ['b'], label: 'Remove b' },
      { kind: 'set', changes: [{ id: 'a', fields: { repeats: 3 } }], label: 'Repeats' },
      { kind: 'words', words: { ...words, triggerWord: 'milo' }, label: 'Words' },
      { kind: 'mask', id: 'c', mask, label: 'Mask' },
      { kind: 'mask', id: 'c', mask: null, label: 'No mask' },
    ] as const;
    const moments = [history.now];
    for (const change of changes) {
      history.apply(change.label, applyPictureChange(history.now, change));
      moments.push(history.now);
    }
    expect(ids(moments[1]!)).toEqual(['a', 'c']);
    expect(moments[2]!.rows[0]!.repeats).toBe(3);
    expect(moments[3]!.rows.map(({ caption }) => caption)).toEqual(['a photo of milo', 'a photo of milo']);
    expect(moments[4]!.rows[1]!.masked).toBe(true);
    expect(moments[5]!.rows[1]!.masked).toBe(false);
    for (let i = changes.length; i > 0; i--) {
      expect(history.undoLabel).toBe(changes[i - 1]!.label);
      history.undo();
      expect(history.now).toBe(moments[i - 1]);
    }
    expect(history.undoLabel).toBeNull();
    for (let i = 0; i < changes.length; i++) {
      expect(history.redoLabel).toBe(changes[i]!.label);
      history.redo();
      expect(history.now).toBe(moments[i + 1]);
    }
    expect(changedMasks(moments[3]!, moments[4]!)).toEqual(new Map([['c', mask]]));
    expect(changedMasks(moments[4]!, moments[5]!)).toEqual(new Map([['c', null]]));
    expect(changedMasks(moments[4]!, moments[4]!).size).toBe(0);
  });

  it('forgets what could not be kept, and what was undone once something else is done', () => {
    const history = new History(start);
    const { moment } = history;
    history.apply('first', { rows: [] });
    history.restore(moment);
    expect(history.now).toBe(start);
    expect([history.undoLabel, history.redoLabel]).toEqual([null, null]);
    history.apply('first', { rows: [] });
    history.undo();
    const undone = history.moment;
    history.apply('another', { rows: [] });
    history.restore(undone);
    // What could be done again before still can.
    expect(history.redoLabel).toBe('first');
    history.apply('second', { rows: [] });
    history.undo();
    history.apply('third', { rows: [row('d')] });
    expect(history.redoLabel).toBeNull();
  });
});

describe('words of many pictures', () => {
  it('follow the pattern, but those by hand only change the word itself', () => {
    const rows = [row('a'), row('b', { caption: 'Zilo? zilo, zilomat and zilo!', captionByHand: true })];
    const after = withWords(rows, words, { triggerWord: 'mu$1', template: '{word} here' });
    expect(after.map(({ caption }) => caption)).toEqual(['mu$1 here', 'Zilo? mu$1, zilomat and mu$1!']);
    // What did not change is the same row.
    expect(withWords(rows, words, words)).toEqual(rows);
    expect(withWords(rows, words, words)[1]).toBe(rows[1]);
  });

  it('come back from the pattern where asked', () => {
    const byHand = { ...start, rows: [row('a', { caption: 'mine', captionByHand: true }), row('b', { caption: 'x' })] };
    const after = applyPictureChange(byHand, { kind: 'template', ids: ['a'], label: '' });
    expect(after.rows?.map(({ caption, captionByHand }) => [caption, captionByHand])).toEqual([
      ['a photo of zilo', false],
      ['x', false],
    ]);
  });
});

it('joins what several imports understood', () => {
  const report = (name: string): PictureReport => ({
    files: [{ name, kind: 'text', rows: 0, skipped: { 'not a picture': 1 }, warnings: [] }],
    kept: 1,
    skipped: { 'not a picture': 1 },
    leftOut: [{ file: name, reason: 'not a picture', message: 'no' }],
    warnings: [name],
  });
  const both = joinReports(report('a'), report('b'));
  expect(both.kept).toBe(2);
  expect(both.skipped).toEqual({ 'not a picture': 2 });
  expect(both.leftOut.map(({ file }) => file)).toEqual(['a', 'b']);
  // The newest word about the whole set is the one that counts.
  expect(both.warnings).toEqual(['b']);
});
