import { expect, test } from 'vitest';
import {
  applyOperation,
  findDuplicates,
  findOutsideLength,
  normalised,
  searchRows,
} from '../../../src/datasets/voice/curation.ts';
import type { Operation } from '../../../src/datasets/voice/curation.ts';
import { qualityLine, statistics } from '../../../src/datasets/voice/quality.ts';
import type { MessagesRow, TextRow, TrainingRow } from '../../../src/datasets/voice/rows.ts';

const text = (content: string): TextRow => ({ kind: 'text', text: content });
const chat = (question: string, answer: string): MessagesRow => ({
  kind: 'messages',
  messages: [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ],
});

test('an index outside changes nothing', () => {
  const rows = [text('a')];
  for (const operation of [
    { kind: 'remove', indices: [0, 1], label: '' },
    { kind: 'edit', index: 1, row: text('b'), label: '' },
    { kind: 'add', index: 2, rows: [text('b')], label: '' },
    { kind: 'edit', index: -1, row: text('b'), label: '' },
  ] satisfies Operation[]) {
    expect(() => applyOperation(rows, operation)).toThrow(RangeError);
  }
  expect(rows).toEqual([text('a')]);
});

test('an edit changes the row that was opened, wherever it is by then, and no other', () => {
  const from = (row: TextRow, line: number): TextRow => ({ ...row, source: { file: 'a', line } });
  const rows = [from(text('a'), 1), from(text('same'), 2), from(text('same'), 3)];
  const edit = (index: number, was: TrainingRow): Operation => ({
    kind: 'edit',
    index,
    was,
    row: text('new'),
    label: '',
  });
  expect(applyOperation(rows, edit(2, structuredClone(rows[2]!)))).toEqual([rows[0], rows[1], text('new')]);
  const less = applyOperation(rows, { kind: 'remove', indices: [0], label: '' });
  expect(applyOperation(less, edit(2, rows[2]!))).toEqual([rows[1], text('new')]);
  expect(applyOperation(less, edit(1, rows[1]!))).toEqual([text('new'), rows[2]]);
  expect(() => applyOperation(less, edit(0, rows[0]!))).toThrow('changed or removed while you edited it');
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
