import { expect, test } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import { importFiles, importPasted } from '../../../src/datasets/voice/import/import.ts';
import type { ImportOptions, ImportProgress, ImportError } from '../../../src/datasets/voice/import/import.ts';
import { CsvSplitter } from '../../../src/datasets/voice/import/csv.ts';
import { JsonValueSplitter } from '../../../src/datasets/voice/import/json-values.ts';
import { LineSplitter } from '../../../src/datasets/voice/import/lines.ts';
import { Xoshiro128 } from '../../../src/common/order.ts';
import { isTrained, rowsToJsonl } from '../../../src/datasets/voice/rows.ts';
import type { Message, Role, TrainingRow } from '../../../src/datasets/voice/rows.ts';
import { bare, sourceFile, utf16 } from './files.ts';
import { seeded } from '../../support/seeds.ts';

const importOne = (content: string | Uint8Array, name = 'set.bin', options: ImportOptions = {}) =>
  importFiles([sourceFile(name, content)], options);

async function refusal(content: string | Uint8Array, name = 'set.bin', options: ImportOptions = {}): Promise<string> {
  const error: unknown = await importOne(content, name, options).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(UserError);
  return (error as UserError).message;
}

const texts = (rows: readonly TrainingRow[]) => rows.map((row) => (row.kind === 'text' ? row.text : row));

test('JSON Lines: blank lines, CRLF, trailing commas, line numbers', async () => {
  const { rows, report } = await importOne('\n{"text": "a"}\r\n\r\n  {"text": "b"},\n{"text": "c"}');
  expect(texts(rows)).toEqual(['a', 'b', 'c']);
  expect(rows.map((row) => row.source)).toEqual([2, 4, 5].map((line) => ({ file: 'set.bin', line })));
  expect(report).toEqual({
    files: [{ name: 'set.bin', kind: 'text rows', rows: 3, skipped: {}, warnings: [] }],
    kept: 3,
    skipped: {},
    examples: [],
    warnings: [],
  });
});

test('broken JSON Lines: the line numbers are said, the good lines kept if wished', async () => {
  const lines = ['{"text": "a"}', '{"text": "b"', '{"text": "c"}', 'nonsense \u0007<b>', '{"text": "d"}'];
  const { rows, report } = await importOne(lines.join('\n'), 'set.jsonl');
  expect(texts(rows)).toEqual(['a', 'c', 'd']);
  expect(report.skipped).toEqual({ 'not valid JSON': 2 });
  expect(report.examples).toEqual([
    { file: 'set.jsonl', line: 2, reason: 'not valid JSON', snippet: '{"text": "b"' },
    { file: 'set.jsonl', line: 4, reason: 'not valid JSON', snippet: 'nonsense <b>' },
  ]);
  expect(report.warnings).toEqual([
    '“set.jsonl”: 2 entries are not valid JSON (lines 2, 4); everything else was read.',
  ]);
  expect(await refusal(lines.join('\n'), 'set.jsonl', { keepGood: false })).toMatch(/^Line 2 of “set.jsonl” is not/);
  // The first line may be the broken one.
  expect(texts((await importOne('{"text": "a\n{"text": "b"}')).rows)).toEqual(['b']);
  expect(await refusal('{"text": "a\n{"text": "b', 'x.jsonl')).toContain('not valid JSON');
});

test('JSON lists, on one line or many, and objects one after another', async () => {
  const records = [{ text: 'a ] } " \\ \n' }, { text: 'b' }, { messages: [{ role: 'assistant', content: '{["' }] }];
  const expected = [
    { kind: 'text', text: 'a ] } " \\ \n' },
    { kind: 'text', text: 'b' },
    { kind: 'messages', messages: [{ role: 'assistant', content: '{["' }] },
  ];
  for (const text of [
    JSON.stringify(records),
    JSON.stringify(records, null, 2),
    `\ufeff \n${JSON.stringify(records, null, '\t')}\n`,
    records.map((record) => JSON.stringify(record, null, 2)).join('\n'),
    records.map((record) => JSON.stringify(record)).join(' '),
    JSON.stringify({ data: records }),
    JSON.stringify({ data: records }, null, 2),
    `[${JSON.stringify(records[0])},\n${JSON.stringify(records.slice(1)).slice(1)}`,
  ]) {
    expect(bare((await importOne(text)).rows), text).toEqual(expected);
  }
  expect(texts((await importOne('["a", "b,]", "c"]')).rows)).toEqual(['a', 'b,]', 'c']);
  const { rows } = await importOne(JSON.stringify([{ text: 'a' }, { text: 'b' }], null, 2));
  expect(rows.map((row) => row.source?.line)).toEqual([2, 5]);
});

test('lists of turns, one conversation a line', async () => {
  const line = (answer: string) =>
    JSON.stringify([
      { role: 'user', content: 'a' },
      { role: 'assistant', content: answer },
    ]);
  const { rows } = await importOne(`${line('b')}\n${line('c')}\n`);
  expect(rows).toHaveLength(2);
});

test('damaged JSON lists: good entries are found again, truncation is said', async () => {
  const text = `[\n  {"text": "a"},\n  {"text": "b},\n  {"text": 3x},\n  {"text": "d"}\n]\n`;
  const { rows, report } = await importOne(text);
  expect(texts(rows)).toEqual(['a', 'd']);
  expect(report.examples.map(({ line, reason }) => [line, reason])).toEqual([
    [3, 'not valid JSON'],
    [4, 'not valid JSON'],
  ]);
  // Brackets and quotes left out or doubled cost their own entry alone.
  const good = { messages: [{ role: 'assistant', content: 'b' }], x: { y: [1] } };
  for (const indent of [0, 1]) {
    const entry = JSON.stringify(good, null, indent);
    for (let at = 1; at < entry.length; at++) {
      if (!/[[\]{}"]/.test(entry[at] ?? '')) continue;
      for (const bad of [entry.slice(0, at) + entry.slice(at + 1), entry.slice(0, at + 1) + entry.slice(at)]) {
        const { rows, report } = await importOne(`[${entry},\n${bad},\n${entry},\n${entry}]`);
        // One bracket too many at its end leaves the entry itself whole.
        const whole = bad.replace(/\s/g, '').startsWith(JSON.stringify(good)) ? 4 : 3;
        expect(bare(rows), bad).toEqual(new Array(whole).fill({ kind: 'messages', messages: good.messages }));
        expect(report.skipped['not valid JSON'], bad).toBeGreaterThan(0);
      }
    }
  }
  const whole = JSON.stringify([{ text: 'a' }, { text: 'b' }, { text: 'c' }], null, 1);
  const cut = await importOne(whole.slice(0, whole.indexOf('c') + 1));
  expect(texts(cut.rows)).toEqual(['a', 'b']);
  expect(cut.report.warnings).toContain(
    '“set.bin” breaks off: from line 8 on a bracket is missing or the end of the file is lost. The 2 rows before it were kept.',
  );
  const between = await importOne(`${JSON.stringify([{ text: 'a' }, { text: 'b' }]).slice(0, -1)},`);
  expect(texts(between.rows)).toEqual(['a', 'b']);
  expect(between.report.warnings.join()).toContain('breaks off');
  expect(await refusal('[{"text": "a', 'x.json')).toContain('not valid JSON');
  expect(await refusal(whole.slice(0, -10), 'x.json', { keepGood: false })).toMatch(/^Line 8 of “x.json” is not/);
  expect(await refusal('[{"text": "a"},', 'x.json', { keepGood: false })).toMatch(/^“x.json” breaks off: from line 1/);
  // A list that is whole but not closed is no reason to keep quiet either.
  expect(await refusal('[]', 'x.json')).toContain('Nothing that can be learnt');
});

test('every prefix of a JSON list gives its whole entries and no error but ours', async () => {
  const records = Array.from({ length: 6 }, (_, i) => ({ text: `te"xt\\ ${String(i)}`, tags: [{ a: [] }] }));
  for (const text of [JSON.stringify(records), JSON.stringify(records, null, 2)]) {
    for (let end = 1; end < text.length; end++) {
      const prefix = text.slice(0, end);
      const result = await importPasted(prefix).catch((error: unknown) => error);
      const complete = (prefix.match(/\]\s*\}/g) ?? []).length - (prefix.match(/\[\]\s*\}/g) ?? []).length;
      if (result instanceof Error) {
        expect(result).toBeInstanceOf(UserError);
        expect(complete, prefix).toBe(0);
      } else {
        const { rows, report } = result as Awaited<ReturnType<typeof importPasted>>;
        expect(rows.length, prefix).toBe(complete);
        expect(report.warnings.join(), prefix).toContain('breaks off');
      }
    }
  }
});

test('encodings: UTF-8 with or without mark, UTF-16 by its mark', async () => {
  const text = '{"text": "Grüße, 世界 🌍"}\n{"text": "ß"}\n';
  for (const bytes of [text, `\ufeff${text}`, utf16(text, false), utf16(text, true)]) {
    expect(texts((await importOne(bytes)).rows)).toEqual(['Grüße, 世界 🌍', 'ß']);
  }
  expect(texts((await importOne(utf16('Grüße', false))).rows)).toEqual(['Grüße']);
  expect(texts((await importPasted('\ufeffGrüße')).rows)).toEqual(['Grüße']);
});

test('other encodings are refused with the line', async () => {
  const latin = Uint8Array.from('good\nall\nGr\u00fc\u00dfe\nend', (letter) => letter.charCodeAt(0));
  expect(await refusal(latin, 'alt.txt')).toBe(
    '“alt.txt” is not UTF-8 text (line 3). Open it in an editor, save it with the encoding UTF-8, and drop it again.',
  );
  const long = new Uint8Array(300_000).fill(0x61);
  for (let at = 99; at < long.length; at += 100) long[at] = 10;
  long[299_950] = 0xfc;
  expect(await refusal(long, 'alt.txt')).toContain('(line 3000)');
  expect(await refusal(new TextEncoder().encode('ab\nü').slice(0, -1), 'cut.txt')).toContain('(line 2)');
  expect(await refusal(utf16('Hello, world', false).slice(2), 'x.txt')).toContain('UTF-16 text without its mark');
  expect(await refusal(utf16('ab', false).slice(0, -1), 'x.txt')).toContain('damaged near line 1');
});

test('files that are no text are refused by what they are', async () => {
  const withHead = (...head: number[]) => Uint8Array.from([...head, ...new Array<number>(100).fill(1)]);
  const ascii = (text: string) => Array.from(text, (letter) => letter.charCodeAt(0));
  expect(await refusal(withHead(...ascii('PAR1')), 'a.parquet')).toMatch(/“a.parquet” is a Parquet file.*JSON Lines/);
  expect(await refusal(withHead(0x50, 0x4b, 3, 4), 'a.zip')).toMatch(/ZIP archive.*Unpack it/);
  expect(await refusal(withHead(0x1f, 0x8b), 'a.jsonl.gz')).toMatch(/packed file. Unpack it/);
  expect(await refusal(withHead(...ascii('%PDF-1.7')), 'a.pdf')).toMatch(/PDF.*plain text/);
  expect(await refusal(withHead(0x89, ...ascii('PNG')), 'a.png')).toContain('picture');
  expect(await refusal(withHead(...ascii('RIFFxxxxWAVE')), 'a.txt')).toContain('sound');
  expect(await refusal(withHead(1, 0, 2, 0, 0), 'a.txt')).toContain('is not a text file');
});

test('empty files and sets are refused', async () => {
  expect(await refusal('', 'a.txt')).toBe('“a.txt” is empty.');
  expect(await refusal(' \n\r\n\t', 'a.txt')).toBe('“a.txt” is empty.');
  expect(await refusal('\ufeff', 'a.txt')).toBe('“a.txt” is empty.');
  const error = await importFiles([]).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(UserError);
  const message = await refusal('{"turns": []}\n{"x": 1}\n{"text": ""}', 'a.jsonl');
  expect(message).toBe(
    'Nothing that can be learnt was found in “a.jsonl” (no known fields: 2, empty: 1; the first on line 1 of “a.jsonl”). ' +
      'Known fields are text; messages; prompt and completion; conversations; instruction and output.',
  );
});

test('one bad file among good ones costs nothing but itself', async () => {
  const files = [
    sourceFile('a.txt', 'Hello there.'),
    sourceFile('b.png', Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0, 0)),
    sourceFile('c.jsonl', '{"text": "a"}\n{"text": 1}\n'),
  ];
  const { rows, report } = await importFiles(files);
  expect(rows).toHaveLength(2);
  expect(report.files.map(({ kind, rows }) => [kind, rows])).toEqual([
    ['text', 1],
    ['refused', 0],
    ['text rows', 1],
  ]);
  expect(report).toMatchObject({ kept: 2, skipped: { 'wrong type in a field': 1 } });
  expect(report.warnings).toEqual(['“b.png” is a picture. Pictures teach a look, not a voice.']);
  await expect(importFiles(files, { keepGood: false })).rejects.toThrow('is a picture');
  const error: unknown = await importFiles(files.slice(1, 2)).catch((cause: unknown) => cause);
  expect((error as ImportError).report.files[0]).toMatchObject({ name: 'b.png', kind: 'refused' });
});

test('a file that cannot be read is said to be so', async () => {
  const gone = {
    name: 'gone.txt',
    size: 5,
    stream: () =>
      new ReadableStream<Uint8Array>({
        pull(controller) {
          controller.error(new Error('NotReadableError'));
        },
      }),
  };
  await expect(importFiles([gone])).rejects.toThrow('“gone.txt” could not be read');
});

test('plain text: short files whole, long ones at chapters and paragraphs', async () => {
  expect(texts((await importOne('\n\n  One.\r\n\r\nTwo. \r\n\n\n\n\nThree.\n\n')).rows)).toEqual([
    '  One.\n\nTwo. \n\n\n\n\nThree.',
  ]);
  const paragraph = `${'word '.repeat(99)}end`;
  const chapter = (title: string) => [title, ...new Array<string>(6).fill(paragraph)].join('\n\n');
  const book = ['I', 'II', 'III'].map(chapter).join('\n\n\n\n');
  const { rows } = await importOne(book);
  expect(texts(rows)).toEqual(['I', 'II', 'III'].map(chapter));
  expect(rows.map((row) => row.source?.line)).toEqual([1, 17, 33]);
  const long = new Array<string>(100).fill(paragraph).join('\n\n');
  const cut = texts((await importOne(long)).rows) as string[];
  expect(cut.length).toBeGreaterThan(4);
  expect(cut.join('\n\n')).toBe(long);
  for (const text of cut) expect(text.length).toBeLessThan(8_600);
  // Nothing to pause at: lines, then spaces, then anywhere but within a character.
  const verses = new Array<string>(2_000).fill('a verse of some length').join('\n');
  expect((texts((await importOne(verses)).rows) as string[]).join('\n')).toBe(verses);
  const line = 'word '.repeat(500_000).trim();
  expect((texts((await importOne(line)).rows) as string[]).join(' ')).toBe(line);
  const faces = `x${'🌍'.repeat(800_000)}`;
  const parts = texts((await importOne(faces)).rows) as string[];
  expect(parts.length).toBe(2);
  expect(parts.join('')).toBe(faces);
  for (const part of parts) expect(part).not.toMatch(/[\ud800-\udbff]$|^[\udc00-\udfff]/);
});

test('plain text split as asked', async () => {
  const text = 'a\nb\n\nc\n';
  const split = async (textSplit: ImportOptions['textSplit']) =>
    texts((await importPasted(text, textSplit ? { textSplit } : {})).rows);
  expect(await split(undefined)).toEqual(['a\nb\n\nc']);
  expect(await split('file')).toEqual(['a\nb\n\nc']);
  expect(await split('paragraph')).toEqual(['a\nb', 'c']);
  expect(await split('line')).toEqual(['a', 'b', 'c']);
});

test('text that only looks a little like JSON stays text', async () => {
  for (const text of [
    '[Verse 1]\nHello',
    '{{name}} said',
    '[06.13.18 21:25] a: m',
    '[[Link]] text',
    '"Hi," he said.',
  ]) {
    const { rows, report } = await importPasted(text);
    expect(texts(rows)).toEqual([text]);
    expect(report.files[0]?.kind).toBe('text');
  }
  expect((await importPasted('<!DOCTYPE html><p>Hi</p>')).report.warnings.join()).toContain('web page');
});

test('entries without an end are refused before memory runs out', () => {
  const ignore = () => undefined;
  for (const splitter of [
    new LineSplitter(ignore, 1000),
    new JsonValueSplitter(true, ignore, 1000),
    new CsvSplitter(',', ignore, 1000),
  ]) {
    splitter.push('[\n"aaa"\n,\n"');
    splitter.push('a'.repeat(900));
    expect(() => {
      splitter.push('a'.repeat(200));
    }).toThrow('The entry on line 4 is longer than 1,000 characters');
  }
});

test('tables with known columns', async () => {
  const csv = 'id,Instruction,output\r\n7,"Say ""hi"",\nplease",hi\n8,b\n\n9,c,d\n';
  const { rows, report } = await importOne(csv, 'set.csv');
  expect(rows).toHaveLength(2);
  expect(rows[0]).toEqual({
    kind: 'messages',
    id: '7',
    source: { file: 'set.csv', line: 2 },
    messages: [
      { role: 'user', content: 'Say "hi",\nplease' },
      { role: 'assistant', content: 'hi' },
    ],
  });
  expect(report).toMatchObject({ skipped: { 'wrong number of columns': 1 }, files: [{ kind: 'alpaca' }] });
  expect(report.examples[0]?.line).toBe(4);
  for (const delimiter of [';', '\t']) {
    const text = ['prompt', 'completion'].join(delimiter) + '\n' + ['a, b', 'c'].join(delimiter);
    expect(bare((await importOne(text)).rows)).toEqual([{ kind: 'completion', prompt: 'a, b', completion: 'c' }]);
  }
  expect(await importOne('text,label\n"open,1\nb,2', 'x.csv').catch((e: unknown) => String(e))).toContain('Nothing');
  expect(await refusal('name,age,town\nAnn,3,Rome\nBob,4,Bonn\n', 'people.csv')).toContain('columns say nothing');
  expect(texts((await importOne('name,age,town\nAnn,3,Rome\nBob,4,Bonn', 'people.txt')).rows)).toHaveLength(1);
});

seeded('pieces of any size give the same rows', async ({ seed }) => {
  const random = Xoshiro128.from(seed);
  const alphabet = ['a', ' ', '"', '\\', '\n', '\r\n', '{', '}', '[', ']', ',', 'é', '世', '🌍', '\u2028', ';'];
  const word = (): string => Array.from({ length: random.below(12) }, () => alphabet[random.below(16)]).join('');
  const records = Array.from({ length: 40 }, () => ({
    instruction: word(),
    output: word(),
    extra: [word(), { a: 1 }],
  }));
  const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  const layouts = {
    list: JSON.stringify(records),
    pretty: JSON.stringify(records, null, 2),
    lines: records.map((record) => JSON.stringify(record)).join('\n'),
    objects: records.map((record) => JSON.stringify(record, null, 1)).join('\n'),
    csv: ['instruction,output', ...records.map((r) => `${quoted(r.instruction)},${quoted(r.output)}`)].join('\n'),
  };
  const expected = bare((await importPasted(layouts.list)).rows);
  expect(expected.length, `seed ${String(seed)}`).toBeGreaterThan(5);
  for (const [layout, text] of Object.entries(layouts)) {
    const file = sourceFile('set', text, () => 1 + random.below(40));
    expect(bare((await importFiles([file])).rows), `${layout}, seed ${String(seed)}`).toEqual(expected);
  }
  // The first line says that this is text: words drawn like this may look like JSON, one line in a hundred.
  const plain = ['plain text', ...Array.from({ length: 400 }, () => word())].join('\n');
  const file = sourceFile('set', plain, () => 1 + random.below(40));
  expect(texts((await importFiles([file], { textSplit: 'line' })).rows), `seed ${String(seed)}`).toEqual(
    plain.split(/\r?\n/).filter((line) => line.trim() !== ''),
  );
});

seeded('rows.jsonl is read back as it was', async ({ seed }) => {
  const random = Xoshiro128.from(seed);
  const roles: readonly Role[] = ['system', 'user', 'assistant', 'tool'];
  const rows: TrainingRow[] = [
    { kind: 'text', text: 'a\nb', id: '1' },
    { kind: 'completion', prompt: '', completion: ' x' },
  ];
  while (rows.length < 200) {
    const messages: Message[] = [];
    for (let i = random.below(5); i >= 0; i--) {
      const message: Message = { role: roles[random.below(4)] ?? 'user', content: `m${String(random.below(99))}` };
      if (random.below(3) === 0) message.train = random.below(2) === 0;
      if (random.below(5) === 0) message.name = 'Ann';
      // Turns that importing would merge are not what it gives.
      const last = messages.at(-1);
      if (last && last.role === message.role && message.role !== 'tool') continue;
      messages.push(message);
    }
    if (messages.some(isTrained)) rows.push({ kind: 'messages', messages });
  }
  const explicit = (row: TrainingRow): unknown =>
    row.kind === 'messages' ? row.messages.map((m) => ({ ...m, train: isTrained(m) })) : bare([row]);
  const text = rowsToJsonl(rows);
  const back = (await importPasted(text)).rows;
  expect(back.map(explicit), `seed ${String(seed)}`).toEqual(rows.map(explicit));
  expect(back[0]?.id).toBe('1');
  expect(rowsToJsonl(back)).toBe(text);
  // What TRL would read is written in its own fields alone.
  const keys = new Set(
    text
      .trim()
      .split('\n')
      .map((line) => Object.keys(JSON.parse(line) as object).join()),
  );
  for (const key of keys) expect(['id,text', 'prompt,completion', 'messages']).toContain(key);
});

test('progress rises to 1, and an abort stops at once and keeps what was read', async () => {
  const line = `${JSON.stringify({ text: 'x'.repeat(1000) })}\n`;
  const content = line.repeat(3000);
  const seen: ImportProgress[] = [];
  const files = [sourceFile('a', content), sourceFile('b', content)];
  await importFiles(files, {}, (progress) => seen.push(progress));
  expect(seen.length).toBeGreaterThan(10);
  expect(seen.every((one, i) => i === 0 || one.fraction >= (seen[i - 1]?.fraction ?? 0))).toBe(true);
  expect(seen.at(-1)).toMatchObject({ fraction: 1, file: 'b' });
  const abort = new AbortController();
  let cancelled = false;
  let pulls = 0;
  const endless = {
    name: 'endless',
    size: 1,
    stream: () =>
      new ReadableStream<Uint8Array>({
        pull: (controller) => {
          controller.enqueue(new TextEncoder().encode(line));
          if (++pulls === 200) abort.abort();
        },
        cancel: () => {
          cancelled = true;
        },
      }),
  };
  const turns = sourceFile('turns', '{"role":"user","content":"a"}\n{"role":"assistant","content":"b"}\n');
  const running = importFiles([turns, endless, sourceFile('c', content)], { signal: abort.signal });
  const { rows, report } = await running;
  expect(cancelled).toBe(true);
  expect(report.stopped).toBe(true);
  // One line ends in each piece of the endless file: what was read is whole, and no other file is spoken of.
  expect(rows.length).toBeGreaterThan(1);
  expect(rows[0]!.kind).toBe('messages');
  expect(rows.slice(1).every((row) => row.kind === 'text' && row.text.length === 1000)).toBe(true);
  expect(report).toMatchObject({ kept: rows.length, skipped: {} });
  expect(report.files.map(({ name, rows: count }) => [name, count])).toEqual([
    ['turns', 1],
    ['endless', rows.length - 1],
  ]);
  expect(report.warnings.join()).toContain('“endless”: Reading was stopped before its end');
});

test('an import that is stopped at once gives nothing, and nothing is wrong', async () => {
  const result = await importFiles([sourceFile('a', 'Hello.')], { signal: AbortSignal.abort() });
  expect(result).toEqual({
    rows: [],
    report: { files: [], kept: 0, skipped: {}, examples: [], warnings: [], stopped: true },
  });
  expect((await importPasted('Hello.', { signal: AbortSignal.abort() })).rows).toEqual([]);
});

test('of a file that was stopped the entries that were read to their end are kept, the one that was not is not guessed', async () => {
  const line = `${JSON.stringify({ text: 'x'.repeat(1000) })}\n`;
  const abort = new AbortController();
  const { rows, report } = await importFiles([sourceFile('a', line.repeat(900))], { signal: abort.signal }, () =>
    abort.abort(),
  );
  // One piece was read: it ends within a line.
  expect(rows).toHaveLength(Math.floor((1 << 16) / line.length));
  expect(report).toMatchObject({ kept: rows.length, skipped: {}, stopped: true });
});
