import { expect, test } from 'vitest';
import { importFiles, importPasted } from '../../../src/datasets/voice/import/import.ts';
import type { Message, TrainingRow } from '../../../src/datasets/voice/rows.ts';
import { isTrained } from '../../../src/datasets/voice/rows.ts';
import { bare, sourceFile } from './files.ts';

/** Inputs as people have them: each stands for a kind that was read wrongly once. */
const jsonl = (...records: unknown[]): string => records.map((record) => `${JSON.stringify(record)}\n`).join('');

const turnsOf = (row: TrainingRow | undefined): [string, string][] =>
  row?.kind === 'messages' ? row.messages.map(({ role, content }) => [role, content]) : [];
const learntOf = (row: TrainingRow | undefined): string[] =>
  row?.kind === 'messages' ? row.messages.filter(isTrained).map(({ content }) => content) : [];

test('transcripts in pairs become turns, of which the last answer is learnt', async () => {
  const asked = '\n\nHuman: Is it late?\n\nAssistant: Past nine.\n\nHuman: And dark?';
  const { rows, report } = await importPasted(
    jsonl(
      { chosen: `${asked}\n\nAssistant: As a cellar.\nQuite.`, rejected: `${asked}\n\nAssistant: No.` },
      { prompt: `${asked}\n\nAssistant:`, chosen: ' As a cellar.', rejected: ' No.' },
      { chosen: 'Human nature: it is what it is.', rejected: 'No.', prompt: 'Say something.' },
    ),
  );
  expect(turnsOf(rows[0])).toEqual([
    ['user', 'Is it late?'],
    ['assistant', 'Past nine.'],
    ['user', 'And dark?'],
    ['assistant', 'As a cellar.\nQuite.'],
  ]);
  expect(learntOf(rows[0])).toEqual(['As a cellar.\nQuite.']);
  expect(learntOf(rows[1])).toEqual(['As a cellar.']);
  expect(turnsOf(rows[1])).toHaveLength(4);
  expect(rows[2]).toMatchObject({ kind: 'completion', completion: 'Human nature: it is what it is.' });
  expect(report.skipped).toEqual({});
});

test('a prompt as text or as turns beside chosen turns is said once', async () => {
  const user: Message = { role: 'user', content: 'Name a colour.' };
  const answer: Message = { role: 'assistant', content: 'Ochre.' };
  for (const [prompt, chosen] of [
    ['Name a colour.', [user, answer]],
    ['Name a colour.', [answer]],
    [[user], [answer]],
    [[user], [user, answer]],
  ]) {
    const { rows } = await importPasted(jsonl({ prompt, chosen, rejected: chosen }));
    expect(turnsOf(rows[0])).toEqual([
      ['user', 'Name a colour.'],
      ['assistant', 'Ochre.'],
    ]);
    expect(learntOf(rows[0])).toEqual(['Ochre.']);
  }
  const long = [user, answer, { role: 'user', content: 'Another.' }, { role: 'assistant', content: 'Teal.' }];
  const { rows } = await importPasted(jsonl({ prompt: 'Name a colour.', chosen: long, rejected: long }));
  expect(learntOf(rows[0])).toEqual(['Teal.']);
});

test('a list of utterances is a conversation; a list of texts stays one', async () => {
  const { rows } = await importPasted(
    jsonl({ id: '7', data: ['Hello!', 'Hello. Tea?', 'Yes.', 'Here.'] }, { dialog: ['Who rang?', 'Nobody.'] }),
  );
  expect(rows[0]?.id).toBe('7');
  expect(turnsOf(rows[0])).toEqual([
    ['user', 'Hello!'],
    ['assistant', 'Hello. Tea?'],
    ['user', 'Yes.'],
    ['assistant', 'Here.'],
  ]);
  expect(learntOf(rows[1])).toEqual(['Nobody.']);
  expect(bare((await importPasted(JSON.stringify({ data: ['one text', 'another'] }))).rows)).toEqual([
    { kind: 'text', text: 'one text' },
    { kind: 'text', text: 'another' },
  ]);
});

test('flags of loss are kept, under each of their names', async () => {
  const turns = (field: string, no: unknown, yes: unknown): unknown => [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: 'no', [field]: no },
    { role: 'user', content: 'b' },
    { role: 'assistant', content: 'yes', [field]: yes },
  ];
  const { rows } = await importPasted(
    jsonl(
      { messages: turns('loss', false, true) },
      { conversations: turns('loss', 0, 1) },
      { messages: turns('weight', 0, undefined) },
      { messages: turns('train', false, undefined) },
    ),
  );
  for (const row of rows) expect(learntOf(row)).toEqual(['yes']);
  expect(rows).toHaveLength(4);
});

test('parts of the newer formats, calls of the older', async () => {
  const { rows, report } = await importPasted(
    jsonl(
      {
        messages: [
          { role: 'user', content: [{ type: 'input_text', text: 'Who is there?' }] },
          { role: 'assistant', content: [{ type: 'output_text', text: 'The wind.' }] },
        ],
      },
      {
        messages: [
          { role: 'user', content: 'How cold?' },
          { role: 'assistant', content: null, function_call: { name: 'cold', arguments: '{"town": "Umeå"}' } },
          { role: 'function', name: 'cold', content: '-4' },
          { role: 'assistant', content: 'Four below.' },
        ],
      },
    ),
  );
  expect(turnsOf(rows[0])).toEqual([
    ['user', 'Who is there?'],
    ['assistant', 'The wind.'],
  ]);
  expect(turnsOf(rows[1])[1]).toEqual(['assistant', '{"name":"cold","arguments":{"town":"Umeå"}}']);
  expect(report.warnings.join()).toContain('Tool calls are kept');
});

test('thoughts beside the words are left out with a count', async () => {
  const thought = (field: string): unknown => ({
    messages: [
      { role: 'user', content: 'Two and two?' },
      { role: 'assistant', content: 'Four.', [field]: 'Two twice.' },
    ],
  });
  const { rows, report } = await importPasted(jsonl(thought('reasoning_content'), thought('thinking')));
  expect(rows.flatMap(learntOf)).toEqual(['Four.', 'Four.']);
  expect(report.warnings.join()).toContain('are left out; turns that had some: 2.');
});

test.each(['\n', '\r\n', '\r'])('a table and lines, whatever their ends (%j)', async (end) => {
  const table = ['question,answer', 'Who rows?,Ann.', 'Since when?,Since noon.', ''].join(end);
  for (const pieceSize of [1, 7, 65_536]) {
    const { rows } = await importFiles([sourceFile('t.csv', table, pieceSize)]);
    expect(rows.map(learntOf)).toEqual([['Ann.'], ['Since noon.']]);
    expect(rows[1]?.source?.line).toBe(3);
  }
  const lines = ['{"text": "a"}', '{"text": "b"}'].join(end);
  expect((await importPasted(lines)).rows).toHaveLength(2);
});

test('a .json or .jsonl that is not JSON is refused by line, never learnt as prose', async () => {
  const python = "{'instruction': 'Say hello', 'output': 'Hello'}\n{'instruction': 'Say bye', 'output': 'Bye'}\n";
  const good = sourceFile('good.jsonl', '{"text": "a"}\n');
  for (const name of ['rows.jsonl', 'ROWS.JSON', 'rows.ndjson']) {
    const { rows, report } = await importFiles([sourceFile(name, python), good]);
    expect(bare(rows)).toEqual([{ kind: 'text', text: 'a' }]);
    expect(report.skipped['not valid JSON']).toBeGreaterThan(0);
    expect(report.warnings.join()).toMatch(/not valid JSON \(lines? 1/);
  }
});
