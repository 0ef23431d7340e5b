/**
 * A folder of MusicGen-small's shapes with random f16 weights, 1.2 GB, a prepared batch of 30 seconds and jobs to train on it
 * (job.json) and to plan with (npm run headless -- plan):
 *
 *   node bench/node.mjs bench/sound/random-folder.ts FOLDER [SECONDS] [LAYERS] && npm run headless -- train FOLDER/job.json --out OUT
 *
 * It has no tokenizer: the batch's words are token ids.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSafetensors } from '../../src/models/files/safetensors.ts';
import { delayedLabels } from '../../src/models/musicgen/delay.ts';
import { parseMusicgenConfig } from '../../src/models/musicgen/musicgen-config.ts';
import { POSITIONS } from '../../src/models/musicgen/decoder.ts';
import { codecWeights } from '../../src/tasks/sound/codec-graphs.ts';
import { logitsGraph, textGraph } from '../../src/tasks/sound/graphs.ts';
import { fileTensors } from '../look/sd15.ts';
import { writeRandomWeights } from '../random-weights.ts';
import { generator } from '../work.ts';

const [folder, seconds = '30', layers = '24'] = process.argv.slice(2);
if (folder === undefined)
  throw new Error('Say where to: node bench/node.mjs bench/sound/random-folder.ts FOLDER [SECONDS] [LAYERS]');
const json = (path: string, value: unknown): void => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);

/** The fields of the published config.json that are not the classes' defaults. */
const CONFIG = {
  model_type: 'musicgen',
  architectures: ['MusicgenForConditionalGeneration'],
  text_encoder: {
    model_type: 't5',
    vocab_size: 32128,
    d_model: 768,
    d_kv: 64,
    d_ff: 3072,
    num_layers: 12,
    num_heads: 12,
    feed_forward_proj: 'relu',
  },
  audio_encoder: {
    model_type: 'encodec',
    sampling_rate: 32_000,
    upsampling_ratios: [8, 5, 4, 4],
    num_filters: 64,
    hidden_size: 128,
    codebook_size: 2048,
    codebook_dim: 128,
    target_bandwidths: [2.2],
    use_causal_conv: false,
    use_conv_shortcut: false,
    audio_channels: 1,
  },
  decoder: {
    model_type: 'musicgen_decoder',
    vocab_size: 2048,
    hidden_size: 1024,
    ffn_dim: 4096,
    num_hidden_layers: Number(layers),
    num_attention_heads: 16,
    num_codebooks: 4,
    audio_channels: 1,
    activation_function: 'gelu',
    max_position_embeddings: 2048,
    pad_token_id: 2048,
    bos_token_id: 2048,
  },
};

mkdirSync(folder, { recursive: true });
json(join(folder, 'config.json'), CONFIG);
const GENERATION = { decoder_start_token_id: 2048, do_sample: true, guidance_scale: 3, max_length: 1500, top_k: 250 };
json(join(folder, 'generation_config.json'), GENERATION);
const config = parseMusicgenConfig(CONFIG, GENERATION);
const options = { config, dtypeOf: () => 'f16' as const, maxBinding: Infinity };
const graphs = [
  textGraph(options, { texts: 1, length: 1 }),
  codecWeights(options),
  logitsGraph(options, { rows: 1, length: 1, textLength: 1 }),
];
const tensors = graphs.flatMap(fileTensors).flatMap(({ name, shape }) => {
  // What follows from other tensors is in no file; the spread table of distances stands for the one that it is made of.
  if (name === POSITIONS) return [];
  // A convolution over time is one over pictures of one row, but not in files.
  if (name.startsWith('audio_encoder') && shape.length === 4) return [{ name, shape: shape.toSpliced(2, 1) }];
  if (!name.includes('#')) return [{ name, shape }];
  const { buckets, heads } = config.text;
  return name.endsWith('#distances') ? [{ name: name.slice(0, name.indexOf('#')), shape: [buckets, heads] }] : [];
});
writeRandomWeights(join(folder, 'model.safetensors'), tensors);

const random = generator(2);
const frames = Math.round(Number(seconds) * 50);
const codes = Int32Array.from({ length: 4 * frames }, () => Math.floor(2048 * random()));
const labels = delayedLabels(config.decoder, codes, 2048);
writeFileSync(
  join(folder, 'batch.safetensors'),
  writeSafetensors([
    { name: 'input_ids', dtype: 'I64', shape: [1, 16], data: Int32Array.from({ length: 16 }, (_, i) => 100 + i) },
    { name: 'attention_mask', dtype: 'I64', shape: [1, 16], data: new Int32Array(16).fill(1) },
    { name: 'labels', dtype: 'I64', shape: [1, labels.length / 4, 4], data: labels },
  ]),
);
json(join(folder, 'job.json'), {
  task: 'sound',
  base: '.',
  data: 'batch.safetensors',
  recipe: {
    max_steps: 3,
    per_device_train_batch_size: 1,
    gradient_accumulation_steps: 1,
    save_steps: 0,
    sample_steps: 0,
  },
});
