import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { referencePython } from '../support/python.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const reference = join(root, 'tests/reference');
const HEADLESS = 'node tools/headless.mjs';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'athanor-sound-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Standard output of a program; what it printed in full where it fails. */
async function run(command: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(command, args, { cwd: root, maxBuffer: 2 ** 26 });
    return stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(' ')}\n${stdout ?? ''}${stderr ?? ''}`, { cause: error });
  }
}

const python = (script: string, ...args: string[]): Promise<string> =>
  run(referencePython(), [join(reference, script), ...args]);

/** As in peft.test.ts: a weight whose gradient is no more than rounding may end elsewhere in any two float32 runs. */
const ADAPTER_CHANGE_LIMIT = 5e-3;

test('a sound of fresh random sizes is encoded, composed and trained as with transformers, and its adapter does in peft what it does here', async () => {
  const channels = Math.random() < 0.5 ? '1' : '2';
  const seed = Math.floor(Math.random() * 1e6);
  const name = `sound-${channels}-${seed}`;
  await python('sound_random_case.py', '--channels', channels, '--seed', String(seed), '--out', join(folder, name));
  const args = [join(folder, name), join(folder, `${name}-out`), '--run', HEADLESS];
  const report = await python('sound_compare.py', ...args).catch((error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    const change = /adapter_change +(\S+) /.exec(message)?.[1];
    if (!/: differs in adapter_change\n/.test(message) || change === undefined) throw error;
    expect(Number(change), message).toBeLessThan(ADAPTER_CHANGE_LIMIT);
    return `${name}: agrees\n`;
  });
  expect(report, `--channels ${channels} --seed ${seed}`).toMatch(/: agrees\n$/);
});

test('the adapter trained on heads, embeddings and the projection of the words does in peft what it does here', async () => {
  const fixture = join(root, 'tests/fixtures/sound-mono-heads');
  const report = await python('sound_compare.py', fixture, join(folder, 'heads-out'), '--run', HEADLESS);
  expect(report).toMatch(/: agrees\n$/);
});

test('PEFT folders as peft saves them are read, in all the ways that they are made', async () => {
  const base = join(root, 'tests/fixtures/sound-mono/base');
  const out = join(folder, 'ways');
  const ways = JSON.parse(await python('sound_interop.py', base, out)) as string[];
  expect(ways.length).toBeGreaterThan(4);
  for (const way of ways) {
    const files = ['--in', join(out, 'inputs.safetensors'), '--out', join(out, `${way}.logits.safetensors`)];
    const args = ['run', base, '--component', 'decoder', ...files, '--adapter', join(out, way)];
    await run('node', [join(root, 'tools/headless.mjs'), ...args]);
  }
  const lines = (await python('sound_interop.py', base, out, '--check')).trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { way: string; agrees: boolean }).agrees)).toEqual(
    ways.map(() => true),
  );
});
