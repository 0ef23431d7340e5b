import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect } from 'vitest';
import { findPython } from '../../tools/python.mjs';

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The Python interpreter with transformers and peft; an error that says how to make it where it is missing. */
export function referencePython(): string {
  const python = findPython();
  if (!python) throw new Error('The reference Python is missing: run `npm run python`, or set ATHANOR_PYTHON.');
  return python;
}

/** Standard output of a program; what it printed in full where it fails. */
async function run(command: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(command, args, { cwd: ROOT, maxBuffer: 2 ** 26 });
    return stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(' ')}\n${stdout ?? ''}${stderr ?? ''}`, { cause: error });
  }
}

/** Runs a script of tests/reference. */
export const reference = (script: string, ...args: string[]): Promise<string> =>
  run(referencePython(), [join(ROOT, 'tests/reference', script), ...args]);

/** Runs the headless runner. */
export const headless = (...args: string[]): Promise<string> =>
  run('node', [join(ROOT, 'tools/headless.mjs'), ...args]);

/** A folder for a file's tests, gone after the last. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'athanor-interop-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs a case with the headless runner and compares all it wrote with the reference; the script's report. */
export const compared = (script: string, folder: string, out: string): Promise<string> =>
  reference(script, folder, out, '--run', 'node tools/headless.mjs');

/**
 * The same for a case of fresh random sizes. In AdamW's first steps a weight moves by about the learning rate whatever its
 * gradient, so a single one whose gradient is no more than rounding (1e-8 where others have 1e-3) may end elsewhere in any two
 * float32 runs. Fresh cases may hold such a weight; the committed ones are chosen without, and keep their limits (tests/gpu).
 * @param changeLimit what the adapter's change may differ by then
 */
export async function expectFreshCaseAgrees(
  script: string,
  { folder, out, note, changeLimit }: { folder: string; out: string; note: string; changeLimit: number },
): Promise<void> {
  const report = await compared(script, folder, out).catch((error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    const change = /adapter_change +(\S+) /.exec(message)?.[1];
    if (!/: differs in adapter_change\n/.test(message) || change === undefined) throw error;
    expect(Number(change), message).toBeLessThan(changeLimit);
    return 'so far: agrees\n';
  });
  expect(report, note).toMatch(/: agrees\n$/);
}
