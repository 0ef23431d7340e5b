import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { EMBEDDED_FILES, EMBEDDED_PATH } from '../../src/worker/protocol.ts';

it('names the files of the small model that lie beside the page', () => {
  expect(readdirSync(`public/${EMBEDDED_PATH}`).sort()).toEqual([...EMBEDDED_FILES].sort());
});

it('has an example whose parts the page understands', () => {
  const read = (name: string): unknown => JSON.parse(readFileSync(`public/examples/voice/${name}`, 'utf8'));
  expect(read('example.json')).toMatchObject({
    title: expect.any(String) as string,
    prompts: expect.any(Array) as string[],
  });
  expect(read('recipe.json')).toMatchObject({
    adapter: expect.any(Object) as object,
    recipe: expect.any(Object) as object,
  });
});
