import { UserError } from '../../common/errors.ts';
import type { ActivationName } from '../layers/activations.ts';
import { parseActivation } from '../layers/activations.ts';
import { ConfigReader } from '../files/config-reader.ts';
import type { EncodecConfig } from '../encodec/encodec-config.ts';
import { parseEncodecConfig } from '../encodec/encodec-config.ts';
import { isJsonObject } from '../../common/json.ts';
import type { T5Config } from '../t5/encoder.ts';
import { parseT5Config } from '../t5/encoder.ts';

/** The language model over codes (Copet et al., arXiv:2306.05284) as its part of config.json states it. */
export interface MusicgenDecoderConfig {
  /** Codes; the embeddings have one row more, for the token that stands where there is no code. */
  vocabSize: number;
  /** Of all channels together. */
  codebooks: number;
  channels: 1 | 2;
  hiddenSize: number;
  layers: number;
  heads: number;
  headDim: number;
  intermediateSize: number;
  activation: ActivationName;
  /** Steps that it was made for. */
  maxPositions: number;
  padId: number;
  /** Numbers a text token's state has. */
  textHiddenSize: number;
}

/** What generation_config.json says, with transformers' defaults for what it leaves out. */
export interface MusicgenGeneration {
  doSample: boolean;
  /** 1 is none. */
  guidanceScale: number;
  temperature: number;
  /** 0 is all. */
  topK: number;
  topP: number;
  /** Tokens of a codebook with the start token: one more than steps. */
  maxLength: number;
}

export interface MusicgenConfig {
  text: T5Config;
  audio: EncodecConfig;
  decoder: MusicgenDecoderConfig;
  /** What a decoder's input begins with, and what stands where the delay leaves no code. */
  startId: number;
  generation: MusicgenGeneration;
}

const FILE = 'config.json';
const GENERATION_FILE = 'generation_config.json';

/** All decoders' norms have it; no field says so. */
export const DECODER_EPS = 1e-5;

function parseDecoder(config: ConfigReader, textHiddenSize: number): MusicgenDecoderConfig {
  config.expect({ model_type: 'musicgen_decoder' });
  const channels = config.size('audio_channels', 1);
  if (channels !== 1 && channels !== 2) throw config.wrong('audio_channels', 'supported are 1 and 2');
  const codebooks = config.size('num_codebooks', 4);
  if (codebooks % channels !== 0) throw config.wrong('num_codebooks', 'both channels must have as many');
  const hiddenSize = config.size('hidden_size', 1024);
  if (hiddenSize < 4) throw config.wrong('hidden_size', 'at least 4 are needed');
  const heads = config.size('num_attention_heads', 16);
  if (hiddenSize % heads !== 0 || hiddenSize / heads > 256)
    throw config.wrong('num_attention_heads', `heads must divide hidden_size ${hiddenSize} into at most 256 each`);
  if (config.has('cross_attention_hidden_size') && textHiddenSize !== hiddenSize) {
    throw config.wrong(
      'cross_attention_hidden_size',
      `it must be left out where the text encoder's d_model is ${textHiddenSize} and hidden_size ${hiddenSize}`,
    );
  }
  const vocabSize = config.size('vocab_size', 2048);
  const padId = tokenId(config, 'pad_token_id', vocabSize, 2048);
  if (padId === undefined) throw config.wrong('pad_token_id', 'a token is needed');
  // Scaled embeddings are a field that transformers reads and does not use.
  return {
    vocabSize,
    codebooks,
    channels,
    hiddenSize,
    layers: config.size('num_hidden_layers', 24),
    heads,
    headDim: hiddenSize / heads,
    intermediateSize: config.size('ffn_dim', 4096),
    activation: parseActivation(config, 'activation_function', config.values['activation_function'] ?? 'gelu'),
    maxPositions: config.size('max_position_embeddings', 2048),
    padId,
    textHiddenSize,
  };
}

/** A token that the embeddings have a row for; undefined where the field is null, or missing without a default. */
function tokenId(config: ConfigReader, field: string, vocabSize: number, fallback?: number): number | undefined {
  const value = field in config.values ? config.values[field] : fallback;
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > vocabSize)
    throw config.wrong(field, `a token from 0 to ${vocabSize} is needed`);
  return value;
}

function parseGeneration(config: ConfigReader): MusicgenGeneration {
  const at = (name: string, fallback: number, from: number, to = Infinity): number => {
    const value = config.number(name, fallback);
    if (value < from || value > to) throw config.wrong(name, `a number from ${from} is needed`);
    return value;
  };
  const temperature = at('temperature', 1, 0);
  return {
    doSample: config.flag('do_sample', false),
    guidanceScale: at('guidance_scale', 1, 0),
    temperature,
    topK: Math.floor(at('top_k', 50, 0)),
    topP: at('top_p', 1, 0, 1),
    maxLength: config.size('max_length', 20),
  };
}

/**
 * MusicgenForConditionalGeneration's config.json and generation_config.json (undefined where there is none).
 * Throws UserError, naming file and field, for what is missing, wrong or not supported.
 */
export function parseMusicgenConfig(json: unknown, generationJson: unknown): MusicgenConfig {
  const whole = new ConfigReader(json, FILE);
  if (whole.values['model_type'] !== 'musicgen')
    throw whole.wrong('model_type', 'supported for a sound is musicgen (its variants with a melody are not)');
  const part = (name: string): ConfigReader => {
    const values = whole.values[name];
    if (!isJsonObject(values)) throw whole.wrong(name, 'the description of a model is needed');
    return new ConfigReader(values, `${FILE} (${name})`);
  };
  const text = parseT5Config(part('text_encoder'));
  const audio = parseEncodecConfig(part('audio_encoder'));
  const decoderPart = part('decoder');
  const decoder = parseDecoder(decoderPart, text.hiddenSize);
  const generation = new ConfigReader(generationJson ?? {}, GENERATION_FILE);
  const { vocabSize } = decoder;
  const startId =
    tokenId(generation, 'decoder_start_token_id', vocabSize) ??
    tokenId(decoderPart, 'decoder_start_token_id', vocabSize) ??
    tokenId(generation, 'bos_token_id', vocabSize) ??
    tokenId(decoderPart, 'bos_token_id', vocabSize, 2048);
  if (startId === undefined) {
    throw new UserError(
      `${GENERATION_FILE} says no decoder_start_token_id, and ${decoderPart.file} no bos_token_id; one of them is needed.`,
    );
  }
  return { text, audio, decoder, startId, generation: parseGeneration(generation) };
}
