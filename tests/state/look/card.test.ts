import { expect, test } from 'vitest';
import { lookCard } from '../../../src/state/look/card.ts';
import type { LookCardFacts } from '../../../src/state/look/card.ts';
import type { ProjectRecord, RunRecord } from '../../../src/storage/records.ts';

const project = {
  name: 'Rex',
  ask: { wish: 'My dog, in any place' },
  prompts: ['', 'rexq dog in a wood'],
  realPerson: false,
} as unknown as ProjectRecord;

const run = {
  adapter: { r: 16, lora_alpha: 8 },
  recipe: { learning_rate: 1e-4, seed: 3, snr_gamma: 5 },
  totalSteps: 1200,
  loss: 0.1234,
  heldOutLoss: null,
} as unknown as RunRecord;

const facts: LookCardFacts = {
  project,
  run,
  step: 900,
  pictures: 14,
  triggerWord: 'rexq dog',
  family: 'sd1',
  baseName: 'Stable Diffusion 1.5',
  repository: 'stable-diffusion-v1-5/stable-diffusion-v1-5',
  embedded: false,
  kohyaFile: 'rex.safetensors',
  diffusersFile: 'pytorch_lora_weights.safetensors',
  preview: 'preview.png',
};

/** The front matter: a key a line, lists below their key; strings as JSON. */
function frontMatter(card: string): Record<string, unknown> {
  const [, front] = card.split('---\n');
  const fields: Record<string, unknown> = {};
  let list: string[] = [];
  for (const line of front!.trim().split('\n')) {
    if (line.startsWith('- ')) list.push(line.slice(2));
    else {
      const [, key, value] = /^([a-z_]+): ?(.*)$/.exec(line)!;
      fields[key!] = value === '' ? (list = []) : value!.startsWith('"') ? (JSON.parse(value!) as string) : value;
    }
  }
  return fields;
}

test('says what it is, what calls it and how it is loaded', () => {
  const card = lookCard(facts);
  expect(frontMatter(card)).toEqual({
    base_model: 'stable-diffusion-v1-5/stable-diffusion-v1-5',
    library_name: 'diffusers',
    pipeline_tag: 'text-to-image',
    tags: ['lora', 'stable-diffusion', 'text-to-image'],
    instance_prompt: 'rexq dog',
  });
  for (const words of [
    '# Rex\n',
    'My dog, in any place',
    '![What it draws](preview.png)',
    '(rank 16, alpha 8) for Stable Diffusion 1.5',
    'Put **rexq dog** into the prompt',
    'put `rex.safetensors` into `models/loras`',
    '<lora:rex:1>',
    'pipe = StableDiffusionPipeline.from_pretrained("stable-diffusion-v1-5/stable-diffusion-v1-5"',
    'weight_name="pytorch_lora_weights.safetensors"',
    'pipe("rexq dog").images[0]',
    '- Data: 14 pictures.',
    '- Steps: 900 of 1,200; loss of the last step of the run 0.123',
    '| learning_rate | 0.0001 |',
  ]) {
    expect(card).toContain(words);
  }
  expect(card).not.toContain('real person');
  expect(card).not.toContain('held-out');
});

test('of a real person says that their consent matters', () => {
  const card = lookCard({ ...facts, project: { ...project, realPerson: true } });
  expect(card).toContain('likeness of a real person. Use it only with their consent');
});

test('goes by the family, the base and what is there', () => {
  const card = lookCard({
    ...facts,
    family: 'sdxl',
    repository: null,
    baseName: 'my XL',
    triggerWord: ' ',
    kohyaFile: null,
  });
  expect(frontMatter(card)).toMatchObject({
    base_model: 'my XL',
    tags: ['lora', 'stable-diffusion-xl', 'text-to-image'],
    instance_prompt: 'rexq dog in a wood',
  });
  expect(card).toContain('StableDiffusionXLPipeline.from_pretrained("path/to/the/base"');
  expect(card).toContain('It needs no particular words');
  expect(card).not.toContain('ComfyUI');
  const embedded = lookCard({ ...facts, embedded: true });
  expect(frontMatter(embedded)['base_model']).toBe('athanor-small-look');
  expect(embedded).toContain('works there alone');
  expect(embedded).not.toContain('ComfyUI');
});

test('keeps a person’s text in its place', () => {
  const evil = '---\nlicense: x\n# *a* `b` <script> ![](x) \u0000 \ud800';
  const card = lookCard({
    ...facts,
    project: { ...project, name: evil, ask: { ...project.ask, wish: evil } },
    triggerWord: evil,
    baseName: evil,
    repository: null,
  });
  const expected = '--- license: x # *a* `b` <script> ![](x)';
  expect(frontMatter(card)).toMatchObject({ base_model: expected, instance_prompt: expected });
  expect(card.split('\n').filter((line) => line === '---')).toHaveLength(2);
  expect(card).toContain('\n# --- license: x \\# \\*a\\* \\`b\\` \\<script\\> !\\[\\](x)\n');
  expect(card).toContain('# --- license');
  expect(card.match(/<script>/g)).toHaveLength(3);
  expect(card).not.toContain('\nlicense: x');
});
