import { expect, test } from 'vitest';
import {
  CurationHistory,
  findDuplicates,
  findOutsideLength,
  normalised,
  searchRows,
} from '../../src/datasets/curation.ts';
import type { Operation } from '../../src/datasets/curation.ts';
import { Xoshiro128 } from '../../src/datasets/order.ts';
import { qualityLine, statistics } from '../../src/datasets/quality.ts';
import type { MessagesRow, TextRow, TrainingRow } from '../../src/datasets/rows.ts';
import { seeded } from '../support/seeds.ts';

const text = (content: string): TextRow => ({ kind: 'text', text: content });
const chat = (question: string, answer: string): MessagesRow => ({
  kind: 'messages',
  messages: [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ],
});

test('changes are undone and done again', () => {
  const history = new CurationHistory(['a', 'b', 'c', 'd'].map(text));
  const shown = () => history.rows.map((row) => (row.kind === 'text' ? row.text : '')).join('');
  history.apply({ kind: 'remove', indices: [2, 0], label: 'Remove 2 rows' });
  expect(shown()).toBe('bd');
  history.apply({ kind: 'edit', index: 1, row: text('D'), label: 'Edit' });
  history.apply({ kind: 'add', index: 2, rows: [text('e'), text('f')], label: 'Add' });
  expect(shown()).toBe('bDef');
  expect([history.undoLabel, history.redoLabel]).toEqual(['Add', undefined]);
  history.undo();
  history.undo();
  expect([shown(), history.undoLabel, history.redoLabel]).toEqual(['bd', 'Remove 2 rows', 'Edit']);
  history.redo();
  expect(shown()).toBe('bD');
  // A new change after an undo drops what could be done again.
  history.apply({ kind: 'remove', indices: [], label: 'Nothing' });
  expect(history.redoLabel).toBeUndefined();
  history.redo();
  expect(shown()).toBe('bD');
  for (let i = 0; i < 9; i++) history.undo();
  expect(shown()).toBe('abcd');
});

test('an index outside changes nothing', () => {
  const history = new CurationHistory([text('a')]);
  for (const operation of [
    { kind: 'remove', indices: [0, 1], label: '' },
    { kind: 'edit', index: 1, row: text('b'), label: '' },
    { kind: 'add', index: 2, rows: [text('b')], label: '' },
    { kind: 'edit', index: -1, row: text('b'), label: '' },
  ] satisfies Operation[]) {
    expect(() => history.apply(operation)).toThrow(RangeError);
  }
  expect(history.rows).toEqual([text('a')]);
  expect(history.undoLabel).toBeUndefined();
});

seeded('random changes come back exactly, and only so many are kept', ({ seed }) => {
  const random = Xoshiro128.from(seed);
  const history = new CurationHistory(
    Array.from({ length: 20 }, (_, i) => text(String(i))),
    50,
  );
  const states = [JSON.stringify(history.rows)];
  for (let i = 0; i < 80; i++) {
    const { length } = history.rows;
    const kind = length === 0 ? 'add' : (['remove', 'edit', 'add'] as const)[random.below(3)]!;
    if (kind === 'remove') history.apply({ kind, indices: [random.below(length), random.below(length)], label: '' });
    else if (kind === 'edit')
      history.apply({ kind, index: random.below(length), row: text(`e${String(i)}`), label: '' });
    else history.apply({ kind, index: random.below(length + 1), rows: [text('x'), text(`n${String(i)}`)], label: '' });
    states.push(JSON.stringify(history.rows));
  }
  for (let back = 1; back <= 50; back++) {
    expect(JSON.stringify(history.undo()), `seed ${String(seed)}`).toBe(states[80 - back]);
  }
  expect(history.undoLabel).toBeUndefined();
  for (let on = 31; on <= 80; on++) expect(JSON.stringify(history.redo()), `seed ${String(seed)}`).toBe(states[on]);
});

test('repeats are found to the letter or apart from case, punctuation and spacing', () => {
  const rows: TrainingRow[] = [
    { ...chat('Hi!', 'Hello.'), id: '1', source: { file: 'a', line: 1 } },
    { ...chat('Hi!', 'Hello.'), id: '2', source: { file: 'b', line: 2 } },
    chat('hi', '  HELLO '),
    chat('hi hello', ''),
    chat('!!', '?'),
    chat('!', '?'),
    text('Hi Hello'),
    text('hi, hello'),
    text('ﬁne'),
    text('fine'),
    { kind: 'completion', prompt: 'hi', completion: 'hello' },
  ];
  expect(findDuplicates(rows, 'exact')).toEqual([1]);
  expect(findDuplicates(rows, 'normalised')).toEqual([1, 2, 7, 9]);
  expect(normalised(' Grüße, 世界!\n3-4 €')).toBe('grüße 世界 3 4 €');
  // ASCII has a way of its own, to the same end.
  for (let code = 0; code < 128; code++) {
    const letter = `a${String.fromCharCode(code)}B`;
    expect(normalised(letter)).toBe(normalised(`${letter} é`).slice(0, -2));
  }
  const unlearnt: TrainingRow = { kind: 'messages', messages: [{ role: 'assistant', content: 'a', train: false }] };
  const learnt: TrainingRow = { kind: 'messages', messages: [{ role: 'assistant', content: 'a', train: true }] };
  expect(findDuplicates([unlearnt, learnt, chat('a', 'b'), chat('ab', ''), learnt], 'exact')).toEqual([4]);
});

test('rows are found by length and by words', () => {
  const rows = [text('a'), text('Hello there, Ann'), chat('Where is Ann?', 'At HOME.')];
  expect(findOutsideLength(rows, { min: 2 })).toEqual([0]);
  expect(findOutsideLength(rows, { max: 16 })).toEqual([2]);
  expect(findOutsideLength(rows, { min: 2, max: 3 }, (row) => (row.kind === 'text' ? 2 : 9))).toEqual([2]);
  expect(searchRows(rows, 'ann')).toEqual([1, 2]);
  expect(searchRows(rows, ' home ANN ')).toEqual([2]);
  expect(searchRows(rows, '')).toEqual([0, 1, 2]);
  expect(searchRows(rows, '.*')).toEqual([]);
});

test('statistics', () => {
  const rows: TrainingRow[] = [
    chat('What is it?', 'It is a cat.'),
    chat('And now?', 'It is a dog, I think.'),
    { kind: 'messages', messages: [{ role: 'assistant', content: 'no', train: false }] },
    { kind: 'completion', prompt: 'ab', completion: 'cde' },
    text(' two  words\n'),
    text(' two  words\n'),
  ];
  expect(statistics(rows, () => 10)).toEqual({
    rows: 6,
    exchanges: 3,
    texts: 2,
    characters: 23 + 29 + 2 + 5 + 24,
    trainedCharacters: 12 + 21 + 3 + 24,
    textWords: 4,
    medianAnswer: 12,
    longestRow: 29,
    duplicates: 1,
    sameOpening: 1,
    tokens: 60,
  });
  expect(statistics([])).toMatchObject({ rows: 0, medianAnswer: 0, sameOpening: 0 });
  expect('tokens' in statistics([])).toBe(false);
});

test('the quality line says how much there is, what is usual and what would help most', () => {
  const answer = (i: number) => `${String(i)} bottles stood on the wall, and I counted each of them.`;
  const chats = (count: number) => Array.from({ length: count }, (_, i) => chat(`Question ${String(i)}?`, answer(i)));
  expect(qualityLine([])).toEqual({
    level: 'too little',
    amount: '0 answers to learn from.',
    usual: 'From running text, 10,000 to 100,000 words are usual.',
    advice: 'Add a chat or a text to begin with.',
  });
  const few = qualityLine(chats(1), () => 1200);
  expect(few.amount).toBe('1 answer to learn from (1,200 tokens).');
  expect(few.usual).toBe('For a voice, 100 to 1,000 exchanges are usual.');
  expect(few.advice).toContain('by heart');
  expect(qualityLine(chats(50))).toMatchObject({ level: 'little', amount: '50 answers to learn from.' });
  expect(qualityLine(chats(50)).advice).toContain('enough to try');
  expect(qualityLine(chats(300))).toMatchObject({ level: 'enough' });
  expect(qualityLine(chats(300)).advice).toContain('A good amount');
  expect(qualityLine(chats(1500))).toMatchObject({ level: 'plenty', amount: '1,500 answers to learn from.' });
  expect(qualityLine([...chats(150), ...chats(150)]).advice).toContain('50 % of it is there more than once');
  const alike = chats(200).map((row, i) => (i % 2 ? row : chat(`Q${String(i)}`, `As I said, ${answer(i)}`)));
  expect(qualityLine(alike).advice).toContain('50 % of the answers begin with the same words');
  expect(qualityLine(chats(200).map((_, i) => chat(`Q${String(i)}`, `ok ${String(i)}`))).advice).toContain(
    'very short',
  );
  const book = qualityLine(Array.from({ length: 30 }, (_, i) => text(`${String(i)} word `.repeat(500))));
  expect(book).toMatchObject({ level: 'enough', amount: '30,000 words of running text.' });
  expect(qualityLine([...chats(3), text('a b c')]).amount).toBe('3 answers to learn from and 3 words of running text.');
});
