import type { LoraConfig } from '../../adapters/lora-config.ts';
import { LOOK_CONVOLUTIONS, LOOK_TARGETS } from './adapter.ts';
import { markdown, oneLine, quoted, shellWord, slug } from '../bundle-words.ts';
import type { BundleFolder, BundleOptions } from './bundle.ts';

/** sd-scripts' state of February 2026, whose arguments these are. */
const SD_SCRIPTS = 'https://github.com/kohya-ss/sd-scripts';
const SD_SCRIPTS_COMMIT = '48d368fa';

const resolutionOf = ({ recipe, base }: BundleOptions): number => recipe.resolution || base.resolution;

/** Class pictures can be told apart only beside pictures without a mask: sd-scripts keeps masked ones in a data set of their own. */
const classIsOrdinary = (folders: readonly BundleFolder[]): boolean =>
  folders.every(({ masks, isClass }) => masks ?? isClass);

/** Times that ordinary class pictures are seen an epoch, so that they are about as many as the others. */
function classRepeats(folders: readonly BundleFolder[]): number {
  const count = folders.find(({ isClass }) => isClass)?.count ?? 1;
  const views = folders.reduce((sum, { isClass, repeats, count: n }) => sum + (isClass ? 0 : repeats * n), 0);
  return Math.max(1, Math.round(views / count));
}

/** The data set's settings (sd-scripts, docs/config_README-en.md). */
export function datasetToml(options: BundleOptions, folders: readonly BundleFolder[]): string {
  const { recipe } = options;
  const resolution = resolutionOf(options);
  const step = 64;
  const side = (pixels: number): number => Math.max(step, Math.floor(pixels / step) * step);
  const lines = [
    '[general]',
    'caption_extension = ".txt"',
    `shuffle_caption = ${recipe.shuffle_caption}`,
    // The first part of a caption, with the trigger word, stays first.
    `keep_tokens = ${recipe.shuffle_caption ? 1 : 0}`,
    `flip_aug = ${recipe.random_flip}`,
    `caption_dropout_rate = ${recipe.caption_dropout_rate}`,
  ];
  const dataset = (own: readonly BundleFolder[]): void => {
    if (own.length === 0) return;
    lines.push(
      '',
      '[[datasets]]',
      `resolution = [${resolution}, ${resolution}]`,
      `batch_size = ${recipe.per_device_train_batch_size}`,
      'enable_bucket = true',
      `min_bucket_reso = ${side(resolution / 2)}`,
      `max_bucket_reso = ${side(resolution * 2)}`,
      `bucket_reso_steps = ${step}`,
      'bucket_no_upscale = false',
    );
    for (const { path, masks, repeats, isClass } of own) {
      const ordinary = isClass && classIsOrdinary(folders);
      lines.push('', '  [[datasets.subsets]]', `  image_dir = ${quoted(path)}`);
      if (masks !== undefined) lines.push(`  conditioning_data_dir = ${quoted(masks)}`);
      lines.push(`  num_repeats = ${ordinary ? classRepeats(folders) : repeats}`);
      if (isClass && !ordinary) lines.push('  is_reg = true');
    }
  };
  dataset(folders.filter(({ masks }) => masks === undefined));
  dataset(folders.filter(({ masks }) => masks !== undefined));
  return `${lines.join('\n')}\n`;
}

/** A prompt that stays one: sd-scripts takes what follows two hyphens for an option, and a leading # for a comment. */
function promptText(text: string): string {
  return oneLine(text)
    .replace(/(^| )-+(?=-)/g, '$1')
    .replace(/^[#\s]+/, '');
}

/** sd-scripts' prompt file: a line a picture. */
export function promptFile(options: BundleOptions): string {
  const { prompts, recipe, triggerWord } = options;
  const resolution = resolutionOf(options);
  const all = prompts.length > 0 ? prompts : [{ prompt: triggerWord }];
  const lines = all.flatMap(({ prompt, negative_prompt: negative = '', width, height, seed }, i) => {
    const text = promptText(prompt);
    if (text === '') return [];
    const against = promptText(negative);
    return [
      [
        text,
        ...(against === '' ? [] : [`--n ${against}`]),
        `--w ${width ?? resolution}`,
        `--h ${height ?? resolution}`,
        `--d ${seed ?? recipe.seed + i}`,
        `--l ${recipe.sample_guidance_scale}`,
        `--s ${recipe.sample_inference_steps}`,
      ].join(' '),
    ];
  });
  return `# One picture a line: the prompt, then --n what to avoid, --w and --h pixels, --d seed, --l guidance, --s steps.\n${lines.join('\n')}\n`;
}

const isNamed = (lora: LoraConfig, names: readonly string[]): string[] => {
  const { target_modules: targets } = lora;
  return Array.isArray(targets)
    ? names.filter((name) =>
        targets.some((target) => name === target || name.endsWith(`.${target}`) || target.endsWith(`.${name}`)),
      )
    : [];
};

/** Settings of a run that sd-scripts cannot be asked for, each a sentence for the README. */
export function differences(options: BundleOptions, folders: readonly BundleFolder[]): string[] {
  const { lora, recipe, weights, classPictures = [] } = options;
  const told: string[] = [];
  if (!weights) {
    const missing = LOOK_TARGETS.filter((name) => !isNamed(lora, LOOK_TARGETS).includes(name));
    if (missing.length > 0) {
      told.push(
        '`networks.lora` adapts every attention and feed-forward layer of the UNet; the run here adapted only some, or named them by a pattern.',
      );
    }
    if (Object.keys(lora.rank_pattern).length + Object.keys(lora.alpha_pattern).length > 0) {
      told.push('Ranks and weights of single layers are not carried over: all layers get those of the whole.');
    }
  }
  if (lora.lora_dropout > 0) {
    told.push(`Dropout (${lora.lora_dropout}) is applied behind a layer’s first matrix there, in front of it here.`);
  }
  if (recipe.with_prior_preservation && classPictures.length === 0) {
    told.push(
      `Pictures of the ordinary kind (“${markdown(recipe.class_prompt)}”) were not drawn yet. Put some, with a .txt beside each, into a folder, and name it in dataset.toml as a subset with is_reg = true.`,
    );
  }
  const hasClass = folders.some(({ isClass }) => isClass);
  if (hasClass && classIsOrdinary(folders)) {
    told.push(
      'All pictures have masks, and sd-scripts tells class pictures apart only beside pictures without: they are learnt as ordinary pictures, as often as the others, with weight 1.',
    );
  }
  if (recipe.eval_share > 0) told.push('No pictures are kept aside for measuring: all are learnt.');
  told.push('Random numbers and the order of pictures differ, so the result is alike, not the same.');
  return told;
}

/** train.sh: the recipe as sd-scripts' arguments. */
export function trainScript(options: BundleOptions, folders: readonly BundleFolder[]): string {
  const { base, lora, name, prompts, recipe, steps, triggerWord, warmupSteps, weights } = options;
  const xl = base.family === 'sdxl';
  const alpha = lora.use_rslora ? lora.lora_alpha * Math.sqrt(lora.r) : lora.lora_alpha;
  const convolutions = isNamed(lora, LOOK_CONVOLUTIONS).length > 0;
  const warms = warmupSteps > 0 && recipe.lr_scheduler_type !== 'constant';
  const samples = recipe.sample_steps > 0 && (prompts.length > 0 || triggerWord.trim() !== '');
  const network = weights
    ? ['--network_weights=start.safetensors', '--dim_from_weights']
    : [
        `--network_dim=${lora.r}`,
        `--network_alpha=${alpha}`,
        ...(convolutions ? [`--network_args conv_dim=${lora.r} conv_alpha=${alpha}`] : []),
      ];
  const lines = [
    '--dataset_config=dataset.toml',
    '--output_dir=output',
    `--output_name=${slug(name, 'look')}`,
    '--save_model_as=safetensors',
    '--save_precision=float',
    '--network_module=networks.lora',
    ...network,
    ...(lora.lora_dropout > 0 ? [`--network_dropout=${lora.lora_dropout}`] : []),
    ...(recipe.train_text_encoder ? [`--text_encoder_lr=${recipe.text_encoder_lr}`] : ['--network_train_unet_only']),
    `--learning_rate=${recipe.learning_rate}`,
    `--unet_lr=${recipe.learning_rate}`,
    '--optimizer_type=AdamW',
    `--optimizer_args weight_decay=${recipe.weight_decay} betas=${recipe.adam_beta1},${recipe.adam_beta2} eps=${recipe.adam_epsilon}`,
    `--lr_scheduler=${recipe.lr_scheduler_type}`,
    ...(warms ? [`--lr_warmup_steps=${warmupSteps}`] : []),
    `--max_train_steps=${steps}`,
    `--gradient_accumulation_steps=${recipe.gradient_accumulation_steps}`,
    `--max_grad_norm=${recipe.max_grad_norm}`,
    `--seed=${recipe.seed}`,
    ...(recipe.snr_gamma > 0 ? [`--min_snr_gamma=${recipe.snr_gamma}`] : []),
    ...(recipe.noise_offset > 0 ? [`--noise_offset=${recipe.noise_offset}`] : []),
    ...(folders.some(({ isClass }) => isClass) ? [`--prior_loss_weight=${recipe.prior_loss_weight}`] : []),
    ...(folders.some(({ masks }) => masks !== undefined) ? ['--masked_loss'] : []),
    ...(base.family === 'sd2' ? ['--v2'] : []),
    ...(base.predictionType === 'v_prediction' ? ['--v_parameterization'] : []),
    ...(base.zeroTerminalSnr ? ['--zero_terminal_snr'] : []),
    // XL's autoencoder overflows in half precision, and its UNet takes more memory than most cards have without recomputing.
    ...(xl ? ['--no_half_vae', '--gradient_checkpointing'] : []),
    '--cache_latents',
    '--sdpa',
    '--max_data_loader_n_workers=2',
    '--persistent_data_loader_workers',
    ...(recipe.save_steps > 0 ? [`--save_every_n_steps=${recipe.save_steps}`] : []),
    ...(samples
      ? [
          '--sample_prompts=prompts.txt',
          `--sample_every_n_steps=${recipe.sample_steps}`,
          '--sample_at_first',
          '--sample_sampler=dpmsolver++',
        ]
      : []),
  ];
  const setBase =
    base.repository === null
      ? [
          '# The base: its repository on the model hub, a diffusers folder, or a .safetensors file.',
          'BASE="${BASE:?set it to the base that the look was taught on}"',
        ]
      : [`BASE="\${BASE:-}"`, `if [ -z "$BASE" ]; then BASE=${shellWord(base.repository)}; fi`];
  return [
    '#!/usr/bin/env bash',
    '# Trains the look with kohya’s sd-scripts. README.md says how to get them.',
    'set -euo pipefail',
    'cd "$(dirname "$0")"',
    'SD_SCRIPTS="${SD_SCRIPTS:-sd-scripts}"',
    '# fp16 on cards before NVIDIA’s 30 series.',
    'PRECISION="${PRECISION:-bf16}"',
    ...setBase,
    'arguments=(',
    '  "--pretrained_model_name_or_path=$BASE"',
    '  "--mixed_precision=$PRECISION"',
    ...lines.map((line) => `  ${line}`),
    `  --metadata_title=${shellWord(name)}`,
    ')',
    `exec accelerate launch --num_processes=1 --num_machines=1 --dynamo_backend=no "--mixed_precision=$PRECISION" \\`,
    `  --num_cpu_threads_per_process=2 "$SD_SCRIPTS/${xl ? 'sdxl_train_network.py' : 'train_network.py'}" "\${arguments[@]}"`,
    '',
  ].join('\n');
}

/** A task for SkyPilot (docs.skypilot.co, YAML spec): the folder goes up, sd-scripts are set up, train.sh runs. */
export function skyYaml({ base, name }: BundleOptions): string {
  const cards = base.family === 'sdxl' ? ['L4', 'A10G', 'L40S', 'A100'] : ['T4', 'L4', 'A10G', 'L40S'];
  return [
    `name: ${quoted(`look-${slug(name, 'look')}`)}`,
    'workdir: .',
    'resources:',
    '  disk_size: 100',
    '  any_of:',
    ...cards.map((card) => `    - accelerators: ${card}:1`),
    'envs:',
    `  BASE: ${quoted(base.repository ?? '')}`,
    'setup: |',
    '  set -e',
    `  if [ ! -d ~/sd-scripts ]; then git clone ${SD_SCRIPTS} ~/sd-scripts; fi`,
    `  git -C ~/sd-scripts checkout --quiet ${SD_SCRIPTS_COMMIT}`,
    '  if [ ! -d ~/sd-venv ]; then python3 -m venv ~/sd-venv; fi',
    '  . ~/sd-venv/bin/activate',
    '  pip install torch torchvision',
    '  cd ~/sd-scripts && pip install -r requirements.txt',
    'run: |',
    '  set -e',
    '  . ~/sd-venv/bin/activate',
    // A T4 has no bfloat16.
    `  export SD_SCRIPTS=~/sd-scripts`,
    `  export PRECISION=$(python -c 'import torch; print("bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp16")')`,
    '  bash train.sh',
    '',
  ].join('\n');
}

/** README.md: what is in the folder and what to do with it. */
export function readme(options: BundleOptions, folders: readonly BundleFolder[]): string {
  const { base, name, triggerWord, steps, weights } = options;
  const own = folders.filter(({ isClass }) => !isClass);
  const count = own.reduce((sum, folder) => sum + folder.count, 0);
  const classCount = folders.find(({ isClass }) => isClass)?.count ?? 0;
  const file = `output/${slug(name, 'look')}.safetensors`;
  const trigger = markdown(triggerWord);
  return [
    `# ${markdown(name) || 'A look'}`,
    '',
    `Teaches a look from ${count} ${count === 1 ? 'picture' : 'pictures'} on ${markdown(base.name)} in ${steps} steps, with kohya’s sd-scripts, on any machine with an NVIDIA card.`,
    ...(weights ? ['It goes on from `start.safetensors`, the look as it was when this folder was made.'] : []),
    ...(trigger === '' ? [] : ['', `Words that call it: ${trigger}`]),
    '',
    '**These are your photos.** Whoever runs the machine that you copy this folder to can see them. If they show a person, that person should agree to it, and to what the look will be used for.',
    '',
    '## On a machine with a card',
    '',
    '```bash',
    `git clone ${SD_SCRIPTS}`,
    `git -C sd-scripts checkout ${SD_SCRIPTS_COMMIT}`,
    'python3 -m venv venv && . venv/bin/activate   # Python 3.10 or 3.11',
    'pip install torch torchvision',
    '(cd sd-scripts && pip install -r requirements.txt)',
    base.repository === null ? 'BASE=/path/to/the/base.safetensors bash train.sh' : 'bash train.sh',
    '```',
    '',
    `The look is then in \`${file}\`, pictures drawn along the way in \`output/sample\`. Another base, a file or a folder for instance, is named by BASE=… in front; PRECISION=fp16 suits cards before NVIDIA’s 30 series.`,
    '',
    '## On a rented machine, with SkyPilot',
    '',
    '```bash',
    'pip install "skypilot[aws]"   # or gcp, azure, runpod, …',
    `sky launch -c look ${base.repository === null ? '--env BASE=owner/name ' : ''}sky.yaml`,
    'rsync -Pav look:sky_workdir/output .',
    'sky down look',
    '```',
    '',
    'The machine costs money until `sky down`.',
    '',
    '## What is in it',
    '',
    ...folders.flatMap(({ path, masks, repeats, count: n, isClass }) => [
      isClass
        ? `- \`${path}/\`: ${classCount} ordinary pictures of the same kind, so that not everything turns into yours.`
        : `- \`${path}/\`: ${n} pictures, each seen ${repeats === 1 ? 'once' : `${repeats} times`} an epoch, its caption beside it.`,
      ...(masks === undefined ? [] : [`- \`${masks}/\`: their masks; what is black is not learnt.`]),
    ]),
    '- `dataset.toml`: sizes, repeats and captions; `prompts.txt`: what is drawn along the way; `train.sh`: all other settings; `sky.yaml`: the same for SkyPilot.',
    '',
    '## What is different there',
    '',
    ...differences(options, folders).map((sentence) => `- ${sentence}`),
    '',
  ].join('\n');
}
