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
  // Questions of one side alone, as benchmarks ask them: nobody answers.
  const questions = importPasted(jsonl({ question_id: 1, turns: ['Write a song.', 'Now in rhyme.'] }));
  await expect(questions).rejects.toThrow('no known fields: 1');
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

test('of a tree of messages the best-ranked path is learnt; the others are counted', async () => {
  const message = (id: string, parent: string | null, role: string, text: string, more: object = {}): object => ({
    message_id: id,
    parent_id: parent,
    text,
    role,
    deleted: false,
    rank: null,
    ...more,
  });
  const flat = [
    message('b2', 'a1', 'assistant', 'worse', { rank: 1 }),
    message('a1', null, 'prompter', 'How?'),
    message('b1', 'a1', 'assistant', 'So.', { rank: 0 }),
    message('b3', 'a1', 'assistant', 'gone', { rank: -1, deleted: true }),
    message('c1', 'b1', 'prompter', 'And then?'),
    message('z1', null, 'prompter', 'Alone?'),
    message('z2', 'z1', 'assistant', 'Not now.'),
  ];
  const { rows, report } = await importPasted(jsonl(...flat));
  expect(rows.map(turnsOf)).toEqual([
    [
      ['user', 'How?'],
      ['assistant', 'So.'],
    ],
    [
      ['user', 'Alone?'],
      ['assistant', 'Not now.'],
    ],
  ]);
  expect(rows[0]?.id).toBe('a1');
  expect(report.skipped).toEqual({ deleted: 1, 'another answer ranks higher': 1 });
  const nested = {
    message_tree_id: 't',
    prompt: {
      text: 'How?',
      role: 'prompter',
      replies: [
        { text: 'asdf', role: 'assistant', deleted: true, replies: [{ text: 'why?', role: 'prompter' }] },
        { text: 'So.', role: 'assistant', rank: 0, replies: [] },
      ],
    },
  };
  const whole = await importPasted(jsonl(nested));
  expect(turnsOf(whole.rows[0])).toEqual([
    ['user', 'How?'],
    ['assistant', 'So.'],
  ]);
  expect(whole.report.skipped).toEqual({ deleted: 2 });
});

test('what tells about a data set is not learnt beside it', async () => {
  const files = [
    sourceFile('set/README.md', '# A card\n'),
    sourceFile('set/dataset_info.json', '{"features": {}}'),
    sourceFile('set/LICENSE', 'Free.\n'),
    sourceFile('set/data/train/part-0.jsonl', '{"prompt": "Up?", "completion": "Down."}\n'),
  ];
  const { rows, report } = await importFiles(files);
  expect(bare(rows)).toEqual([{ kind: 'completion', prompt: 'Up?', completion: 'Down.' }]);
  expect(report.files.map(({ kind }) => kind)).toEqual([
    'about the set',
    'about the set',
    'about the set',
    'prompt and completion',
  ]);
  // One that is dropped by itself is meant.
  expect((await importFiles([sourceFile('README.md', 'My words.')])).rows).toHaveLength(1);
});

test('a line nested deeper than calls go costs itself alone', async () => {
  const deep = `${'['.repeat(20_000)}1${']'.repeat(20_000)}`;
  const wrapped = `${'{"data":['.repeat(10_000)}1${']}'.repeat(10_000)}`;
  const lines = [
    '{"text": "before"}',
    `{"role": "user", "content": ${deep}}`,
    `{"data": [{"text": ${deep}}]}`,
    `{"messages": [{"role": "assistant", "content": "x", "tool_calls": [{"function": {"name": "f", "arguments": ${deep}}}]}]}`,
    wrapped,
    '{"text": "after"}',
  ];
  const { rows, report } = await importFiles([
    sourceFile('deep.jsonl', lines.join('\n')),
    sourceFile('good.jsonl', '{"text": "good"}\n'),
  ]);
  expect(bare(rows).map((row) => row['text'])).toEqual(['before', 'after', 'good']);
  expect(Object.values(report.skipped).reduce((sum, count) => sum + count, 0)).toBe(4);
  expect(report.files[0]?.kind).not.toBe('refused');
});

test('a key that stands twice is refused, a long number as a name stays as written', async () => {
  const { rows, report } = await importPasted(
    '{"text": "first", "text": "second"}\n{"id": 9007199254740993, "text": "a"}\n{"id": 9007199254740992, "text": "b"}\n' +
      '{"text": "say \\"id\\": 12345678901234567890, please", "id": 5}\n',
  );
  expect(rows.map(({ id }) => id)).toEqual(['9007199254740993', '9007199254740992', '5']);
  expect(bare(rows)[2]).toEqual({ kind: 'text', text: 'say "id": 12345678901234567890, please' });
  expect(report.skipped).toEqual({ 'a key twice': 1 });
});

test('a file of single turns is cut into conversations at answers, and where the turns say so', async () => {
  const many = Array.from({ length: 3000 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: `turn ${i}` }));
  const { rows, report } = await importPasted(jsonl(...many));
  const turns = rows.map(turnsOf);
  expect(turns.flat()).toHaveLength(3000);
  expect(Math.max(...turns.map(({ length }) => length))).toBeLessThanOrEqual(66);
  for (const conversation of turns) expect(conversation[0]![0]).toBe('user');
  for (const conversation of turns) expect(conversation.at(-1)![0]).toBe('assistant');
  expect(report.warnings.join()).toContain('cut where an answer ended: 46 times');
  const named = ['x', 'x', 'y', 'y'].map((conversation_id, i) => ({ ...many[i], conversation_id }));
  expect((await importPasted(jsonl(...named))).rows.map(({ id }) => id)).toEqual(['x', 'y']);
  const system = { role: 'system', content: 's' };
  const begun = await importPasted(jsonl(system, many[0], many[1], system, many[2], many[3]));
  expect(begun.rows.map((row) => turnsOf(row).length)).toEqual([3, 3]);
});
