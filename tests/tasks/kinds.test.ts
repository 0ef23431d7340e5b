import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TASKS } from '../../src/common/task.ts';
import { NodeFolder } from '../../src/headless/files.ts';
import { MemoryFolder } from '../../src/models/files/folder.ts';
import { kindOf, taskOfFolder } from '../../src/tasks/kinds.ts';

const ROOT = join(import.meta.dirname, '../..');

test.each([
  ['voice', 'tests/fixtures/llama-gqa/base'],
  ['voice', 'public/embedded/voice'],
  ['look', 'tests/fixtures/look-sd1/base'],
  ['look', 'tests/fixtures/look-sdxl/base'],
  ['look', 'public/embedded/look'],
  ['sound', 'tests/fixtures/sound-mono/base'],
  ['sound', 'public/embedded/sound'],
])('a %s is known by its folder %s', async (task, path) => {
  expect(await taskOfFolder(new NodeFolder(join(ROOT, path)))).toBe(task);
});

const folder = (files: Record<string, string>): MemoryFolder =>
  new MemoryFolder(
    'folder',
    new Map(Object.entries(files).map(([name, text]) => [name, new TextEncoder().encode(text)])),
  );

test.each([
  ['voice', 'a language model that is not supported', { 'config.json': '{"model_type":"other"}' }],
  ['look', 'a single checkpoint file', { 'model.safetensors': '' }],
  ['look', 'nothing that is known', { 'notes.txt': '' }],
] as const)('a %s refuses %s', async (task, _, files) => {
  expect(await taskOfFolder(folder(files))).toBe(task);
});

test('each kind is found under its name', async () => {
  for (const task of TASKS) expect((await kindOf(task)).task).toBe(task);
});
