import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseLookLora } from '../../src/tasks/look/adapter.ts';
import { parseRecipe } from '../../src/training/recipe.ts';
import { parseSoundLora } from '../../src/tasks/sound/adapter.ts';
import { EMBEDDED } from '../../src/worker/embedded-bases.ts';

it('names the files of the small model that lie beside the page', () => {
  expect(readdirSync(`public/${EMBEDDED.voice.path}`).sort()).toEqual([...EMBEDDED.voice.files].sort());
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

it('names the files of the small look that lie beside the page', () => {
  const files = readdirSync(`public/${EMBEDDED.look.path}`, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => /\.\w+$/.test(path));
  expect(files.sort()).toEqual([...EMBEDDED.look.files].sort());
});

it('has an example of a look whose parts the page understands', () => {
  const read = (name: string): unknown => JSON.parse(readFileSync(`public/examples/look/${name}`, 'utf8'));
  const { triggerWord, prompts } = read('example.json') as { triggerWord: string; prompts: string[] };
  const captions = read('captions.json') as { file: string; caption: string }[];
  const { recipe, adapter } = read('recipe.json') as { recipe: object; adapter: object };
  expect(parseRecipe(recipe, 'look').task).toBe('look');
  expect(parseLookLora(adapter).r).toBeGreaterThan(0);
  expect(prompts.some((prompt) => prompt.includes(triggerWord))).toBe(true);
  expect(captions.length).toBeGreaterThanOrEqual(12);
  for (const { file, caption } of captions) {
    expect(existsSync(`public/examples/look/${file}`)).toBe(true);
    expect(caption).toContain(triggerWord);
  }
});

it('names the files of the small sound that lie beside the page', () => {
  expect(readdirSync(`public/${EMBEDDED.sound.path}`).sort()).toEqual([...EMBEDDED.sound.files].sort());
});

it('has an example of a sound whose parts the page understands', () => {
  const read = (name: string): unknown => JSON.parse(readFileSync(`public/examples/sound/${name}`, 'utf8'));
  const { triggerWord, prompts } = read('example.json') as { triggerWord: string; prompts: string[] };
  const captions = read('captions.json') as { file: string; caption: string }[];
  const { recipe, adapter } = read('recipe.json') as { recipe: object; adapter: object };
  expect(parseRecipe(recipe, 'sound').task).toBe('sound');
  expect(parseSoundLora(adapter).r).toBeGreaterThan(0);
  expect(prompts.some((prompt) => prompt.includes(triggerWord))).toBe(true);
  expect(captions.length).toBeGreaterThanOrEqual(8);
  for (const { file, caption } of captions) {
    expect(existsSync(`public/examples/sound/${file}`)).toBe(true);
    expect(caption).toContain(triggerWord);
  }
});
