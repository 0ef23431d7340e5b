import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { importFiles, importPasted } from '../../../src/datasets/voice/import/import.ts';
import { rowLength } from '../../../src/datasets/voice/rows.ts';
import { diskFile, sharedFolder } from './files.ts';

const chats = sharedFolder('data/chat');
const books = sharedFolder('data/text');

const read = async (...parts: string[]) => importFiles([await diskFile(path.join(...parts))]);

/** The records of a JSON or JSON Lines file, whole. */
function records(...parts: string[]): Record<string, unknown>[] {
  const text = readFileSync(path.join(...parts), 'utf8');
  if (text.trimStart().startsWith('[')) return JSON.parse(text) as Record<string, unknown>[];
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Tests over shared material are there where it is; what they prove of each layout, the last test proves anywhere. */
function whereShared(folder: string | undefined, name: string, tests: (folder: string) => void): void {
  if (folder !== undefined) {
    describe(name, () => {
      tests(folder);
    });
  }
}

whereShared(chats, 'public chat data', (folder) => {
  test.each([
    ['llama-factory/alpaca_en_demo.json', 'alpaca', ['output']],
    ['llama-factory/identity.json', 'alpaca', ['output']],
    ['llama-factory/glaive_toolcall_en_demo.json', 'sharegpt', ['conversations']],
    ['llama-factory/v1_sft_demo.jsonl', 'messages', ['messages']],
    ['fastchat/dummy_conversation.json', 'sharegpt', ['conversations']],
  ])('%s is read whole', async (file, kind, fields) => {
    const { rows, report } = await read(folder, file);
    expect(report.files[0]?.kind).toBe(kind);
    const source = records(folder, file);
    const blank = source.filter((record) => fields.some((field) => record[field] === '')).length;
    expect(report.skipped['nothing to learn'] ?? 0).toBe(blank);
    expect(rows).toHaveLength(source.length - blank);
    for (const row of rows) {
      if (row.kind !== 'messages') throw new Error('Only conversations are in these files.');
      expect(row.messages.at(-1)?.role).toBe('assistant');
      row.messages.forEach(({ role }, i) => role === 'tool' || expect(role).not.toBe(row.messages[i - 1]?.role));
    }
  });

  test('every text of a ShareGPT file arrives', async () => {
    const { rows } = await read(folder, 'fastchat/dummy_conversation.json');
    const source = records(folder, 'fastchat/dummy_conversation.json');
    const expected = source.flatMap(({ conversations }) => (conversations as { value: string }[]).map((t) => t.value));
    const found = rows.flatMap((row) => (row.kind === 'messages' ? row.messages.map(({ content }) => content) : []));
    expect(found).toEqual(expected);
  });

  test('questions without answers and settings are refused', async () => {
    await expect(read(folder, 'fastchat/mt_bench_question.jsonl')).rejects.toThrow('no known fields: 80');
    await expect(read(folder, 'llama-factory/dataset_info.json')).rejects.toThrow('no known fields: 1');
  });
});

whereShared(books, 'public texts', (folder) => {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });

  test.each(files.filter((file) => file.endsWith('.txt')))('%s arrives but for blank lines', async (file) => {
    const { rows, report } = await read(folder, file);
    const words = (text: string) => text.split(/\s+/u).filter(Boolean);
    const found = rows.flatMap((row) => (row.kind === 'text' ? words(row.text) : []));
    const expected = words(readFileSync(path.join(folder, file), 'utf8'));
    expect(found.length).toBe(expected.length);
    expect(found.join(' ') === expected.join(' ')).toBe(true);
    expect(report.files[0]?.kind).toBe('text');
    expect(rows.length).toBeGreaterThan(5);
    for (const row of rows) expect(rowLength(row)).toBeLessThan(50_000);
  });
});

test('a small file of each public layout is read the same way', async () => {
  const exchange = ['Hello there', 'General.'] as const;
  const layouts = {
    alpaca: [{ instruction: exchange[0], input: '', output: exchange[1] }],
    sharegpt: [
      {
        conversations: [
          { from: 'human', value: exchange[0] },
          { from: 'gpt', value: exchange[1] },
        ],
        tools: '[]',
      },
    ],
    messages: [
      {
        messages: [
          { role: 'user', content: [{ type: 'text', value: exchange[0] }], loss_weight: 0 },
          { role: 'assistant', content: [{ type: 'text', value: exchange[1] }], loss_weight: 1 },
        ],
      },
    ],
  };
  for (const [kind, source] of Object.entries(layouts)) {
    const { rows, report } = await importPasted(JSON.stringify(source, null, 2));
    expect(report.files[0]).toMatchObject({ kind, rows: 1, warnings: [] });
    expect(rows[0]).toMatchObject({
      messages: [
        { role: 'user', content: exchange[0] },
        { role: 'assistant', content: exchange[1] },
      ],
    });
  }
});
