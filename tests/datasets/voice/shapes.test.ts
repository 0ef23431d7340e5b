import { expect, test } from 'vitest';
import { importPasted } from '../../../src/datasets/voice/import/import.ts';
import type { FileKind, Message } from '../../../src/datasets/voice/rows.ts';
import { bare } from './files.ts';

/** Imports records as JSON Lines, beside one good row, so that skipped ones are in the report. */
async function read(...records: unknown[]) {
  const anchor = { text: 'anchor' };
  const text = [anchor, ...records].map((record) => JSON.stringify(record)).join('\n');
  const { rows, report } = await importPasted(text);
  return { rows: bare(rows.slice(1)), skipped: report.skipped, warnings: report.warnings, report };
}

async function kindOf(record: unknown): Promise<FileKind | undefined> {
  return (await importPasted(JSON.stringify(record))).report.files[0]?.kind;
}

const user = (content: string): Message => ({ role: 'user', content });
const assistant = (content: string): Message => ({ role: 'assistant', content });
const conversation = (...messages: Message[]) => [{ kind: 'messages', messages }];

test('TRL: text', async () => {
  expect((await read({ text: ' a\nb ' })).rows).toEqual([{ kind: 'text', text: ' a\nb ' }]);
  expect((await read({ content: 'a' })).rows).toEqual([{ kind: 'text', text: 'a' }]);
  expect(await read({ text: ' \n' }, { text: null }, { text: 3 }, { text: ['a'] })).toMatchObject({
    rows: [],
    skipped: { empty: 2, 'wrong type in a field': 2 },
  });
});

test('TRL and OpenAI: messages', async () => {
  const messages = [{ role: 'system', content: 'Be kind.' }, user('Hi'), assistant('Hello')];
  expect((await read({ messages })).rows).toEqual([{ kind: 'messages', messages }]);
  expect(await kindOf({ messages })).toBe('messages');
  expect((await read({ messages: [{ role: 'developer', content: 'x' }, user('a'), assistant('b')] })).rows).toEqual(
    conversation({ role: 'system', content: 'x' }, user('a'), assistant('b')),
  );
});

test('OpenAI: parts, weights, names and tool calls', async () => {
  const parts = { role: 'user', content: [{ type: 'text', text: 'one ' }, 'two', { type: 'text', value: ' three' }] };
  expect((await read({ messages: [parts, assistant('b')] })).rows).toEqual(
    conversation(user('one two three'), assistant('b')),
  );
  const weighted = [user('a'), { ...assistant('b'), weight: 0 }, user('c'), { ...assistant('d'), weight: 1 }];
  expect((await read({ messages: weighted })).rows).toEqual(
    conversation(user('a'), { ...assistant('b'), train: false }, user('c'), assistant('d')),
  );
  expect((await read({ messages: [{ ...user('a'), name: 'Ann' }, assistant('b')] })).rows).toEqual(
    conversation({ ...user('a'), name: 'Ann' }, assistant('b')),
  );
  const calls = [{ type: 'function', function: { name: 'f', arguments: '{"x": 1}' } }, { function: { name: 'g' } }];
  const called = await read({
    messages: [
      user('a'),
      { role: 'assistant', content: null, tool_calls: calls },
      { role: 'tool', content: '1' },
      { role: 'tool', content: '2' },
      assistant('done'),
    ],
  });
  expect(called.rows).toEqual(
    conversation(
      user('a'),
      assistant('{"name":"f","arguments":{"x":1}}\n{"name":"g","arguments":{}}'),
      { role: 'tool', content: '1' },
      { role: 'tool', content: '2' },
      assistant('done'),
    ),
  );
  expect(called.warnings.join()).toContain('Tool calls');
  const picture = { role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] };
  expect((await read({ messages: [picture, assistant('b')] })).skipped).toEqual({ 'not only text': 1 });
});

test('turns of one role are merged, empty ones dropped', async () => {
  const messages = [user('a'), user(' '), user('b'), assistant(''), assistant('c'), assistant('d'), user('e')];
  expect((await read({ messages })).rows).toEqual(conversation(user('a\nb'), assistant('c\nd'), user('e')));
  // An empty turn between two of one role makes them neighbours.
  expect((await read({ messages: [user('a'), assistant(''), user('b'), assistant('c')] })).rows).toEqual(
    conversation(user('a\nb'), assistant('c')),
  );
  // What is learnt and what is not must not become one turn.
  const mixed = [user('a'), { ...assistant('b'), train: false }, assistant('c')];
  expect((await read({ messages: mixed })).rows).toEqual(conversation(...mixed));
});

test('conversations with nothing to learn or the wrong types are skipped', async () => {
  const { rows, skipped, report } = await read(
    { messages: [user('alone')] },
    { messages: [user('a'), assistant('  ')] },
    { messages: [user('a'), { ...assistant('b'), train: false }] },
    { messages: [] },
    { messages: 'Hello' },
    { messages: [3] },
    { messages: [{ role: 7, content: 'a' }] },
    { messages: [user('a'), { role: 'assistant', content: 5 }] },
    { messages: [{ role: 'narrator', content: 'a' }] },
    { messages: [{ role: 'constructor', content: 'a' }] },
    { messages: [user('a'), { ...assistant('b'), weight: 'heavy' }] },
    { messages: [user('a'), { ...assistant('b'), tool_calls: 'f' }] },
  );
  expect(rows).toEqual([]);
  expect(skipped).toEqual({
    'nothing to learn': 3,
    empty: 1,
    'wrong type in a field': 6,
    'unknown role': 2,
  });
  // The first three of each reason are kept as examples, with their lines.
  expect(report.examples.filter(({ reason }) => reason === 'wrong type in a field')).toHaveLength(3);
  expect(report.examples.find(({ reason }) => reason === 'unknown role')).toMatchObject({
    file: 'pasted text',
    line: 10,
    snippet: '{"messages":[{"role":"narrator","content":"a"}]}',
  });
});

test('TRL: prompt and completion', async () => {
  expect((await read({ prompt: 'The sky is', completion: ' blue.' })).rows).toEqual([
    { kind: 'completion', prompt: 'The sky is', completion: ' blue.' },
  ]);
  const lists = { prompt: [user('a'), assistant('b'), user('c')], completion: [assistant('d')] };
  expect((await read(lists)).rows).toEqual(
    conversation(
      { ...user('a'), train: false },
      { ...assistant('b'), train: false },
      { ...user('c'), train: false },
      { ...assistant('d'), train: true },
    ),
  );
  expect(
    (
      await read(
        { prompt: 'a', completion: ' ' },
        { prompt: '', completion: '' },
        { prompt: 1, completion: 'b' },
        { prompt: [user('a')], completion: 'b' },
        { prompt: 'a', completion: 'b', label: false },
      )
    ).skipped,
  ).toEqual({ 'nothing to learn': 1, empty: 1, 'wrong type in a field': 2, 'marked as a bad answer': 1 });
  expect((await read({ prompt: 'a', completion: 'b', label: true })).rows).toHaveLength(1);
});

test('preference sets: the chosen answer is learnt', async () => {
  const strings = await read({ prompt: 'a', chosen: 'good', rejected: 'bad' });
  expect(strings.rows).toEqual([{ kind: 'completion', prompt: 'a', completion: 'good' }]);
  expect(strings.warnings.join()).toContain('rejected one is left out');
  const marked = conversation({ ...user('a'), train: false }, { ...assistant('good'), train: true });
  const lists = { prompt: [user('a')], chosen: [assistant('good')], rejected: [assistant('bad')] };
  expect((await read(lists)).rows).toEqual(marked);
  const implicit = { chosen: [user('a'), assistant('good')], rejected: [user('a'), assistant('bad')] };
  expect((await read(implicit)).rows).toEqual(conversation(user('a'), assistant('good')));
  const shareGpt = {
    conversations: [{ from: 'human', value: 'a' }],
    chosen: { from: 'gpt', value: 'good' },
    rejected: { from: 'gpt', value: 'bad' },
  };
  expect((await read(shareGpt)).rows).toEqual(marked);
  expect((await read({ instruction: 'a', input: '', chosen: 'good', rejected: 'bad' })).rows).toEqual(marked);
  expect(await kindOf(lists)).toBe('preference');
});

test('ShareGPT: all its tags', async () => {
  const record = {
    id: 'x1',
    system: 'Be brief.',
    tools: '[{"name": "f"}]',
    conversations: [
      { from: 'human', value: 'a' },
      { from: 'function_call', value: '{"name": "f", "arguments": {}}' },
      { from: 'observation', value: '1' },
      { from: 'gpt', value: 'b' },
    ],
  };
  const { rows, warnings } = await read(record);
  expect(rows).toEqual(
    conversation(
      { role: 'system', content: 'Be brief.' },
      user('a'),
      assistant('{"name": "f", "arguments": {}}'),
      { role: 'tool', content: '1' },
      assistant('b'),
    ),
  );
  expect(warnings.join()).toContain('tools');
  const imported = await importPasted(JSON.stringify(record));
  expect(imported.report.files[0]?.kind).toBe('sharegpt');
  expect(imported.rows[0]).toMatchObject({ id: 'x1', source: { file: 'pasted text', line: 1 } });
  const system = {
    conversations: [
      { from: 'system', value: 's' },
      { from: 'human', value: 'a' },
      { from: 'gpt', value: 'b' },
    ],
  };
  expect((await read(system)).rows).toEqual(conversation({ role: 'system', content: 's' }, user('a'), assistant('b')));
  expect((await read({ conversations: { from: 'human' } }, { ...system, system: 4 })).skipped).toEqual({
    'wrong type in a field': 2,
  });
});

test('Alpaca: instruction, input, output, system, history', async () => {
  expect((await read({ instruction: 'Add', input: '1 and 2', output: '3' })).rows).toEqual(
    conversation(user('Add\n1 and 2'), assistant('3')),
  );
  const full = {
    instruction: 'c',
    input: '',
    output: 'd',
    system: 's',
    history: [['a', 'b']],
    text: 'the same as one text',
  };
  expect((await read(full)).rows).toEqual(
    conversation({ role: 'system', content: 's' }, user('a'), assistant('b'), user('c'), assistant('d')),
  );
  expect(await kindOf(full)).toBe('alpaca');
  expect((await read({ instruction: 'Who?', context: 'It was Ann.', response: 'Ann' })).rows).toEqual(
    conversation(user('Who?\nIt was Ann.'), assistant('Ann')),
  );
  expect(
    (
      await read(
        { instruction: 'a', output: '' },
        { instruction: '', output: 'b' },
        { instruction: 'a', output: 4 },
        { instruction: 'a', output: 'b', history: [['x']] },
        { instruction: 'a', output: 'b', history: 'x' },
        { instruction: 'a', output: 'b', kto_tag: false },
      )
    ).skipped,
  ).toEqual({ 'nothing to learn': 1, empty: 1, 'wrong type in a field': 3, 'marked as a bad answer': 1 });
});

test('questions and answers under their usual names', async () => {
  for (const [question, answer] of [
    ['question', 'answer'],
    ['query', 'response'],
    ['prompt', 'response'],
    ['input', 'output'],
  ] as const) {
    const record = { [question]: 'a', [answer]: 'b' };
    expect((await read(record)).rows).toEqual(conversation(user('a'), assistant('b')));
    expect(await kindOf(record)).toBe('question and answer');
  }
});

test('wrapped records, bare lists of turns, strings and loose turns', async () => {
  expect((await read({ data: [{ text: 'a' }, { nothing: 1 }] })).rows).toEqual([{ kind: 'text', text: 'a' }]);
  expect((await read({ row_idx: 0, row: { text: 'a' } })).rows).toEqual([{ kind: 'text', text: 'a' }]);
  expect((await read([user('a'), assistant('b')])).rows).toEqual(conversation(user('a'), assistant('b')));
  expect((await read('just text')).rows).toEqual([{ kind: 'text', text: 'just text' }]);
  const loose = await importPasted(JSON.stringify([user('a'), assistant('b'), user('c'), assistant('d')], null, 1));
  expect(bare(loose.rows)).toEqual(conversation(user('a'), assistant('b'), user('c'), assistant('d')));
  expect((await read(7, null, {}, { turns: ['a'] }, [])).skipped).toEqual({ 'no known fields': 5 });
});

test('rows of several layouts in one file', async () => {
  const { report, rows } = await read({ prompt: 'a', completion: 'b' });
  expect(rows).toHaveLength(1);
  expect(report.files[0]).toMatchObject({ kind: 'mixed', rows: 2 });
});
