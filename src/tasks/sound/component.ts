import { UserError } from '../../common/errors.ts';
import { Program } from '../../engine/program.ts';
import { IDLE_STEP } from '../../engine/wgsl.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import type { TensorData } from '../../models/files/safetensors.ts';
import { decoderInputs } from '../../models/musicgen/decoder.ts';
import { TensorFile } from '../tensor-file.ts';
import { SoundCodec } from './codec.ts';
import { logitsGraph } from './graphs.ts';
import { maskedTokens } from './prepared.ts';
import type { SoundModel } from './model.ts';
import { TextEncoder } from './text-encoder.ts';

type Runner = (model: SoundModel, file: TensorFile) => Promise<TensorData[]>;

const f32 = (name: string, shape: readonly number[], data: Float32Array): TensorData => ({
  name,
  dtype: 'F32',
  shape,
  data,
});

/** Row `i` of rows of `length` numbers. */
const row = <T extends Int32Array | Float32Array>(values: T, i: number, length: number): T =>
  values.subarray(i * length, (i + 1) * length) as T;

async function textEncoder(model: SoundModel, file: TensorFile): Promise<TensorData[]> {
  const ids = await file.integers('input_ids', [undefined, undefined]);
  const [texts, length] = ids.shape as [number, number];
  const mask = await file.integers('attention_mask', [texts, length]);
  const { hiddenSize } = model.base.config.text;
  const out = new Float32Array(texts * length * hiddenSize);
  const encoder = new TextEncoder(model.base);
  try {
    for (let i = 0; i < texts; i++) {
      const counted = row(mask.values, i, length);
      const tokens = maskedTokens(row(ids.values, i, length), counted, i);
      if (tokens.length === 0) continue;
      const { states } = await encoder.encodeIds(tokens);
      out.set(states, (i * length + counted.indexOf(1)) * hiddenSize);
    }
  } finally {
    encoder.release();
  }
  return [f32('last_hidden_state', [texts, length, hiddenSize], out)];
}

async function decoder(model: SoundModel, file: TensorFile): Promise<TensorData[]> {
  const { base } = model;
  const { decoder: config, text } = base.config;
  const { codebooks, vocabSize } = config;
  const given = await file.integers('decoder_input_ids', [undefined, codebooks, undefined]);
  const [rows, , length] = given.shape as [number, number, number];
  const unknown = given.values.find((id) => id < 0 || id > vocabSize);
  if (unknown !== undefined)
    throw new UserError(`decoder_input_ids holds ${unknown}; codes are from 0 to ${vocabSize}.`);
  const states = await file.floats('encoder_hidden_states', [rows, undefined, text.hiddenSize]);
  const textLength = states.shape[1]!;
  const mask = await file.integers('encoder_attention_mask', [rows, textLength]);
  const ids = Array.from({ length: codebooks }, (_, k) =>
    Array.from({ length: rows }, (__, r) => Array.from(row(given.values, r * codebooks + k, length))).flat(),
  );
  const shape = { rows, length, textLength };
  await base.load('decoder');
  const { buffers, hook } = model.adapter;
  const program = await Program.build(base.device, base.planOf(logitsGraph(base.graphOptions(hook), shape)), {
    weights: base,
    ...(buffers && { adapter: buffers }),
  });
  try {
    const inputs = decoderInputs(shape, { ids, textStates: states.values, textMask: mask.values });
    const outputs = await program.run(inputs, IDLE_STEP);
    const logits = new Float32Array(rows * codebooks * length * vocabSize);
    const each = length * vocabSize;
    for (let k = 0; k < codebooks; k++) {
      const one = outputs[`logits.${k}`]!;
      for (let r = 0; r < rows; r++) logits.set(row(one, r, each), (r * codebooks + k) * each);
    }
    return [f32('logits', [rows, codebooks, length, vocabSize], logits)];
  } finally {
    program.destroy();
  }
}

async function audioEncoder(model: SoundModel, file: TensorFile): Promise<TensorData[]> {
  const { base } = model;
  const { channels, codebooks } = base.config.decoder;
  const { values, shape } = await file.floats('input_values', [undefined, channels, undefined]);
  const [rows, , samples] = shape as [number, number, number];
  const codec = new SoundCodec(base);
  try {
    const codes: number[] = [];
    let frames = 0;
    for (let i = 0; i < rows; i++) {
      const sound = Array.from({ length: channels }, (_, c) => row(values, i * channels + c, samples));
      const made = await codec.encode(sound);
      codes.push(...made.codes);
      ({ frames } = made);
    }
    const data = BigInt64Array.from(codes, BigInt);
    return [{ name: 'audio_codes', dtype: 'I64', shape: [rows, codebooks, frames], data }];
  } finally {
    codec.release();
  }
}

async function audioDecoder(model: SoundModel, file: TensorFile): Promise<TensorData[]> {
  const { base } = model;
  const { channels, codebooks, vocabSize } = base.config.decoder;
  const { values, shape } = await file.integers('audio_codes', [undefined, codebooks, undefined]);
  const [rows, , frames] = shape as [number, number, number];
  const unknown = values.find((code) => code < 0 || code >= vocabSize);
  if (unknown !== undefined) throw new UserError(`audio_codes holds ${unknown}; codes are from 0 to ${vocabSize - 1}.`);
  const codec = new SoundCodec(base);
  try {
    const samples = frames * base.frameSamples;
    const out = new Float32Array(rows * channels * samples);
    for (let i = 0; i < rows; i++) {
      const sound = await codec.decode(row(values, i, codebooks * frames));
      sound.forEach((channel, c) => out.set(channel, (i * channels + c) * samples));
    }
    return [f32('audio_values', [rows, channels, samples], out)];
  } finally {
    codec.release();
  }
}

const RUNNERS: Readonly<Record<string, Runner>> = {
  text_encoder: textEncoder,
  decoder,
  audio_encoder: audioEncoder,
  audio_decoder: audioDecoder,
};

/** Runs a part of the model by itself on tensors from a file, for comparison with the reference libraries. */
export async function runComponent(
  model: SoundModel,
  component: string,
  folder: ModelFolder,
  file: string,
): Promise<TensorData[]> {
  const run = Object.hasOwn(RUNNERS, component) ? RUNNERS[component] : undefined;
  if (!run) throw new UserError(`A sound has no component “${component}”. It has: ${Object.keys(RUNNERS).join(', ')}.`);
  return run(model, await TensorFile.open(folder, file));
}
