import type { Prediction } from '../models/schedulers/process.ts';
import type { LookFamily } from './look-families.ts';
import { LOOK_FAMILIES } from './look-families.ts';

/** What kohya's metadata says of the pictures. */
export interface KohyaPicture {
  caption: string;
  repeats: number;
  /** Pixels [width, height] that it was trained at. */
  bucket: readonly [number, number];
}

/** What kohya's metadata says of a run; rates and steps as the trainer used them. */
export interface KohyaTraining {
  /** Milliseconds since 1970. */
  startedAt: number;
  finishedAt: number;
  /** Optimiser steps done, and planned. */
  steps: number;
  maxSteps: number;
  epoch: number;
  epochs: number;
  batchSize: number;
  accumulationSteps: number;
  learningRate: number;
  /** null where the text encoders were not trained. */
  textEncoderLearningRate: number | null;
  scheduler: string;
  warmupSteps: number;
  seed: number;
  maxGradNorm: number;
  noiseOffset: number;
  /** 0: none. */
  minSnrGamma: number;
  priorLossWeight: number;
  captionDropoutRate: number;
  shuffleCaption: boolean;
  flip: boolean;
  pictures: readonly KohyaPicture[];
  classPictures: number;
}

/** Everything that is written beside the tensors; all but the family may be missing. */
export interface LookFacts {
  /** Name of the look: title, and what A1111 shows. */
  name?: string;
  base?: { name: string; /** Hex SHA-256 of its file, where it is one file. */ sha256?: string };
  predictionType?: Prediction;
  /** Pixels a side. */
  resolution?: number;
  clipSkip?: number;
  triggerPhrase?: string;
  description?: string;
  author?: string;
  license?: string;
  tags?: readonly string[];
  /** Milliseconds since 1970; default now. */
  date?: number;
  training?: KohyaTraining;
  /** A small picture of what it does. */
  preview?: { type: 'image/png' | 'image/jpeg' | 'image/webp'; bytes: Uint8Array };
}

/** How Python writes a value. */
function python(value: number | boolean | string | null | undefined): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return String(value);
}

/** A number that is a float in Python: 16.0 for 16. */
function pythonFloat(value: number | null): string {
  return value !== null && Number.isInteger(value) ? `${value}.0` : python(value);
}

/** Times that each tag, the text between two commas, occurs in the captions, in lower case. */
export function tagFrequency(captions: readonly string[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const caption of captions) {
    for (const written of caption.split(',')) {
      const tag = written.trim().toLowerCase();
      if (tag !== '') counts.set(tag, (counts.get(tag) ?? 0) + 1);
    }
  }
  return Object.fromEntries(counts);
}

function trainingMetadata(training: KohyaTraining, name: string, resolution: number): Record<string, string> {
  const { pictures } = training;
  const views = pictures.reduce((sum, { repeats }) => sum + repeats, 0);
  const buckets = new Map<string, number>();
  for (const { bucket, repeats } of pictures) {
    const key = JSON.stringify(bucket);
    buckets.set(key, (buckets.get(key) ?? 0) + repeats);
  }
  const bucketInfo = {
    buckets: Object.fromEntries(
      [...buckets].map(([bucket, count], i) => [i, { resolution: JSON.parse(bucket) as number[], count }]),
    ),
  };
  const sides = pictures.flatMap(({ bucket }) => bucket);
  const counts = new Map<number, number>();
  for (const { repeats } of pictures) counts.set(repeats, (counts.get(repeats) ?? 0) + 1);
  // kohya's folders are called by their repeats.
  const folder = (repeats: number): string => `${repeats}_${name}`;
  const frequency = Object.fromEntries(
    [...counts.keys()].map((repeats) => [
      folder(repeats),
      tagFrequency(pictures.filter((picture) => picture.repeats === repeats).map(({ caption }) => caption)),
    ]),
  );
  const dirs = Object.fromEntries(
    [...counts].map(([repeats, count]) => [folder(repeats), { n_repeats: repeats, img_count: count }]),
  );
  const batches = Math.ceil(views / training.batchSize);
  const dataset = {
    is_dreambooth: true,
    batch_size_per_device: training.batchSize,
    num_train_images: views,
    num_reg_images: training.classPictures,
    resolution: [resolution, resolution],
    enable_bucket: true,
    min_bucket_reso: sides.length > 0 ? Math.min(...sides) : null,
    max_bucket_reso: sides.length > 0 ? Math.max(...sides) : null,
    tag_frequency: frequency,
    bucket_info: bucketInfo,
    subsets: [...counts].map(([repeats, count]) => ({
      img_count: count,
      num_repeats: repeats,
      flip_aug: training.flip,
      shuffle_caption: training.shuffleCaption,
      image_dir: folder(repeats),
      is_reg: false,
    })),
  };
  return {
    // A number that says which files come from one run.
    ss_session_id: python(Math.round(training.startedAt) % 4294967296),
    ss_training_started_at: pythonFloat(training.startedAt / 1000),
    ss_training_finished_at: pythonFloat(training.finishedAt / 1000),
    ss_steps: python(training.steps),
    ss_max_train_steps: python(training.maxSteps),
    ss_epoch: python(training.epoch),
    ss_num_epochs: python(training.epochs),
    ss_num_batches_per_epoch: python(batches),
    ss_num_train_images: python(views),
    ss_num_reg_images: python(training.classPictures),
    ss_batch_size_per_device: python(training.batchSize),
    ss_total_batch_size: python(training.batchSize * training.accumulationSteps),
    ss_gradient_accumulation_steps: python(training.accumulationSteps),
    ss_learning_rate: pythonFloat(training.learningRate),
    ss_unet_lr: pythonFloat(training.learningRate),
    ss_text_encoder_lr: pythonFloat(training.textEncoderLearningRate),
    ss_lr_scheduler: training.scheduler,
    ss_lr_warmup_steps: python(training.warmupSteps),
    ss_optimizer: 'torch.optim.adamw.AdamW',
    ss_max_grad_norm: pythonFloat(training.maxGradNorm),
    ss_seed: python(training.seed),
    ss_mixed_precision: 'no',
    ss_noise_offset: training.noiseOffset > 0 ? pythonFloat(training.noiseOffset) : 'None',
    ss_min_snr_gamma: training.minSnrGamma > 0 ? pythonFloat(training.minSnrGamma) : 'None',
    ss_prior_loss_weight: pythonFloat(training.priorLossWeight),
    ss_caption_dropout_rate: pythonFloat(training.captionDropoutRate),
    ss_shuffle_caption: python(training.shuffleCaption),
    ss_flip_aug: python(training.flip),
    ss_cache_latents: 'True',
    ss_enable_bucket: 'True',
    ss_min_bucket_reso: python(dataset.min_bucket_reso),
    ss_max_bucket_reso: python(dataset.max_bucket_reso),
    ss_bucket_info: JSON.stringify(bucketInfo),
    ss_tag_frequency: JSON.stringify(frequency),
    ss_dataset_dirs: JSON.stringify(dirs),
    ss_reg_dataset_dirs: '{}',
    ss_datasets: JSON.stringify([dataset]),
  };
}

export interface NetworkSizes {
  rank: number;
  alpha: number;
  /** Of convolutions larger than 1 by 1, where there are any. */
  conv?: { rank: number; alpha: number };
}

function base64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** kohya's ss_ fields; those that sd-scripts keeps even with --no_metadata are always there. */
export function ssMetadata(family: LookFamily, sizes: NetworkSizes, facts: LookFacts): Record<string, string> {
  const v = facts.predictionType === 'v_prediction';
  const entry = LOOK_FAMILIES[family];
  const resolution = facts.resolution ?? entry.resolution(v);
  const { conv } = sizes;
  return {
    ss_v2: python(entry.isV2),
    ss_base_model_version: entry.baseModelVersion(v),
    ss_network_module: 'networks.lora',
    ss_network_dim: python(sizes.rank),
    ss_network_alpha: pythonFloat(sizes.alpha),
    ss_network_args: JSON.stringify(conv ? { conv_dim: String(conv.rank), conv_alpha: String(conv.alpha) } : {}),
    ss_resolution: `(${resolution}, ${resolution})`,
    ss_clip_skip: python(facts.clipSkip),
    ...(facts.name !== undefined && { ss_output_name: facts.name }),
    ...(facts.base && { ss_sd_model_name: facts.base.name }),
    ...(facts.base?.sha256 !== undefined && {
      ss_sd_model_hash: facts.base.sha256.slice(0, 8),
      ss_new_sd_model_hash: facts.base.sha256,
    }),
    ss_training_comment: python(facts.description),
    ss_sd_scripts_commit_hash: 'None',
    ...(facts.training && trainingMetadata(facts.training, facts.name ?? 'lora', resolution)),
  };
}

/** Stability's ModelSpec 1.0.1 (https://github.com/Stability-AI/ModelSpec), as sd-scripts fills it in. */
export function modelSpec(family: LookFamily, facts: LookFacts): Record<string, string> {
  const { predictionType = 'epsilon' } = facts;
  const v = predictionType === 'v_prediction';
  const entry = LOOK_FAMILIES[family];
  const resolution = facts.resolution ?? entry.resolution(v);
  const fields: Record<string, string | undefined> = {
    sai_model_spec: '1.0.1',
    architecture: `${entry.architecture(v)}/lora`,
    implementation: entry.implementation,
    title: facts.name ?? 'LoRA',
    resolution: `${resolution}x${resolution}`,
    date: new Date(facts.date ?? facts.training?.finishedAt ?? Date.now()).toISOString().slice(0, 19),
    description: facts.description,
    author: facts.author,
    license: facts.license,
    tags: facts.tags && facts.tags.length > 0 ? facts.tags.join(', ') : undefined,
    trigger_phrase: facts.triggerPhrase,
    usage_hint: facts.triggerPhrase ? `Use the words “${facts.triggerPhrase}” in the prompt.` : undefined,
    // ModelSpec has no word for flow matching: the architecture says it.
    prediction_type: { epsilon: 'epsilon', v_prediction: 'v', flow_prediction: undefined }[predictionType],
    encoder_layer: facts.clipSkip === undefined ? undefined : String(facts.clipSkip),
    thumbnail: facts.preview && `data:${facts.preview.type};base64,${base64(facts.preview.bytes)}`,
  };
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) =>
      value === undefined || value === '' ? [] : [[`modelspec.${name}`, value]],
    ),
  );
}
