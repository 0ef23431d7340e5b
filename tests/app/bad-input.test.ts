import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { beginProject, goToStep, oneVisitor, paste } from './visit.ts';

const FILES = 'input[type="file"]:not([webkitdirectory])';
const FOLDER = 'input[webkitdirectory]';
const visitor = oneVisitor();
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'athanor-bad-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  await visitor.page.goto(visitor.url);
  await beginProject(visitor.page);
});

afterEach(() => {
  expect(visitor.errors.splice(0)).toEqual([]);
});

describe('data that is not as it should be', () => {
  beforeEach(async () => {
    await goToStep(visitor.page, 'Data');
  });

  it('keeps the good lines of broken JSON Lines and shows the bad one with its place', async () => {
    const { page } = visitor;
    await paste(page, '{"text":"One good line."}\n{"text": broken\n{"text":"Another good line."}\n{"unknown":1}');
    await page.getByRole('heading', { name: '2 rows' }).waitFor();
    await page.getByText(/2 entries skipped/).click();
    await page.getByText(/line 2: not valid JSON/).waitFor();
    await page.getByText(/line 4: no known fields/).waitFor();
  });

  it('says that an empty file is empty, and a picture a picture', async () => {
    const { page } = visitor;
    await page.setInputFiles(FILES, { name: 'empty.txt', mimeType: 'text/plain', buffer: Buffer.alloc(0) });
    await page
      .getByRole('alert')
      .getByText(/“empty\.txt” is empty/)
      .waitFor();
    await page.setInputFiles(FILES, {
      name: 'me.png',
      mimeType: 'image/png',
      buffer: Buffer.from('89504e470d0a1a0a', 'hex'),
    });
    await page
      .getByRole('alert')
      .getByText(/“me\.png” is a picture/)
      .waitFor();
    expect(await page.getByRole('heading', { name: /row/ }).count()).toBe(0);
  });

  it('never takes text from a file for markup', async () => {
    const { page } = visitor;
    await paste(page, JSON.stringify({ text: '<img src=x onerror="document.title=\'broken into\'"><b>bold</b>' }));
    await page.getByText('<b>bold</b>').waitFor();
    expect(await page.title()).not.toContain('broken into');
  });
});

describe('folders that are no model', () => {
  beforeEach(async () => {
    await goToStep(visitor.page, 'Base');
  });

  function makeFolder(name: string, files: Record<string, string | Uint8Array>): string {
    const path = join(folder, name);
    mkdirSync(path, { recursive: true });
    for (const [file, content] of Object.entries(files)) writeFileSync(join(path, file), content);
    return path;
  }

  const EMBEDDED = 'public/embedded/voice';
  const read = (file: string): Uint8Array => readFileSync(join(EMBEDDED, file));

  it('names what is missing', async () => {
    const { page } = visitor;
    await page.setInputFiles(FOLDER, makeFolder('holiday', { 'beach.jpg': 'x', 'notes.txt': 'y' }));
    await page
      .getByRole('alert')
      .getByText(/“holiday” is no model folder: there is no config\.json/)
      .waitFor();
    await page.setInputFiles(
      FOLDER,
      makeFolder('old', { 'config.json': '{}', 'tokenizer.json': '{}', 'pytorch_model.bin': 'x' }),
    );
    await page
      .getByRole('alert')
      .getByText(/“old” has no \.safetensors file, only pytorch_model\.bin/)
      .waitFor();
  });

  it('names an architecture that is not supported', async () => {
    const { page } = visitor;
    const config = JSON.stringify({ model_type: 'mamba', architectures: ['MambaForCausalLM'] });
    await page.setInputFiles(
      FOLDER,
      makeFolder('mamba', {
        'config.json': config,
        'tokenizer.json': read('tokenizer.json'),
        'model.safetensors': read('model.safetensors'),
      }),
    );
    await page.getByRole('alert').getByText(/mamba/i).waitFor({ timeout: 60_000 });
  });

  it('says that a weights file is cut off', async () => {
    const { page } = visitor;
    await page.setInputFiles(
      FOLDER,
      makeFolder('cut', {
        'config.json': read('config.json'),
        'tokenizer.json': read('tokenizer.json'),
        'tokenizer_config.json': read('tokenizer_config.json'),
        'model.safetensors': read('model.safetensors').subarray(0, 100_000),
      }),
    );
    await page
      .getByRole('alert')
      .getByText(/model\.safetensors/)
      .waitFor({ timeout: 60_000 });
  });
});
