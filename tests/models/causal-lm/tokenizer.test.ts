import { describe, expect, test } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import { IGNORED_LABEL } from '../../../src/common/ignored-label.ts';
import { Tokenizer } from '../../../src/models/causal-lm/tokenizer.ts';
import type { EncodedRow } from '../../../src/models/causal-lm/tokenizer.ts';
import { diskFolder, fixture, FIXTURES, sharedData, textFolder } from '../../support/disk-folder.ts';

interface Expected {
  bos: number | null;
  eos: number | null;
  pad: number | null;
  rows: { text: string; ids: number[]; bare: number[]; decoded: string; plain: string }[];
}

function streamed(tokenizer: Tokenizer, ids: readonly number[]): string {
  const stream = tokenizer.stream();
  return ids.map((id) => stream.push([id])).join('') + stream.end();
}

/** Everything that carries loss, as text with its special tokens. */
function trained(tokenizer: Tokenizer, { inputIds, labels, spans }: EncodedRow): string[] {
  for (const [i, label] of labels.entries()) {
    const inside = spans.some(({ start, end }) => i >= start && i < end);
    expect(label).toBe(inside ? inputIds[i] : IGNORED_LABEL);
  }
  return spans.map(({ start, end }) => tokenizer.decode(inputIds.subarray(start, end)));
}

describe.each(['byte-level', 'byte-fallback', 'byte-fallback-llama', 'words', 'words-llama'])('%s', (name) => {
  const expected = fixture<Expected>(`tokenizers/${name}/expected.json`);

  test('gives the ids and texts of transformers', async () => {
    const tokenizer = await Tokenizer.load(diskFolder(`${FIXTURES}tokenizers/${name}`));
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual([expected.bos, expected.eos, expected.pad]);
    expect(expected.rows.length).toBeGreaterThan(200);
    for (const { text, ids, bare, decoded, plain } of expected.rows) {
      expect([...tokenizer.encode(text)], JSON.stringify(text)).toEqual(ids);
      expect([...tokenizer.encode(text, { addSpecialTokens: false })], JSON.stringify(text)).toEqual(bare);
      expect(tokenizer.decode(ids), JSON.stringify(text)).toBe(decoded);
      expect(tokenizer.decode(bare, { skipSpecialTokens: true }), JSON.stringify(text)).toBe(plain);
    }
  });

  test('streams what decoding all at once gives, never half a character', async () => {
    const tokenizer = await Tokenizer.load(diskFolder(`${FIXTURES}tokenizers/${name}`));
    for (const { bare, plain } of expected.rows) {
      expect(streamed(tokenizer, bare)).toBe(plain);
      const stream = tokenizer.stream();
      for (const id of bare) if (!plain.includes('\uFFFD')) expect(stream.push([id])).not.toContain('\uFFFD');
    }
    expect(streamed(tokenizer, [])).toBe('');
    expect(tokenizer.decode([tokenizer.vocabSize + 7, -1])).toBe('');
  });
});

test('the larger tokenizers of real models, where they are at hand', async () => {
  const path = sharedData('tokenizers/qwen3-0.6b');
  if (path === null) {
    // The small byte-level tokenizer above is of the same kind; only its size differs.
    expect(fixture<Expected>('tokenizers/byte-level/expected.json').rows.length).toBeGreaterThan(0);
    return;
  }
  const tokenizer = await Tokenizer.load(diskFolder(path));
  expect(tokenizer.hasChatTemplate).toBe(true);
  const text = 'Größe 漢字 😀 <|im_end|>\n\n  it’s';
  expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  const row = tokenizer.encodeConversation([
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Hello!' },
    { role: 'user', content: 'Bye' },
    { role: 'assistant', content: 'Farewell.' },
  ]);
  // The published template shows an empty thought before the last answer only, and the model must say it.
  expect(trained(tokenizer, row)).toEqual(['Hello!<|im_end|>', '<think>\n\n</think>\n\nFarewell.<|im_end|>']);
  expect(tokenizer.decode(row.inputIds)).toBe(
    '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n' +
      '<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nFarewell.<|im_end|>\n',
  );
});

describe('rows', () => {
  const load = () => Tokenizer.load(diskFolder(`${FIXTURES}tokenizers/byte-fallback`));

  test('a text is learnt whole and closed', async () => {
    const tokenizer = await load();
    const row = tokenizer.encodeText('the old furnace');
    expect(row.inputIds[0]).toBe(tokenizer.bosId);
    expect(row.inputIds.at(-1)).toBe(tokenizer.eosId);
    expect(row.labels[0]).toBe(IGNORED_LABEL);
    expect([...row.labels.subarray(1)]).toEqual([...row.inputIds.subarray(1)]);
    expect(tokenizer.encodeRow({ kind: 'text', text: 'the old furnace' })).toEqual(row);
    expect([...tokenizer.encodeText('').inputIds]).toEqual([tokenizer.bosId, tokenizer.eosId]);
  });

  test('of a completion only the completion and the end are learnt, a token across the border too', async () => {
    const config = { eos_token: '<|im_end|>' };
    const json = fixture<object>('tokenizers/byte-level/tokenizer.json');
    const tokenizer = await Tokenizer.load(
      textFolder('base', { 'tokenizer.json': json, 'tokenizer_config.json': config }),
    );
    const clean = tokenizer.encodeCompletion('the red', ' kettle');
    expect(trained(tokenizer, clean)).toEqual([' kettle<|im_end|>']);
    const across = tokenizer.encodeCompletion('the red ', 'kettle');
    expect(across).toEqual(clean);
    expect(trained(tokenizer, tokenizer.encodeCompletion('', 'the red'))).toEqual([' red<|im_end|>']);
  });

  test('messages without a chat template need leave to be written plainly', async () => {
    const tokenizer = await load();
    const messages = [
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'the furnace' },
    ] as const;
    expect(() => tokenizer.encodeConversation(messages)).toThrow(UserError);
    expect(() => tokenizer.encodeConversation(messages)).toThrow('This base has no chat template');
    const row = tokenizer.encodeConversation(messages, { fallbackTemplate: true });
    expect(tokenizer.applyChatTemplate(messages, { fallbackTemplate: true })).toBe(
      '<s>User: Hello\nAssistant: the furnace</s>\n',
    );
    expect(trained(tokenizer, row)).toEqual(['the furnace</s>']);
    const prompt = tokenizer.encodePrompt(messages.slice(0, 1), { fallbackTemplate: true });
    expect([...row.inputIds.subarray(0, prompt.length)]).toEqual([...prompt]);
  });

  test('a long text takes time in proportion to its length', async () => {
    const tokenizer = await Tokenizer.load(diskFolder(`${FIXTURES}tokenizers/byte-level`));
    const sentence = 'my brother was looking for the red kettle in the morning. ';
    const ids = tokenizer.encodeText(sentence.repeat(4000)).inputIds;
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(sentence.repeat(4000));
  });
});

test('a token’s text keeps its leading space', async () => {
  const tokenizer = await Tokenizer.load(diskFolder(`${FIXTURES}tokenizers/byte-fallback`));
  const ids = tokenizer.encode('the old furnace', { addSpecialTokens: false });
  expect([...ids].map((id) => tokenizer.tokenText(id)).join('')).toBe(' the old furnace');
  expect(tokenizer.tokenText(tokenizer.eosId!)).toBe('</s>');
});

describe('loading', () => {
  const json = fixture<object>('tokenizers/byte-level/tokenizer.json');
  const load = (files: Record<string, string | object>) =>
    Tokenizer.load(textFolder('base', { 'tokenizer.json': json, ...files }));

  test('special tokens and stop tokens from each of the files that may name them', async () => {
    const bare = await load({});
    expect([bare.bosId, bare.eosId, bare.padId, bare.stopIds]).toEqual([null, null, null, []]);
    const config = { eos_token: { content: '<|im_end|>' } };
    expect((await load({ 'tokenizer_config.json': config })).stopIds).toEqual([2]);
    const map = { eos_token: '<|endoftext|>', bos_token: '<|im_start|>' };
    const mapped = await load({ 'special_tokens_map.json': map });
    expect([mapped.eosId, mapped.bosId]).toEqual([0, 1]);
    const generation = { eos_token_id: [2, 0], bos_token_id: 1, pad_token_id: 0 };
    const stops = await load({ 'generation_config.json': generation });
    expect([stops.stopIds, stops.eosId, stops.bosId, stops.padId]).toEqual([[2, 0], 2, 1, 0]);
    // A list that stands in the model's configuration alone, or in that of its language part.
    for (const own of [{ eos_token_id: [2, 0] }, { text_config: { eos_token_id: [2, 0] } }]) {
      expect((await load({ 'config.json': own })).stopIds).toEqual([2, 0]);
      expect((await load({ 'config.json': own, 'generation_config.json': { eos_token_id: 2 } })).stopIds).toEqual([2]);
    }
  });

  test('the chat template from a file of its own, from JSON, from a list of named ones', async () => {
    const say = (word: string): string => `{{ '${word}' }}`;
    const messages = [{ role: 'user', content: 'x' }] as const;
    const listed = [
      { name: 'tool_use', template: say('tool') },
      { name: 'default', template: say('listed') },
    ];
    const config = { 'tokenizer_config.json': { chat_template: listed } };
    expect((await load(config)).applyChatTemplate(messages)).toBe('listed');
    const json = { ...config, 'chat_template.json': { chat_template: say('json') } };
    expect((await load(json)).applyChatTemplate(messages)).toBe('json');
    expect((await load({ ...json, 'chat_template.jinja': say('own') })).applyChatTemplate(messages)).toBe('own');
    expect((await load({})).hasChatTemplate).toBe(false);
  });

  test('says what is missing or broken', async () => {
    await expect(Tokenizer.load(textFolder('base', { 'vocab.json': '{}' }))).rejects.toThrow(
      '“base” has no tokenizer.json',
    );
    await expect(load({ 'tokenizer.json': '{"model"' })).rejects.toThrow('tokenizer.json in “base” is not valid JSON');
    for (const broken of [{}, [], 'null', { model: { type: 'Unknown' } }, { ...json, model: { type: 'BPE' } }]) {
      await expect(load({ 'tokenizer.json': broken })).rejects.toThrow('tokenizer.json in “base” cannot be used');
    }
    await expect(load({ 'tokenizer_config.json': '[]' })).rejects.toThrow('is not a JSON object');
    await expect(load({ 'chat_template.jinja': '{% for %}' })).rejects.toThrow(
      "The model's chat template cannot be read",
    );
  });
});
