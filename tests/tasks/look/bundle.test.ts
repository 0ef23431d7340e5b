import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import { parseLookLora } from '../../../src/tasks/look/adapter.ts';
import { makeKohyaBundle } from '../../../src/tasks/look/bundle.ts';
import type { BundleOptions } from '../../../src/tasks/look/bundle.ts';
import { parseRecipe } from '../../../src/training/recipe.ts';

const PNG = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 1);
const JPEG = Uint8Array.of(0xff, 0xd8, 0xff, 2);

function options(changes: Partial<BundleOptions> = {}, recipe: Record<string, unknown> = {}): BundleOptions {
  return {
    name: 'Rex, my dog',
    pictures: [
      { file: 'IMG 1.jpeg', bytes: JPEG, caption: 'a photo of rexq dog, on grass' },
      { file: 'b.png', bytes: PNG, caption: 'rexq dog' },
    ],
    recipe: parseRecipe({ max_steps: 900, warmup_steps: 30, seed: 5, ...recipe }, 'look'),
    lora: parseLookLora({ r: 8, lora_alpha: 4 }),
    base: {
      family: 'sd1',
      name: 'Stable Diffusion 1.5',
      repository: 'stable-diffusion-v1-5/stable-diffusion-v1-5',
      predictionType: 'epsilon',
      resolution: 512,
    },
    prompts: [{ prompt: 'rexq dog on the moon', negative_prompt: 'blurry', width: 512, height: 768, seed: 11 }],
    triggerWord: 'rexq dog',
    steps: 900,
    warmupSteps: 30,
    ...changes,
  };
}

const decoder = new TextDecoder();
const text = (files: Map<string, Uint8Array>, path: string): string => decoder.decode(files.get(path));

type Table = Record<string, unknown>;

/** The part of TOML that dataset.toml uses: [table], [[list]], [[list.list]] and values that are JSON too. */
function parseToml(source: string): { general: Table; datasets: (Table & { subsets: Table[] })[] } {
  const general: Table = {};
  const datasets: (Table & { subsets: Table[] })[] = [];
  let at: Table | undefined;
  for (const line of source.split('\n').map((each) => each.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    if (line === '[general]') at = general;
    else if (line === '[[datasets]]') datasets.push((at = { subsets: [] }) as Table & { subsets: Table[] });
    else if (line === '[[datasets.subsets]]') datasets.at(-1)!.subsets.push((at = {}));
    else {
      const [, key, value] = /^([a-z_]+) = (.+)$/.exec(line) ?? [];
      if (key === undefined || !at || key in at) throw new Error(`not TOML: ${line}`);
      at[key] = JSON.parse(value!) as unknown;
    }
  }
  return { general, datasets };
}

const root = mkdtempSync(join(tmpdir(), 'athanor-bundle-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;

/** The command that train.sh ends in, run with a stand-in for accelerate: its arguments. */
function run(files: Map<string, Uint8Array>, environment: Record<string, string> = {}): string[] {
  const folder = join(root, String(made++), `it's "here" $HOME`);
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), bytes);
  }
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'accelerate'), '#!/usr/bin/env bash\nprintf "%s\\0" "$PWD" "$@" > arguments\n');
  chmodSync(join(bin, 'accelerate'), 0o755);
  execFileSync('bash', [join(folder, 'train.sh')], {
    env: { PATH: `${bin}:${process.env['PATH'] ?? ''}`, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [where, ...given] = readFileSync(join(folder, 'arguments'), 'utf8').split('\0').slice(0, -1);
  expect(where).toBe(folder);
  return given;
}

describe('the folder', () => {
  test('holds each picture with its caption under a name of its own', () => {
    const files = makeKohyaBundle(options());
    expect([...files.keys()]).toEqual([
      'pictures/repeats-1/001-img-1.jpg',
      'pictures/repeats-1/001-img-1.txt',
      'pictures/repeats-1/002-b.png',
      'pictures/repeats-1/002-b.txt',
      'dataset.toml',
      'prompts.txt',
      'train.sh',
      'sky.yaml',
      'README.md',
    ]);
    expect(files.get('pictures/repeats-1/001-img-1.jpg')).toEqual(JPEG);
    expect(text(files, 'pictures/repeats-1/001-img-1.txt')).toBe('a photo of rexq dog, on grass\n');
  });

  test('takes no path, command or field from a text', () => {
    const evil = '../../etc/passwd\0"; rm -rf ~ #\n[[datasets]]\n$(touch x) `id` \u2028 \ud800 --n x';
    const files = makeKohyaBundle(
      options({
        name: evil,
        pictures: [
          { file: evil, bytes: PNG, caption: evil },
          { file: '….png', bytes: PNG, caption: '' },
          { file: 'Żółć_a_b_c_d_e.JPG', bytes: JPEG, caption: 'x' },
        ],
        base: { ...options().base, name: evil, repository: evil },
        prompts: [{ prompt: `# ${evil}`, negative_prompt: evil }, { prompt: '--d 3' }],
        triggerWord: evil,
      }),
    );
    for (const path of files.keys()) {
      expect(path).toMatch(/^(?:[a-z-]+\/(?:repeats-\d+\/)?)?[A-Za-z0-9-]+\.(?:png|jpg|txt|toml|sh|yaml|md)$/);
    }
    expect([...files.keys()].filter((path) => path.endsWith('.txt')).slice(0, 3)).toEqual([
      'pictures/repeats-1/001-etc-passwd-rm-rf-datasets-touch-x-id-n-x.txt',
      'pictures/repeats-1/002-picture.txt',
      'pictures/repeats-1/003-zo-c-a-b-c-d-e.txt',
    ]);
    // A caption file has one line, and never none.
    expect(text(files, 'pictures/repeats-1/002-picture.txt')).toBe('\n');
    expect(text(files, 'pictures/repeats-1/001-etc-passwd-rm-rf-datasets-touch-x-id-n-x.txt').split('\n')).toHaveLength(
      2,
    );
    expect(parseToml(text(files, 'dataset.toml')).datasets).toHaveLength(1);
    const given = run(files);
    const flat = '../../etc/passwd "; rm -rf ~ # [[datasets]] $(touch x) `id` \ufffd --n x';
    expect(given).toContain(`--pretrained_model_name_or_path=${flat}`);
    expect(given).toContain(`--metadata_title=${flat}`);
    const prompts = text(files, 'prompts.txt').trim().split('\n').slice(1);
    expect(prompts).toHaveLength(2);
    // sd-scripts splits at two hyphens behind a space: what is ours alone stands there.
    const parts = prompts.map((line) => line.split(' --'));
    expect(parts.map(([prompt]) => prompt)).toEqual([
      '../../etc/passwd "; rm -rf ~ # [[datasets]] $(touch x) `id` \ufffd -n x',
      '-d 3',
    ]);
    expect(parts.map(([, ...rest]) => rest.map((part) => part[0]).join(''))).toEqual(['nwhdls', 'whdls']);
    expect(text(files, 'README.md')).not.toContain('\n[[datasets]]');
    expect(text(files, 'README.md')).toContain('\\$(touch x) \\`id\\`');
  });

  test('is refused without pictures, with files that are none, for DoRA', () => {
    expect(() => makeKohyaBundle(options({ pictures: [] }))).toThrow(UserError);
    const heic = [{ file: 'a.heic', bytes: Uint8Array.of(0, 0, 0, 1), caption: '' }];
    expect(() => makeKohyaBundle(options({ pictures: heic }))).toThrow('“a.heic” is not a PNG, JPEG, WebP or BMP');
    const masked = [{ file: 'a.png', bytes: PNG, caption: '', mask: JPEG }];
    expect(() => makeKohyaBundle(options({ pictures: masked }))).toThrow('The mask of “a.png” is not a PNG');
    expect(() => makeKohyaBundle(options({ lora: parseLookLora({ use_dora: true }) }))).toThrow('DoRA');
  });
});

describe('dataset.toml', () => {
  test('says sizes, repeats, captions and augmentation', () => {
    const recipe = {
      shuffle_caption: true,
      random_flip: true,
      caption_dropout_rate: 0.1,
      per_device_train_batch_size: 3,
    };
    const pictures = [...options().pictures, { file: 'c.png', bytes: PNG, caption: 'rexq dog', repeats: 4 }];
    const toml = parseToml(text(makeKohyaBundle(options({ pictures }, recipe)), 'dataset.toml'));
    expect(toml.general).toEqual({
      caption_extension: '.txt',
      shuffle_caption: true,
      keep_tokens: 1,
      flip_aug: true,
      caption_dropout_rate: 0.1,
    });
    expect(toml.datasets).toEqual([
      {
        resolution: [512, 512],
        batch_size: 3,
        enable_bucket: true,
        min_bucket_reso: 256,
        max_bucket_reso: 1024,
        bucket_reso_steps: 64,
        bucket_no_upscale: false,
        subsets: [
          { image_dir: 'pictures/repeats-1', num_repeats: 1 },
          { image_dir: 'pictures/repeats-4', num_repeats: 4 },
        ],
      },
    ]);
    const plain = parseToml(text(makeKohyaBundle(options({}, { resolution: 640 })), 'dataset.toml'));
    expect(plain.general['keep_tokens']).toBe(0);
    expect(plain.datasets[0]).toMatchObject({ resolution: [640, 640], min_bucket_reso: 320, max_bucket_reso: 1280 });
  });

  const prior = { with_prior_preservation: true, class_prompt: 'a photo of a dog', prior_loss_weight: 0.5 };
  const classPictures = [
    { file: 'x.png', bytes: PNG },
    { file: 'x.png', bytes: JPEG },
  ];

  test('class pictures are regularisation pictures, with the words that they were drawn from', () => {
    const files = makeKohyaBundle(options({ classPictures }, prior));
    const { datasets } = parseToml(text(files, 'dataset.toml'));
    expect(datasets.map(({ subsets }) => subsets)).toEqual([
      [
        { image_dir: 'pictures/repeats-1', num_repeats: 1 },
        { image_dir: 'class-pictures', num_repeats: 1, is_reg: true },
      ],
    ]);
    expect(text(files, 'class-pictures/002-x.txt')).toBe('a photo of a dog\n');
    expect(files.has('class-pictures/002-x.jpg')).toBe(true);
    expect(run(files)).toContain('--prior_loss_weight=0.5');
    // Not asked for: not taken along. Asked for and missing: told of.
    expect([...makeKohyaBundle(options({ classPictures })).keys()].some((path) => path.startsWith('class'))).toBe(
      false,
    );
    const missing = makeKohyaBundle(options({}, prior));
    expect(text(missing, 'README.md')).toContain('(“a photo of a dog”) were not drawn yet');
    expect(run(missing).some((each) => each.startsWith('--prior_loss_weight'))).toBe(false);
  });

  test('masked pictures lie in a data set of their own beside their masks', () => {
    const mask = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 9);
    const [first, second] = options().pictures as [BundleOptions['pictures'][0], BundleOptions['pictures'][0]];
    const files = makeKohyaBundle(options({ pictures: [first, { ...second, mask }], classPictures }, prior));
    const { datasets } = parseToml(text(files, 'dataset.toml'));
    expect(datasets.map(({ subsets }) => subsets)).toEqual([
      [
        { image_dir: 'pictures/repeats-1', num_repeats: 1 },
        { image_dir: 'class-pictures', num_repeats: 1, is_reg: true },
      ],
      [{ image_dir: 'masked-pictures/repeats-1', conditioning_data_dir: 'masks/repeats-1', num_repeats: 1 }],
    ]);
    expect(files.get('masks/repeats-1/001-b.png')).toEqual(mask);
    expect(files.has('masked-pictures/repeats-1/001-b.png')).toBe(true);
    expect(run(files)).toContain('--masked_loss');
    // Beside masked pictures alone class pictures have no data set to be told apart in.
    const all = makeKohyaBundle(options({ pictures: [{ ...first, mask, repeats: 6 }], classPictures }, prior));
    expect(parseToml(text(all, 'dataset.toml')).datasets.map(({ subsets }) => subsets)).toEqual([
      [{ image_dir: 'class-pictures', num_repeats: 3 }],
      [{ image_dir: 'masked-pictures/repeats-6', conditioning_data_dir: 'masks/repeats-6', num_repeats: 6 }],
    ]);
    expect(text(all, 'README.md')).toContain('learnt as ordinary pictures');
    const off = makeKohyaBundle(options({ pictures: [{ ...first, mask }] }, { masked_loss: false }));
    expect([...off.keys()].some((path) => path.includes('mask'))).toBe(false);
    expect(run(off)).not.toContain('--masked_loss');
  });
});

describe('train.sh', () => {
  test('has the run’s settings', () => {
    const given = run(
      makeKohyaBundle(
        options(
          {},
          {
            learning_rate: 2e-4,
            save_steps: 100,
            sample_steps: 50,
            snr_gamma: 5,
            noise_offset: 0.05,
            gradient_accumulation_steps: 2,
            lr_scheduler_type: 'cosine',
          },
        ),
      ),
    );
    expect(given.slice(0, 7)).toEqual([
      'launch',
      '--num_processes=1',
      '--num_machines=1',
      '--dynamo_backend=no',
      '--mixed_precision=bf16',
      '--num_cpu_threads_per_process=2',
      'sd-scripts/train_network.py',
    ]);
    expect(given).toEqual(
      expect.arrayContaining([
        '--pretrained_model_name_or_path=stable-diffusion-v1-5/stable-diffusion-v1-5',
        '--dataset_config=dataset.toml',
        '--output_name=rex-my-dog',
        '--network_module=networks.lora',
        '--network_dim=8',
        '--network_alpha=4',
        '--network_train_unet_only',
        '--learning_rate=0.0002',
        '--unet_lr=0.0002',
        '--lr_scheduler=cosine',
        '--lr_warmup_steps=30',
        '--max_train_steps=900',
        '--gradient_accumulation_steps=2',
        '--max_grad_norm=1',
        '--seed=5',
        '--min_snr_gamma=5',
        '--noise_offset=0.05',
        '--save_every_n_steps=100',
        '--sample_prompts=prompts.txt',
        '--sample_every_n_steps=50',
        '--metadata_title=Rex, my dog',
      ]),
    );
    const at = given.indexOf('--optimizer_args');
    expect(given.slice(at - 1, at + 4)).toEqual([
      '--optimizer_type=AdamW',
      '--optimizer_args',
      'weight_decay=0.01',
      'betas=0.9,0.999',
      'eps=1e-8',
    ]);
    expect(
      given.filter((each) => each.startsWith('--v')).length + given.filter((each) => each.includes('half_vae')).length,
    ).toBe(0);
  });

  test('goes by the base: 2, v prediction, XL, and one that only the person knows', () => {
    const { base } = options();
    const v = run(
      makeKohyaBundle(
        options({ base: { ...base, family: 'sd2', predictionType: 'v_prediction', zeroTerminalSnr: true } }),
      ),
    );
    expect(v).toEqual(expect.arrayContaining(['--v2', '--v_parameterization', '--zero_terminal_snr']));
    const xl = run(makeKohyaBundle(options({ base: { ...base, family: 'sdxl', resolution: 1024 } })), {
      SD_SCRIPTS: '/opt/sd',
      PRECISION: 'fp16',
      BASE: 'my base',
    });
    expect(xl).toEqual(
      expect.arrayContaining([
        '/opt/sd/sdxl_train_network.py',
        '--no_half_vae',
        '--gradient_checkpointing',
        '--mixed_precision=fp16',
        '--pretrained_model_name_or_path=my base',
      ]),
    );
    const unknown = makeKohyaBundle(options({ base: { ...base, repository: null } }));
    expect(() => run(unknown)).toThrow('set it to the base that the look was taught on');
    expect(run(unknown, { BASE: '/models/x.safetensors' })).toContain(
      '--pretrained_model_name_or_path=/models/x.safetensors',
    );
  });

  test('goes by the adapter: rsLoRA, convolutions, the words, an adapter to go on from', () => {
    const lora = parseLookLora({
      r: 16,
      lora_alpha: 8,
      use_rslora: true,
      lora_dropout: 0.1,
      target_modules: ['to_q', 'conv1'],
    });
    const files = makeKohyaBundle(options({ lora }, { train_text_encoder: true, text_encoder_lr: 3e-5 }));
    const given = run(files);
    expect(given).toEqual(
      expect.arrayContaining([
        '--network_alpha=32',
        '--network_args',
        'conv_dim=16',
        'conv_alpha=32',
        '--text_encoder_lr=0.00003',
        '--network_dropout=0.1',
      ]),
    );
    expect(given).not.toContain('--network_train_unet_only');
    expect(text(files, 'README.md')).toContain('adapts every attention and feed-forward layer');
    const weights = Uint8Array.of(1, 2, 3);
    const on = makeKohyaBundle(options({ lora, weights }));
    expect(on.get('start.safetensors')).toEqual(weights);
    const more = run(on);
    expect(more).toEqual(expect.arrayContaining(['--network_weights=start.safetensors', '--dim_from_weights']));
    expect(more.some((each) => each.startsWith('--network_dim'))).toBe(false);
    expect(text(on, 'README.md')).not.toContain('adapts every attention');
  });

  test('no pictures along the way where none are wished', () => {
    const quiet = run(makeKohyaBundle(options({}, { sample_steps: 0, save_steps: 0 })));
    expect(quiet.some((each) => each.startsWith('--sample') || each.startsWith('--save_every'))).toBe(false);
    // Without prompts the trigger word is drawn.
    const files = makeKohyaBundle(options({ prompts: [] }));
    expect(text(files, 'prompts.txt').split('\n')[1]).toBe('rexq dog --w 512 --h 512 --d 5 --l 7 --s 20');
    expect(run(files)).toContain('--sample_prompts=prompts.txt');
    expect(run(makeKohyaBundle(options({ prompts: [], triggerWord: ' ' })))).not.toContain(
      '--sample_prompts=prompts.txt',
    );
  });
});

test('prompts.txt has sd-scripts’ options', () => {
  const files = makeKohyaBundle(options());
  expect(text(files, 'prompts.txt').split('\n')[1]).toBe(
    'rexq dog on the moon --n blurry --w 512 --h 768 --d 11 --l 7 --s 20',
  );
});

test('sky.yaml and the README say the same base and commands', () => {
  const files = makeKohyaBundle(options());
  const yaml = text(files, 'sky.yaml');
  expect(yaml).toContain('name: "look-rex-my-dog"\n');
  expect(yaml).toContain('\nenvs:\n  BASE: "stable-diffusion-v1-5/stable-diffusion-v1-5"\n');
  expect(yaml).toContain('\nrun: |\n');
  const commit = /checkout --quiet (\w+)/.exec(yaml)![1]!;
  const readme = text(files, 'README.md');
  expect(readme).toContain(`git -C sd-scripts checkout ${commit}`);
  expect(readme).toContain('`output/rex-my-dog.safetensors`');
  expect(readme).toContain('that person should agree');
});
