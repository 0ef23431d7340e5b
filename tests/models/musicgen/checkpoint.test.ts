import { describe, expect, test } from 'vitest';
import { codesOf } from '../../../src/engine/weight-formats.ts';
import { Graph } from '../../../src/engine/graph.ts';
import { ModelBuilder } from '../../../src/models/layers/builder.ts';
import { CODEC_PARTS, codecPart } from '../../../src/models/encodec/encodec.ts';
import { Checkpoint } from '../../../src/models/files/checkpoint.ts';
import { MemoryFolder } from '../../../src/models/files/folder.ts';
import type { TensorData } from '../../../src/models/files/safetensors.ts';
import { writeSafetensors } from '../../../src/models/files/safetensors.ts';
import { parseMusicgenConfig } from '../../../src/models/musicgen/musicgen-config.ts';
import {
  codebookLogits,
  declareDecoder,
  musicgenDecoder,
  musicgenModules,
  positionTable,
} from '../../../src/models/musicgen/decoder.ts';
import { foldWeightNorm } from '../../../src/models/encodec/weight-norm.ts';
import { MusicgenCheckpoint } from '../../../src/models/musicgen/checkpoint.ts';
import { declareT5, t5Encoder } from '../../../src/models/t5/encoder.ts';
import { diskFolder, FIXTURES, fixture } from '../../support/disk-folder.ts';

const NAME = 'sound-mono/base';
const folder = diskFolder(`${FIXTURES}${NAME}`);
const config = fixture<Record<string, Record<string, unknown>>>(`${NAME}/config.json`);
const generation = fixture<Record<string, unknown>>(`${NAME}/generation_config.json`);

/** Every weight that the model's graphs read. */
function allWeights(model: MusicgenCheckpoint): Graph {
  const graph = new Graph();
  const b = new ModelBuilder({ graph, dtypeOf: (name) => model.dtypeOf(name, 'stored') });
  const { text, audio, decoder } = model.config;
  const shape = { rows: 1, length: 1, textLength: 1 };
  const hidden = musicgenDecoder(b, decoder, declareDecoder(graph, decoder, shape, { training: false }), shape);
  for (let k = 0; k < decoder.codebooks; k++) codebookLogits(b, decoder, hidden, k);
  const texts = { texts: 1, length: 1 };
  t5Encoder(b, text, 'text_encoder', declareT5(graph, 'text_encoder', texts), texts);
  for (const part of CODEC_PARTS) {
    const own = new Graph();
    const builder = new ModelBuilder({ graph: own, dtypeOf: (name) => model.dtypeOf(name, 'stored') });
    codecPart(builder, audio, 'audio_encoder', part, { frames: 20, windows: 1, codebooks: 4 });
    for (const [key, { spec }] of own.weights) graph.weight(key, spec);
  }
  return graph;
}

async function bytesOf(model: MusicgenCheckpoint): Promise<Map<string, Uint8Array>> {
  const all = new Map<string, Uint8Array>();
  for (const { spec } of allWeights(model).weights.values()) {
    for (const { name, shape, kernel } of spec.sources) {
      const pieces: Uint8Array[] = [];
      for await (const piece of model.stream(name, shape, 'f32', kernel)) pieces.push(codesOf(piece));
      all.set(name, Buffer.concat(pieces));
    }
  }
  return all;
}

/** The fixture's folder with its tensors changed or called otherwise; undefined leaves one out. */
async function changed(rename: (tensor: TensorData) => TensorData | undefined): Promise<MemoryFolder> {
  const checkpoint = await Checkpoint.open(folder);
  const tensors: TensorData[] = [];
  for (const { name, dtype, shape } of checkpoint.tensors.values()) {
    const tensor = rename({ name, dtype, shape, data: await checkpoint.read(name) });
    if (tensor) tensors.push(tensor);
  }
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const file of folder.files) files.set(file, await folder.read(file));
  files.set('model.safetensors', writeSafetensors(tensors));
  return new MemoryFolder('changed', files);
}

test('the fixture holds every weight that the graphs ask for', async () => {
  const model = await MusicgenCheckpoint.open(folder);
  expect(() => model.requireWeights(allWeights(model))).not.toThrow();
});

test('both forms of weight normalisation, and an older name of the embedding, are the same model', async () => {
  const model = await MusicgenCheckpoint.open(folder);
  const older = await MusicgenCheckpoint.open(
    await changed((tensor) => ({
      ...tensor,
      name: tensor.name
        .replace('.parametrizations.weight.original0', '.weight_g')
        .replace('.parametrizations.weight.original1', '.weight_v')
        .replace('text_encoder.shared.weight', 'text_encoder.encoder.embed_tokens.weight'),
    })),
  );
  const [one, other] = [await bytesOf(model), await bytesOf(older)];
  expect([...one.keys()].filter((name) => name.endsWith('.conv.weight')).length).toBeGreaterThan(10);
  for (const [name, bytes] of one) expect(Buffer.compare(bytes, other.get(name)!), name).toBe(0);
  expect(older.parameters()).toBe(model.parameters());
});

test('rows of a normalised weight have the length that is stored, taps before channels', () => {
  const v = Float32Array.from({ length: 2 * 3 * 4 }, (_, i) => Math.sin(i));
  const folded = foldWeightNorm([2, -0.5], v, { rows: 2, channels: 3, taps: 4 });
  const length = (row: number): number => Math.hypot(...folded.subarray(12 * row, 12 * row + 12));
  expect([length(0), length(1)].map((value) => value.toFixed(6))).toEqual(['2.000000', '0.500000']);
  // [row, tap, channel] out of [row, channel, tap]
  expect(folded[3 * 2 + 1]! / folded[0]!).toBeCloseTo(v[4 + 2]! / v[0]!, 5);
  expect(Math.sign(folded[12]!)).toBe(-Math.sign(v[12]!));
  expect(Array.from(foldWeightNorm(undefined, v, { rows: 2, channels: 3, taps: 4 }).subarray(0, 4))).toEqual([
    v[0],
    v[4],
    v[8],
    v[1],
  ]);
});

test('a missing tensor and one of another shape are named', async () => {
  const gone = await MusicgenCheckpoint.open(
    await changed((t) => (t.name === 'decoder.lm_heads.2.weight' ? undefined : t)),
  );
  expect(() => gone.requireWeights(allWeights(gone))).toThrow('no tensor decoder.lm_heads.2.weight');
  const g = 'audio_encoder.encoder.layers.0.conv.parametrizations.weight.original0';
  const wrong = await MusicgenCheckpoint.open(await changed((t) => (t.name === g ? { ...t, shape: [2, 2, 1] } : t)));
  expect(() => wrong.requireWeights(allWeights(wrong))).toThrow(
    `${g}” in model.safetensors of “changed” has the shape [2, 2, 1]`,
  );
});

test('positions are all cosines, then all sines, and an odd column of zeros', () => {
  const table = positionTable(3, 5);
  expect(Array.from(table.subarray(10), (value) => value.toFixed(5))).toEqual(
    [Math.cos(2), Math.cos(2e-4), Math.sin(2), Math.sin(2e-4), 0].map((value) => value.toFixed(5)),
  );
});

test('LoRA is offered the decoder’s modules alone, heads and embeddings among them', async () => {
  const model = await MusicgenCheckpoint.open(folder);
  const modules = musicgenModules(model.config.decoder);
  const names = modules.map(({ name }) => name);
  expect(names).toContain('enc_to_dec_proj');
  expect(names.filter((name) => name.startsWith('decoder.lm_heads.'))).toHaveLength(4);
  expect(modules.filter(({ embedding }) => embedding).map(({ name }) => name)).toEqual(
    Array.from({ length: 4 }, (_, k) => `decoder.model.decoder.embed_tokens.${k}`),
  );
  const layer = names.filter((name) => name.startsWith('decoder.model.decoder.layers.1.'));
  expect(layer.map((name) => name.slice('decoder.model.decoder.layers.1.'.length)).sort()).toEqual(
    ['encoder_attn', 'self_attn']
      .flatMap((part) => ['k_proj', 'out_proj', 'q_proj', 'v_proj'].map((projection) => `${part}.${projection}`))
      .concat('fc1', 'fc2')
      .sort(),
  );
  expect(names.filter((name) => /text_encoder|audio_encoder/.test(name))).toEqual([]);
});

describe('what is not supported is refused, with file and field', () => {
  test.each([
    ['', 'model_type', 'musicgen_melody', 'config.json says model_type is “musicgen_melody”'],
    ['text_encoder', 'model_type', 'bert', 'config.json (text_encoder) says model_type is “bert”'],
    ['text_encoder', 'feed_forward_proj', 'gated-prelu', 'feed_forward_proj'],
    ['text_encoder', 'feed_forward_proj', 'gated-gelu-x', 'feed_forward_proj'],
    ['text_encoder', 'relative_attention_max_distance', 4, 'relative_attention_max_distance'],
    ['text_encoder', 'd_kv', 300, 'd_kv'],
    [
      'audio_encoder',
      'norm_type',
      'time_group_norm',
      'config.json (audio_encoder) says norm_type is “time_group_norm”',
    ],
    ['audio_encoder', 'normalize', true, 'normalize is true'],
    ['audio_encoder', 'chunk_length_s', 1, 'chunk_length_s is 1'],
    ['audio_encoder', 'codebook_dim', 7, 'codebook_dim'],
    ['audio_encoder', 'audio_channels', 2, 'audio_channels'],
    ['audio_encoder', 'num_lstm_layers', 0, 'num_lstm_layers'],
    ['audio_encoder', 'num_residual_layers', -1, 'num_residual_layers'],
    ['audio_encoder', 'pad_mode', 'circular', 'pad_mode'],
    ['audio_encoder', 'trim_right_ratio', 0.5, 'trim_right_ratio'],
    ['audio_encoder', 'upsampling_ratios', [], 'upsampling_ratios'],
    ['audio_encoder', 'target_bandwidths', [0.001], 'target_bandwidths'],
    ['decoder', 'activation_function', 'xielu', 'activation_function'],
    ['decoder', 'audio_channels', 3, 'audio_channels is 3'],
    ['decoder', 'num_attention_heads', 7, 'num_attention_heads'],
    ['decoder', 'cross_attention_hidden_size', 20, 'cross_attention_hidden_size'],
    ['decoder', 'pad_token_id', 33, 'pad_token_id is 33'],
    ['decoder', 'model_type', 'opt', 'config.json (decoder) says model_type is “opt”'],
  ])('%s %s %j', (part, field, value, message) => {
    const json =
      part === '' ? { ...config, [field]: value } : { ...config, [part]: { ...config[part], [field]: value } };
    expect(() => parseMusicgenConfig(json, generation)).toThrow(message);
  });

  test('a part that is missing', () => {
    expect(() => parseMusicgenConfig({ ...config, audio_encoder: undefined }, generation)).toThrow('audio_encoder');
  });

  test('a stereo decoder with an odd number of codebooks', () => {
    const json = { ...config, decoder: { ...config['decoder'], audio_channels: 2, num_codebooks: 3 } };
    expect(() => parseMusicgenConfig(json, generation)).toThrow('num_codebooks is 3; both channels must have as many');
  });

  test('more codebooks than the codec has, where it is used', async () => {
    const { config: whole } = await MusicgenCheckpoint.open(folder);
    const b = new ModelBuilder({ graph: new Graph(), dtypeOf: () => 'f32' });
    const shape = { frames: 20, windows: 1, codebooks: 5 };
    expect(() => {
      codecPart(b, whole.audio, 'audio_encoder', 'encoder.codes', shape);
    }).toThrow('5 codebooks a channel');
  });

  test('a folder of another kind', async () => {
    await expect(MusicgenCheckpoint.open(new MemoryFolder('empty', new Map()))).rejects.toThrow('no config.json');
  });
});

describe('the start token', () => {
  const decoder = config['decoder']!;
  const startId = (fields: object, said: object | undefined): number =>
    parseMusicgenConfig({ ...config, decoder: { ...decoder, ...fields } }, said).startId;
  test('is generation_config’s, else the decoder’s, else what a text begins with', () => {
    expect(startId({ decoder_start_token_id: 4 }, { decoder_start_token_id: 5 })).toBe(5);
    expect(startId({ decoder_start_token_id: 4 }, { decoder_start_token_id: null })).toBe(4);
    expect(startId({ decoder_start_token_id: null }, { bos_token_id: 6 })).toBe(6);
    expect(startId({ bos_token_id: 7 }, undefined)).toBe(7);
    expect(() => startId({ bos_token_id: null }, {})).toThrow('decoder_start_token_id');
  });
});

test('what generation_config leaves out is what transformers takes for it', () => {
  const { generation: said } = parseMusicgenConfig(config, { decoder_start_token_id: 32 });
  expect(said).toEqual({ doSample: false, guidanceScale: 1, temperature: 1, topK: 50, topP: 1, maxLength: 20 });
});
