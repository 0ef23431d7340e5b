import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT, compared, expectFreshCaseAgrees, headless, reference, scratchFolder } from '../support/python.ts';
import { oneSeed } from '../support/seeds.ts';

const folder = scratchFolder();

test('a sound of fresh random sizes is encoded, composed and trained as with transformers, and its adapter does in peft what it does here', async () => {
  const seed = oneSeed() % 1e6;
  const channels = seed % 2 === 0 ? '1' : '2';
  const fresh = join(folder, `sound-${channels}-${seed}`);
  await reference('sound_random_case.py', '--channels', channels, '--seed', String(seed), '--out', fresh);
  await expectFreshCaseAgrees('sound_compare.py', {
    folder: fresh,
    out: `${fresh}-out`,
    note: `--channels ${channels} --seed ${seed}`,
    changeLimit: 5e-3,
  });
});

test('the adapter trained on heads, embeddings and the projection of the words does in peft what it does here', async () => {
  const fixture = join(ROOT, 'tests/fixtures/sound-mono-heads');
  const report = await compared('sound_compare.py', fixture, join(folder, 'heads-out'));
  expect(report).toMatch(/: agrees\n$/);
});

test('PEFT folders as peft saves them are read, in all the ways that they are made', async () => {
  const base = join(ROOT, 'tests/fixtures/sound-mono/base');
  const out = join(folder, 'ways');
  const ways = JSON.parse(await reference('sound_interop.py', base, out)) as string[];
  expect(ways.length).toBeGreaterThan(4);
  for (const way of ways) {
    const files = ['--in', join(out, 'inputs.safetensors'), '--out', join(out, `${way}.logits.safetensors`)];
    await headless('run', base, '--component', 'decoder', ...files, '--adapter', join(out, way));
  }
  const lines = (await reference('sound_interop.py', base, out, '--check')).trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { way: string; agrees: boolean }).agrees)).toEqual(
    ways.map(() => true),
  );
});
