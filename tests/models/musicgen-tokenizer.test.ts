import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { MusicgenFolder } from '../../src/models/musicgen-folder.ts';
import { NodeFolder } from '../../src/headless/files.ts';

const FIXTURE = 'tests/fixtures/sound-mono';

interface Text {
  text: string;
  input_ids: number[];
}

const texts = JSON.parse(readFileSync(`${FIXTURE}/texts.json`, 'utf8')) as Text[];
const tokenizer = await (await MusicgenFolder.open(new NodeFolder(`${FIXTURE}/base`))).tokenizer();

test.each(texts)('“$text” becomes the tokens that transformers gives it', ({ text, input_ids }) => {
  expect(Array.from(tokenizer.encode(text))).toEqual(input_ids);
});

test('texts of different length lie one below the other, padded on the right', () => {
  const { ids, mask, length } = tokenizer.batch(texts.slice(0, 2).map(({ text }) => text));
  const [first, second] = texts.map(({ input_ids }) => input_ids);
  expect(length).toBe(Math.max(first!.length, second!.length));
  const padded = (row: number[]): number[] => [...row, ...new Array<number>(length - row.length).fill(tokenizer.padId)];
  expect(Array.from(ids)).toEqual([...padded(first!), ...padded(second!)]);
  expect(Array.from(mask).filter((bit) => bit === 1).length).toBe(first!.length + second!.length);
  expect(Array.from(mask.subarray(length))).toEqual(Array.from({ length }, (_, i) => (i < second!.length ? 1 : 0)));
});
