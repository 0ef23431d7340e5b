import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import { ClipTokenizer } from '../../../src/models/clip/tokenizer.ts';
import { diskFolder, fixture, FIXTURES, sharedData, textFolder } from '../../support/disk-folder.ts';

interface Expected {
  config: Record<string, unknown>;
  rows: { text: string; padded: number[]; ids: number[]; decoded: string }[];
}

const expected = fixture<Record<string, Expected>>('tokenizers/clip/expected.json');
const vocab = fixture<Record<string, number>>('tokenizers/clip/vocab.json');
const merges = readFileSync(`${FIXTURES}tokenizers/clip/merges.txt`, 'utf8');

function agrees(tokenizer: ClipTokenizer, { rows }: Expected): void {
  expect(rows.length).toBeGreaterThan(100);
  for (const { text, padded, ids, decoded } of rows) {
    const shown = JSON.stringify(text);
    expect([...tokenizer.encode(text)], shown).toEqual(padded);
    expect([tokenizer.bosId, ...tokenizer.tokens(text), tokenizer.eosId], shown).toEqual(ids);
    expect(tokenizer.count(text), shown).toBe(ids.length);
    expect(tokenizer.decode(ids), shown).toBe(decoded);
  }
}

describe.each(Object.entries(expected))('padded with %s', (_, each) => {
  test('gives the ids of transformers from vocab.json and merges.txt', async () => {
    const files = { 't/vocab.json': vocab, 't/merges.txt': merges, 't/tokenizer_config.json': each.config };
    agrees(await ClipTokenizer.load(textFolder('base', files), 't'), each);
  });

  test('and from a tokenizer.json', async () => {
    const lines = merges.split('\n').slice(1).filter(Boolean);
    const json = { added_tokens: [], model: { type: 'BPE', vocab, merges: lines.map((line) => line.split(' ')) } };
    const files = { 'tokenizer.json': json, 'tokenizer_config.json': each.config };
    agrees(await ClipTokenizer.load(textFolder('base', files), ''), each);
  });
});

test('says what is cut off', async () => {
  const { config } = expected['<|endoftext|>']!;
  const files = {
    'vocab.json': vocab,
    'merges.txt': merges,
    'tokenizer_config.json': { ...config, model_max_length: 6 },
  };
  const tokenizer = await ClipTokenizer.load(textFolder('base', files), '');
  const text = 'a dog in the snow in the garden';
  const tokens = tokenizer.tokens(text);
  expect(tokens.length).toBeGreaterThan(4);
  expect(tokenizer.cutOff(text)).toBe(tokenizer.decode(tokens.slice(4)));
  expect(tokenizer.cutOff('a dog')).toBe('');
});

test('a folder without settings has CLIP’s own', async () => {
  const tokenizer = await ClipTokenizer.load(textFolder('base', { 'vocab.json': vocab, 'merges.txt': merges }), '');
  expect(tokenizer.maxLength).toBe(77);
  expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual(
    ['<|startoftext|>', '<|endoftext|>', '<|endoftext|>'].map((token) => vocab[token]),
  );
  // transformers writes a huge number where nothing is known
  const files = { 'vocab.json': vocab, 'merges.txt': merges, 'tokenizer_config.json': { model_max_length: 1e30 } };
  expect((await ClipTokenizer.load(textFolder('base', files), '')).maxLength).toBe(77);
});

test.each([
  ['no files', { 'a.txt': 'x' }, /tokenizer\/vocab\.json/],
  ['merges alone', { 'tokenizer/merges.txt': merges }, /vocab\.json/],
  ['a vocabulary of words', { 'tokenizer/vocab.json': { a: 'b' }, 'tokenizer/merges.txt': merges }, /vocabulary/],
  ['no merges', { 'tokenizer/vocab.json': vocab, 'tokenizer/merges.txt': '#version: 0.2\n' }, /merges/],
  ['no start token', { 'tokenizer/vocab.json': { a: 0 }, 'tokenizer/merges.txt': 'a b\n' }, /bos_token/],
])('%s is said so', async (_, files, message) => {
  const load = ClipTokenizer.load(textFolder('base', files as Record<string, string>));
  await expect(load).rejects.toThrow(UserError);
  await expect(load).rejects.toThrow(message);
});

const real = sharedData('tokenizers/clip-sd15');

if (real !== null)
  test('the tokenizer of Stable Diffusion 1.5', async () => {
    const tokenizer = await ClipTokenizer.load(diskFolder(real!), '');
    const known: [string, number[]][] = [
      ['a photo of sks dog', [320, 1125, 539, 48136, 1929]],
      ["it's 1234 I'LL", [585, 568, 272, 273, 274, 275, 328, 1342]],
      ['😀👩\u200d👩\u200d👧\u200d👦', [12832, 26304, 26304, 48938, 4244, 964, 355]],
      ['ΣΑΣ', [139, 225, 138, 109, 139, 481]],
      ['\ufeffx\u0085y', [171, 119, 379, 343, 344]],
      ['½ Ⅷ ²', [33613, 158, 227, 371, 41175]],
    ];
    for (const [text, ids] of known) expect(tokenizer.tokens(text)).toEqual(ids);
    expect([...tokenizer.encode('')]).toEqual([49406, ...Array.from({ length: 76 }, () => 49407)]);
  });
