import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { referencePython } from '../support/python.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const reference = join(root, 'tests/reference');
const HEADLESS = 'node tools/headless.mjs';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'athanor-interop-'));
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

const headless = (...args: string[]): Promise<string> => run('node', [join(root, 'tools/headless.mjs'), ...args]);

/**
 * In AdamW's first steps a weight moves by about the learning rate whatever its gradient, so a single one whose gradient is
 * no more than rounding (1e-8 where others have 1e-3) may end elsewhere in any two float32 runs. Fresh cases may hold such a
 * weight; the committed ones are chosen without, and keep the limit of 3e-4 (tests/gpu).
 */
const ADAPTER_CHANGE_LIMIT = 2e-3;

test.each(['llama', 'qwen2', 'qwen3'])(
  'a %s of fresh random sizes trains as with transformers and peft',
  async (arch) => {
    const seed = Math.floor(Math.random() * 1e6);
    const name = `${arch}-${seed}`;
    await python('random_case.py', '--arch', arch, '--seed', String(seed), '--out', join(folder, name));
    const report = await python('compare.py', join(folder, name), join(folder, `${name}-out`), '--run', HEADLESS).catch(
      (error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        const change = /adapter_change +(\S+) /.exec(message)?.[1];
        if (!/: differs in adapter_change\n/.test(message) || change === undefined) throw error;
        expect(Number(change), message).toBeLessThan(ADAPTER_CHANGE_LIMIT);
        return `${name}: agrees\n`;
      },
    );
    expect(report, `--arch ${arch} --seed ${seed}`).toMatch(/: agrees\n$/);
  },
);

test.each([
  ['llama-gqa', 'with text'],
  ['qwen3', 'without a tokenizer'],
  ['qwen2-dora', 'without a tokenizer'],
])('the adapter trained on %s (%s) loads in peft and does there what it does here', async (name, tokenizer) => {
  const fixture = join(root, 'tests/fixtures', name);
  const base = join(fixture, 'base');
  const out = join(folder, `${name}-peft`);
  await headless('train', join(fixture, 'job.json'), '--out', out);
  const adapter = join(out, 'adapter');
  const batch = join(fixture, 'batch.safetensors');
  const logits = join(out, 'logits.safetensors');
  await headless('run', base, '--component', 'model', '--in', batch, '--out', logits, '--adapter', adapter);
  const args = ['--model', base, '--adapter', adapter, '--inputs', batch, '--logits', logits];
  const expected: Record<string, boolean> = { peft_loads: true, logits_agree: true };
  if (tokenizer === 'with text') {
    const prompt = 'mmm nnn';
    const job = join(out, 'generate.json');
    const generate = { prompt, max_new_tokens: 16, do_sample: false };
    const from = { from: 'adapter' };
    writeFileSync(job, JSON.stringify({ task: 'voice', base: relative(out, base), adapter: from, generate }));
    await headless('generate', job, '--out', join(out, 'generated'));
    args.push('--generated', join(out, 'generated/generated.json'), '--prompt', prompt);
    expected['tokens_agree'] = true;
  }
  expect(JSON.parse(await python('interop.py', ...args))).toMatchObject(expected);
});
