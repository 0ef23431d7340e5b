import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { parseLookLora } from '../../src/tasks/look/adapter.ts';
import { makeKohyaBundle } from '../../src/tasks/look/bundle.ts';
import { parseRecipe } from '../../src/training/recipe.ts';
import { referencePython } from '../support/python.ts';

const PARSE = `
import json, sys, tomllib, yaml
files = json.load(sys.stdin)
print(json.dumps({'toml': tomllib.loads(files['dataset.toml']), 'yaml': yaml.safe_load(files['sky.yaml'])}))
`;

test('the bundle’s TOML, YAML and shell are what their own parsers read', () => {
  const png = Uint8Array.of(0x89, 0x50, 0x4e, 0x47);
  const evil = 'it\'s "x": #\n- y\0\u2028\\ %{} \u007f \ud800 é';
  const files = makeKohyaBundle({
    name: evil,
    pictures: [
      { file: evil, bytes: png, caption: evil, repeats: 2 },
      { file: evil, bytes: png, caption: evil, mask: png },
    ],
    classPictures: [{ file: evil, bytes: png }],
    recipe: parseRecipe({ with_prior_preservation: true, class_prompt: evil, shuffle_caption: true }, 'look'),
    lora: parseLookLora({ r: 4 }),
    base: { family: 'sdxl', name: evil, repository: evil, predictionType: 'epsilon', resolution: 1024 },
    prompts: [{ prompt: evil }],
    triggerWord: evil,
    steps: 10,
    warmupSteps: 0,
  });
  const text = (path: string): string => new TextDecoder().decode(files.get(path));
  const input = JSON.stringify(Object.fromEntries(['dataset.toml', 'sky.yaml'].map((path) => [path, text(path)])));
  const read = JSON.parse(execFileSync(referencePython(), ['-c', PARSE], { input, encoding: 'utf8' })) as {
    toml: { general: unknown; datasets: unknown[] };
    yaml: { name: string; envs: { BASE: string }; setup: string; run: string; resources: { any_of: object[] } };
  };
  expect(read.toml.general).toMatchObject({ caption_extension: '.txt', shuffle_caption: true, keep_tokens: 1 });
  expect(read.toml.datasets).toMatchObject([
    {
      resolution: [1024, 1024],
      subsets: [
        { image_dir: 'pictures/repeats-2', num_repeats: 2 },
        { image_dir: 'class-pictures', num_repeats: 1, is_reg: true },
      ],
    },
    { subsets: [{ image_dir: 'masked-pictures/repeats-1', conditioning_data_dir: 'masks/repeats-1' }] },
  ]);
  expect(read.yaml.name).toBe('look-it-s-x-y-e');
  expect(read.yaml.envs.BASE).toBe('it\'s "x": # - y \\ %{} \ufffd é');
  expect(read.yaml.resources.any_of[0]).toEqual({ accelerators: 'L4:1' });
  for (const script of [text('train.sh'), read.yaml.setup, read.yaml.run]) {
    execFileSync('bash', ['-n'], { input: script });
  }
});
