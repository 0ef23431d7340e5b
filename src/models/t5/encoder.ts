import { UserError } from '../../common/errors.ts';
import type { Graph } from '../../engine/graph.ts';
import { binary, operand } from '../../engine/ops/expression.ts';
import type { InputData } from '../../engine/program.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { ActivationName } from '../layers/activations.ts';
import { ACTIVATIONS, parseActivation } from '../layers/activations.ts';
import type { ModelBuilder, Projection } from '../layers/builder.ts';
import type { ConfigReader } from '../files/config-reader.ts';
import { maskRanges } from '../layers/ranges.ts';

/** The encoder of a T5 (Raffel et al., arXiv:1910.10683) as its config.json states it. */
export interface T5Config {
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  headDim: number;
  /** Distances between tokens that are told apart, both directions together, and the one beyond which all are alike. */
  buckets: number;
  maxDistance: number;
  eps: number;
  activation: ActivationName;
  /** wi_0 is the gate of wi_1 (T5 1.1). */
  gated: boolean;
}

/** Throws UserError, naming the field, for what is missing, wrong or not supported. */
export function parseT5Config(config: ConfigReader): T5Config {
  config.expect({ model_type: 't5' });
  const headDim = config.size('d_kv', 64);
  if (headDim > 256) throw config.wrong('d_kv', 'heads of at most 256 are supported');
  const buckets = config.size('relative_attention_num_buckets', 32);
  const exact = Math.floor(Math.floor(buckets / 2) / 2);
  if (exact < 1) throw config.wrong('relative_attention_num_buckets', 'at least 4 are needed');
  const maxDistance = config.size('relative_attention_max_distance', 128);
  if (maxDistance <= exact || maxDistance > 4096)
    throw config.wrong('relative_attention_max_distance', `a number from ${exact + 1} to 4096 is needed`);
  const projection = config.values['feed_forward_proj'] ?? 'relu';
  const parts = typeof projection === 'string' ? projection.split('-') : [];
  const gated = parts.length === 2 && parts[0] === 'gated';
  if (parts.length !== 1 && !gated)
    throw config.wrong('feed_forward_proj', 'an activation is needed, or “gated-” and one');
  return {
    vocabSize: config.size('vocab_size', 32128),
    hiddenSize: config.size('d_model', 512),
    intermediateSize: config.size('d_ff', 2048),
    layers: config.size('num_layers', 6),
    heads: config.size('num_heads', 8),
    headDim,
    buckets,
    maxDistance,
    eps: config.number('layer_norm_epsilon', 1e-6),
    // transformers means the tanh form by this name, as T5 1.1 was trained.
    activation: projection === 'gated-gelu' ? 'gelu_new' : parseActivation(config, 'feed_forward_proj', parts.at(-1)),
    gated,
  };
}

/**
 * The bucket of a distance (key - query): exact up to a quarter of all buckets, then in logarithmic steps. In float64: a
 * float32 logarithm that is one unit off puts the distances at the edges (16, 32, 64) into the bucket before.
 */
export function relativeBucket({ buckets, maxDistance }: T5Config, distance: number): number {
  const half = Math.floor(buckets / 2);
  const exact = Math.floor(half / 2);
  const first = distance > 0 ? half : 0;
  const far = Math.abs(distance);
  if (far < exact) return first + far;
  const steps = (Math.log(far / exact) / Math.log(maxDistance / exact)) * (half - exact);
  return first + Math.min(half - 1, exact + Math.floor(steps));
}

/** Distances beyond this are alike: the bias has 2 span + 1 columns. */
const biasSpan = ({ maxDistance }: T5Config): number => maxDistance;

const biasName = (prefix: string): string =>
  `${prefix}.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight`;

/** What a graph asks for in place of the stored table of buckets: [heads, 2 span + 1], a column for each distance. */
export const DISTANCES = '#distances';

/** The stored table [buckets, heads] spread over all distances from -span to span, [heads, 2 span + 1]. */
export function distanceBias(config: T5Config, table: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const span = biasSpan(config);
  const columns = 2 * span + 1;
  const bias = new Float32Array(config.heads * columns);
  for (let column = 0; column < columns; column++) {
    const bucket = relativeBucket(config, column - span);
    for (let head = 0; head < config.heads; head++) {
      bias[head * columns + column] = table[bucket * config.heads + head]!;
    }
  }
  return bias;
}

/** Texts of one length, one below the other. */
export interface T5Shape {
  texts: number;
  length: number;
}

export interface T5Tensors {
  /** u32 [texts · length] */
  ids: Tensor;
  /** u32 [texts · length, 2] */
  keyRanges: Tensor;
}

/** Declares the inputs `${prefix}.ids` and `${prefix}.keyRanges`. */
export function declareT5(graph: Graph, prefix: string, { texts, length }: T5Shape): T5Tensors {
  return {
    ids: graph.input(`${prefix}.ids`, [texts * length], 'u32'),
    keyRanges: graph.input(`${prefix}.keyRanges`, [texts * length, 2], 'u32'),
  };
}

/**
 * Values for the inputs that `declareT5` declares.
 * @param ids, mask [texts · length]; the mask is 1 where there is text, without gaps (padding at either end)
 * Throws UserError for a mask with gaps and for ids that the encoder does not know.
 */
export function t5Inputs(
  { vocabSize }: T5Config,
  prefix: string,
  { texts, length }: T5Shape,
  ids: ArrayLike<number>,
  mask: ArrayLike<number>,
): Record<string, InputData> {
  const unknown = Array.from(ids).find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
  if (unknown !== undefined)
    throw new UserError(
      `The token ${unknown} is not among the text encoder's ${vocabSize}. The tokenizer is another model's.`,
    );
  return {
    [`${prefix}.ids`]: Uint32Array.from(ids),
    [`${prefix}.keyRanges`]: maskRanges(mask, { texts, length }).keys(length),
  };
}

/** The encoder's last_hidden_state [texts · length, hidden]; where the mask is 0 it means nothing. Forward only. */
export function t5Encoder(
  b: ModelBuilder,
  config: T5Config,
  prefix: string,
  inputs: T5Tensors,
  { texts }: T5Shape,
): Tensor {
  const { graph } = b;
  const { hiddenSize, intermediateSize, layers, heads, headDim, eps } = config;
  const inner = heads * headDim;
  const linear = (name: string, inFeatures: number, outFeatures: number): Projection => ({
    name,
    inFeatures,
    outFeatures,
  });
  const span = biasSpan(config);
  const name = biasName(prefix) + DISTANCES;
  const bias = graph.weight(name, { dtype: 'f32', sources: [{ name, shape: [heads, 2 * span + 1] }] });
  const activation = ACTIVATIONS[config.activation](operand(0));

  const table = b.matrix([`${prefix}.shared.weight`], [config.vocabSize], hiddenSize);
  let x = graph.emit('embedding', { ids: inputs.ids, table }, { scale: 1 }).y;
  for (let layer = 0; layer < layers; layer++) {
    x = b.block(() => {
      const block = `${prefix}.encoder.block.${layer}`;
      const attention = `${block}.layer.0.SelfAttention`;
      const normed = b.norm(x, `${block}.layer.0.layer_norm.weight`, hiddenSize, eps);
      const qkv = b.projections(
        normed,
        ['q', 'k', 'v'].map((part) => linear(`${attention}.${part}`, hiddenSize, inner)),
      );
      // T5 does not divide by √headDim: its initial weights already do.
      const { o } = graph.emit(
        'relativeAttention',
        { q: qkv, k: qkv, v: qkv, bias, keyRanges: inputs.keyRanges },
        {
          heads,
          kvHeads: heads,
          headDim,
          scale: 1,
          qOffset: 0,
          kOffset: inner,
          vOffset: 2 * inner,
          density: 1 / texts,
          span,
        },
      );
      const heard = b.projections(o, [linear(`${attention}.o`, inner, hiddenSize)], x);
      const dense = `${block}.layer.1.DenseReluDense`;
      const again = b.norm(heard, `${block}.layer.1.layer_norm.weight`, hiddenSize, eps);
      const wide = (part: string): Tensor =>
        b.projections(again, [linear(`${dense}.${part}`, hiddenSize, intermediateSize)]);
      const inside = config.gated
        ? graph.map(binary('mul', activation, operand(1)), [wide('wi_0'), wide('wi_1')])
        : graph.map(activation, [wide('wi')]);
      return b.projections(inside, [linear(`${dense}.wo`, intermediateSize, hiddenSize)], heard);
    });
  }
  return b.norm(x, `${prefix}.encoder.final_layer_norm.weight`, hiddenSize, eps);
}
