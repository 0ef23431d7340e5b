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
  folder = mkdtempSync(join(tmpdir(), 'athanor-look-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Standard output of a script of the reference; what it printed in full where it fails. */
async function python(script: string, ...args: string[]): Promise<string> {
  try {
    const options = { cwd: root, maxBuffer: 2 ** 26 };
    const { stdout } = await promisify(execFile)(referencePython(), [join(reference, script), ...args], options);
    return stdout;
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${script} ${args.join(' ')}\n${stdout ?? ''}${stderr ?? ''}`, { cause: error });
  }
}

/** As in peft.test.ts: a weight whose gradient is no more than rounding may end elsewhere in any two float32 runs. */
const ADAPTER_CHANGE_LIMIT = 5e-3;

test.each(['sd1', 'sd2', 'sdxl'])(
  'a %s look of fresh random sizes is encoded, drawn and trained as with diffusers, and its files load there',
  async (family) => {
    const seed = Math.floor(Math.random() * 1e6);
    const name = `${family}-${seed}`;
    await python('look_random_case.py', '--family', family, '--seed', String(seed), '--out', join(folder, name));
    const args = [join(folder, name), join(folder, `${name}-out`), '--run', HEADLESS];
    const report = await python('look_compare.py', ...args).catch((error: unknown) => {
      const message = error instanceof Error ? error.message : String(error);
      const change = /adapter_change +(\S+) /.exec(message)?.[1];
      if (!/: differs in adapter_change\n/.test(message) || change === undefined) throw error;
      expect(Number(change), message).toBeLessThan(ADAPTER_CHANGE_LIMIT);
      return `${name}: agrees\n`;
    });
    expect(report, `--family ${family} --seed ${seed}`).toMatch(/: agrees\n$/);
  },
);
