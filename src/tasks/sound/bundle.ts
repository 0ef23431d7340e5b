import type { LoraConfig } from '../../adapters/lora-config.ts';
import { UserError } from '../../common/errors.ts';
import type { Recipe } from '../../training/recipe.ts';
import { markdown, oneLine, quoted, shellWord, slug } from '../bundle-words.ts';

/** musicgen-dreamboothing's state of May 2024, whose arguments these are, and libraries of its time: it is no longer changed. */
const TRAINER = 'https://github.com/ylacombe/musicgen-dreamboothing';
const TRAINER_COMMIT = 'a94bcf90';
const LIBRARIES =
  "'transformers==4.40.2' 'peft==0.11.1' 'accelerate==0.30.1' 'datasets[audio]==2.19.2' 'numpy<2' evaluate sentencepiece soundfile librosa";

/** A clip as it is to be learnt. */
export interface BundleClip {
  /** Name of the song that it came from: shown to people, never a path. */
  file: string;
  /** WAV. */
  bytes: Uint8Array;
  words: string;
}

export interface SoundBundleOptions {
  /** Name of the sound. */
  name: string;
  clips: readonly BundleClip[];
  recipe: Recipe;
  lora: LoraConfig;
  base: {
    /** What it is called. */
    name: string;
    /** Its repository on the model hub, where it is known; null: whoever runs the bundle has to say. */
    repository: string | null;
    /** 2 for stereo. */
    channels: number;
  };
  /** Composed by the trainer at its end. */
  prompt: string;
  triggerWord: string;
  /** Optimiser steps of the whole run. */
  steps: number;
  /** Whole warm-up steps. */
  warmupSteps: number;
}

/** What the trainer does with these clips and settings, as its JSON file wants it; the base is named by train.sh. */
function trainerConfig({ recipe, prompt, steps, warmupSteps }: SoundBundleOptions): Record<string, unknown> {
  const saves = recipe.save_steps > 0;
  return {
    model_name_or_path: 'BASE',
    output_dir: './output',
    overwrite_output_dir: true,
    dataset_name: './data',
    train_split_name: 'train',
    target_audio_column_name: 'audio',
    text_column_name: 'text',
    max_duration_in_seconds: recipe.max_duration_in_seconds,
    min_duration_in_seconds: 0.5,
    preprocessing_num_workers: 2,
    do_train: true,
    fp16: true,
    use_lora: true,
    max_steps: steps,
    per_device_train_batch_size: recipe.per_device_train_batch_size,
    gradient_accumulation_steps: recipe.gradient_accumulation_steps,
    gradient_checkpointing: true,
    learning_rate: recipe.learning_rate,
    lr_scheduler_type: recipe.lr_scheduler_type,
    warmup_steps: warmupSteps,
    adam_beta1: recipe.adam_beta1,
    adam_beta2: recipe.adam_beta2,
    adam_epsilon: recipe.adam_epsilon,
    weight_decay: recipe.weight_decay,
    max_grad_norm: recipe.max_grad_norm,
    save_strategy: saves ? 'steps' : 'no',
    ...(saves ? { save_steps: recipe.save_steps } : {}),
    logging_steps: 1,
    // MusicGen's own: the trainer wants them said.
    pad_token_id: 2048,
    decoder_start_token_id: 2048,
    ...(oneLine(prompt) === '' ? {} : { full_generation_sample_text: oneLine(prompt) }),
    report_to: 'none',
    seed: recipe.seed,
  };
}

/** Settings of a run that the trainer cannot be asked for, each a sentence for the README. */
function differences({ lora, recipe, base }: SoundBundleOptions): string[] {
  return [
    ...(lora.r !== 16 || lora.lora_alpha !== 16
      ? [
          `The trainer has rank 16 and alpha 16 written into it; the run here had rank ${lora.r} and alpha ${lora.lora_alpha}. They stand in its dreambooth_musicgen.py, at LoraConfig.`,
        ]
      : []),
    'It adapts the heads and the codes’ embeddings beside attention and feed-forward.',
    ...(recipe.random_crop
      ? ['A clip longer than the longest stretch is left out there, not cut at another place each time.']
      : []),
    ...(recipe.caption_dropout_rate > 0
      ? ['It never leaves the words out, so closeness to the words may be weaker.']
      : []),
    ...(recipe.eval_share > 0 ? ['No clips are kept aside for measuring: all are learnt.'] : []),
    ...(base.channels === 2 ? ['Its author has not tried it with stereo models.'] : []),
    'It begins anew: it reads no adapter to go on from.',
    'Random numbers and the order of clips differ, so the result is alike, not the same.',
  ];
}

function trainScript({ base }: SoundBundleOptions): string {
  const setBase =
    base.repository === null
      ? [
          '# The base: its repository on the model hub, or a folder.',
          'BASE="${BASE:?set it to the base, such as facebook/musicgen-small}"',
        ]
      : ['BASE="${BASE:-}"', `if [ -z "$BASE" ]; then BASE=${shellWord(base.repository)}; fi`];
  return [
    '#!/usr/bin/env bash',
    '# Trains the sound with musicgen-dreamboothing. README.md says how to get it.',
    'set -euo pipefail',
    'cd "$(dirname "$0")"',
    'TRAINER="${TRAINER:-musicgen-dreamboothing}"',
    ...setBase,
    'BASE="$BASE" python - <<\'END\'',
    'import json, os',
    'run = json.load(open("run.json"))',
    'run["model_name_or_path"] = os.environ["BASE"]',
    'json.dump(run, open("run-here.json", "w"), indent=2)',
    'END',
    'exec accelerate launch --num_processes=1 --num_machines=1 --mixed_precision=fp16 --dynamo_backend=no \\',
    '  "$TRAINER/dreambooth_musicgen.py" run-here.json',
    '',
  ].join('\n');
}

function skyYaml({ base, name }: SoundBundleOptions): string {
  return [
    `name: ${quoted(`sound-${slug(name, 'sound')}`)}`,
    'workdir: .',
    'resources:',
    '  disk_size: 100',
    '  any_of:',
    ...['L4', 'A10G', 'L40S', 'A100'].map((card) => `    - accelerators: ${card}:1`),
    'envs:',
    `  BASE: ${quoted(base.repository ?? '')}`,
    'setup: |',
    '  set -e',
    `  if [ ! -d ~/trainer ]; then git clone ${TRAINER} ~/trainer; fi`,
    `  git -C ~/trainer checkout --quiet ${TRAINER_COMMIT}`,
    '  if [ ! -d ~/venv ]; then python3 -m venv ~/venv; fi',
    '  . ~/venv/bin/activate',
    `  pip install torch torchaudio ${LIBRARIES}`,
    'run: |',
    '  set -e',
    '  . ~/venv/bin/activate',
    '  export TRAINER=~/trainer',
    '  bash train.sh',
    '',
  ].join('\n');
}

function readme(options: SoundBundleOptions): string {
  const { base, clips, name, steps, triggerWord } = options;
  const trigger = markdown(triggerWord);
  return [
    `# ${markdown(name) || 'A sound'}`,
    '',
    `Teaches a sound from ${clips.length} ${clips.length === 1 ? 'clip' : 'clips'} on ${markdown(base.name)} in ${steps} steps, with musicgen-dreamboothing, on any machine with an NVIDIA card.`,
    ...(trigger === '' ? [] : ['', `A word that calls it: ${trigger}`]),
    '',
    '**This is your music.** Whoever runs the machine that you copy this folder to can hear it. If somebody else made it, they should agree to it, and to what the sound will be used for.',
    '',
    '## On a machine with a card',
    '',
    '```bash',
    `git clone ${TRAINER} musicgen-dreamboothing`,
    `git -C musicgen-dreamboothing checkout ${TRAINER_COMMIT}`,
    'python3 -m venv venv && . venv/bin/activate   # Python 3.10 or 3.11',
    `pip install torch torchaudio ${LIBRARIES}`,
    base.repository === null ? 'BASE=facebook/musicgen-small bash train.sh' : 'bash train.sh',
    '```',
    '',
    'The sound is then in `output`, a PEFT folder. Another base, a folder for instance, is named by BASE=… in front. 16 GB of graphics memory are enough for the medium MusicGen at a batch of one.',
    '',
    '## On a rented machine, with SkyPilot',
    '',
    '```bash',
    'pip install "skypilot[aws]"   # or gcp, azure, runpod, …',
    `sky launch -c sound ${base.repository === null ? '--env BASE=facebook/musicgen-small ' : ''}sky.yaml`,
    'rsync -Pav sound:sky_workdir/output .',
    'sky down sound',
    '```',
    '',
    'The machine costs money until `sky down`.',
    '',
    '## What is in it',
    '',
    '- `data/`: the clips as WAV, evened in loudness, and their words in `metadata.jsonl`.',
    '- `run.json`: the settings of the run under the trainer’s names; `train.sh` starts it; `sky.yaml` does so with SkyPilot.',
    '',
    '## What is different there',
    '',
    ...differences(options).map((sentence) => `- ${sentence}`),
    '',
  ].join('\n');
}

/**
 * A folder that trains the same sound with musicgen-dreamboothing on another machine: the clips with their words, run.json with
 * the recipe's settings, train.sh, sky.yaml for SkyPilot, and a README. File contents by path; every name is made here, so that
 * no text of a person becomes a path, a command or a field. Throws UserError where there are no clips.
 */
export function makeSoundBundle(options: SoundBundleOptions): Map<string, Uint8Array<ArrayBuffer>> {
  const { clips } = options;
  if (clips.length === 0) throw new UserError('There are no clips to put into the bundle. Add some first.');
  const encoder = new TextEncoder();
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const rows = clips.map(({ file, bytes, words }, i) => {
    const stem = slug(file.replace(/\.[A-Za-z0-9]+$/, ''), 'clip');
    const name = `${String(i + 1).padStart(4, '0')}-${stem}.wav`;
    files.set(`data/${name}`, new Uint8Array(bytes));
    return JSON.stringify({ file_name: name, text: oneLine(words) });
  });
  const texts: [string, string][] = [
    ['data/metadata.jsonl', `${rows.join('\n')}\n`],
    ['run.json', `${JSON.stringify(trainerConfig(options), null, 2)}\n`],
    ['train.sh', trainScript(options)],
    ['sky.yaml', skyYaml(options)],
    ['README.md', readme(options)],
  ];
  for (const [path, text] of texts) files.set(path, encoder.encode(text));
  return files;
}
