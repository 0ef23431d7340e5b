import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT, expectFreshCaseAgrees, headless, reference, scratchFolder } from '../support/python.ts';
import { oneSeed } from '../support/seeds.ts';

const folder = scratchFolder();

test.each(['llama', 'qwen2', 'qwen3'])(
  'a %s of fresh random sizes trains as with transformers and peft',
  async (arch) => {
    const seed = oneSeed() % 1e6;
    const fresh = join(folder, `${arch}-${seed}`);
    await reference('random_case.py', '--arch', arch, '--seed', String(seed), '--out', fresh);
    await expectFreshCaseAgrees('compare.py', {
      folder: fresh,
      out: `${fresh}-out`,
      note: `--arch ${arch} --seed ${seed}`,
      changeLimit: 2e-3,
    });
  },
);

test.each([
  ['llama-gqa', 'with text'],
  ['qwen3', 'without a tokenizer'],
  ['qwen2-dora', 'without a tokenizer'],
])('the adapter trained on %s (%s) loads in peft and does there what it does here', async (name, tokenizer) => {
  const fixture = join(ROOT, 'tests/fixtures', name);
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
  expect(JSON.parse(await reference('interop.py', ...args))).toMatchObject(expected);
});
