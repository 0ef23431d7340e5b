import { join } from 'node:path';
import { test } from 'vitest';
import { expectFreshCaseAgrees, reference, scratchFolder } from '../support/python.ts';
import { oneSeed } from '../support/seeds.ts';

const folder = scratchFolder();

test.each(['sd1', 'sd2', 'sdxl'])(
  'a %s look of fresh random sizes is encoded, drawn and trained as with diffusers, and its files load there',
  async (family) => {
    const seed = oneSeed() % 1e6;
    const fresh = join(folder, `${family}-${seed}`);
    await reference('look_random_case.py', '--family', family, '--seed', String(seed), '--out', fresh);
    await expectFreshCaseAgrees('look_compare.py', {
      folder: fresh,
      out: `${fresh}-out`,
      note: `--family ${family} --seed ${seed}`,
      changeLimit: 5e-3,
    });
  },
);
