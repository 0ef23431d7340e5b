import type { Graph } from '../../engine/graph.ts';
import { operand } from '../../engine/ops/expression.ts';
import type { InputData } from '../../engine/program.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { ActivationName } from '../layers/activations.ts';
import { ACTIVATIONS, parseActivation } from '../layers/activations.ts';
import type { ModelBuilder, Projection } from '../layers/builder.ts';
import { adaptableProjections } from '../layers/builder.ts';
import { ConfigReader } from '../files/config-reader.ts';
import { rangesByImage } from '../layers/ranges.ts';

/** CLIPTextModel, or CLIPTextModelWithProjection (Radford et al., arXiv:2103.00020), as its config.json states it. */
export interface ClipTextConfig {
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  /** Positions: the longest prompt with start and end. */
  maxPositions: number;
  activation: ActivationName;
  eps: number;
  /** The summary is taken at the first of these; 2, in configurations of 2022, means at the highest id. */
  eosId: number;
  /** Width of the projected summary; null for a model without. */
  projectionDim: number | null;
}

/**
 * @param withProjection whether the class is CLIPTextModelWithProjection
 * Throws UserError for what is not supported.
 */
export function parseClipTextConfig(
  json: unknown,
  { withProjection, file = 'text_encoder/config.json' }: { withProjection: boolean; file?: string },
): ClipTextConfig {
  const config = new ConfigReader(json, file);
  config.expect({ model_type: 'clip_text_model' });
  const hiddenSize = config.size('hidden_size', 512);
  const heads = config.size('num_attention_heads', 8);
  if (hiddenSize % heads !== 0 || hiddenSize / heads > 256)
    throw config.wrong('num_attention_heads', `heads must divide hidden_size ${hiddenSize} into at most 256 each`);
  return {
    vocabSize: config.size('vocab_size', 49408),
    hiddenSize,
    intermediateSize: config.size('intermediate_size', 2048),
    layers: config.size('num_hidden_layers', 12),
    heads,
    maxPositions: config.size('max_position_embeddings', 77),
    activation: parseActivation(config, 'hidden_act', config.values['hidden_act'] ?? 'quick_gelu'),
    eps: config.number('layer_norm_eps', 1e-5),
    eosId: config.number('eos_token_id', 49407),
    projectionDim: withProjection ? config.size('projection_dim', 512) : null,
  };
}

/** Texts of one length, one below the other. */
export interface TextShape {
  images: number;
  /** Tokens of each, with start, end and padding. */
  length: number;
}

/** What the forward pass is told, see `clipTextInputs`. */
export interface ClipTextTensors {
  /** u32 [images · length] */
  ids: Tensor;
  positions: Tensor;
  /** u32 [images · length, 2]: the tokens that each token sees, and, for gradients, that see it. */
  keyRanges: Tensor;
  queryRanges?: Tensor;
  /** Where the summary is taken, as an attention to one token: zeros [images, hidden], and both directions' ranges. */
  summary?: { query: Tensor; keyRanges: Tensor; queryRanges?: Tensor };
}

export interface ClipTextStates {
  /** [images · length, hidden] after the last norm: what Stable Diffusion 1 and 2 hear. */
  lastHiddenState: Tensor;
  /** What goes into the last layer, hidden_states[-2]: what SDXL hears. */
  penultimate: Tensor;
  /** [images, projectionDim], for models with a projection that are given `summary`. */
  textEmbeds?: Tensor;
}

/** Declares the inputs `${prefix}.ids` and so on. @param training whether gradients run through the encoder */
export function declareClipText(
  graph: Graph,
  config: ClipTextConfig,
  prefix: string,
  { images, length }: TextShape,
  training: boolean,
): ClipTextTensors {
  const tokens = images * length;
  const input = (name: string, shape: readonly number[], dtype: 'u32' | 'f32' = 'u32'): Tensor =>
    graph.input(`${prefix}.${name}`, shape, dtype);
  return {
    ids: input('ids', [tokens]),
    positions: input('positions', [tokens]),
    keyRanges: input('keyRanges', [tokens, 2]),
    ...(training && { queryRanges: input('queryRanges', [tokens, 2]) }),
    ...(config.projectionDim !== null && {
      summary: {
        query: input('summaryQuery', [images, config.hiddenSize], 'f32'),
        keyRanges: input('summaryRanges', [images, 2]),
        ...(training && { queryRanges: input('summaryQueryRanges', [tokens, 2]) }),
      },
    }),
  };
}

/** Place of the token whose state sums up a text. */
export function summaryPosition(ids: ArrayLike<number>, { eosId }: ClipTextConfig): number {
  const list = Array.from(ids);
  if (eosId !== 2) return Math.max(0, list.indexOf(eosId));
  return list.indexOf(list.reduce((most, id) => Math.max(most, id), 0));
}

/**
 * Values for the inputs that `declareClipText` declares (a program takes those that it has).
 * @param rows token ids of each text, all of one length
 */
export function clipTextInputs(
  rows: readonly ArrayLike<number>[],
  config: ClipTextConfig,
  prefix: string,
): Record<string, InputData> {
  const images = rows.length;
  const { length } = rows[0]!;
  const summaryRanges = new Uint32Array(2 * images);
  const summaryQueryRanges = new Uint32Array(2 * images * length);
  rows.forEach((ids, image) => {
    const at = image * length + summaryPosition(ids, config);
    summaryRanges.set([at, at + 1], 2 * image);
    summaryQueryRanges.set([image, image + 1], 2 * at);
  });
  const values: Record<string, InputData> = {
    ids: Uint32Array.from(rows.flatMap((ids) => Array.from(ids))),
    positions: Uint32Array.from({ length: images * length }, (_, i) => i % length),
    keyRanges: rangesByImage(images, length, length, 'keys'),
    queryRanges: rangesByImage(images, length, length, 'queries'),
    summaryQuery: new Float32Array(images * config.hiddenSize),
    summaryRanges,
    summaryQueryRanges,
  };
  return Object.fromEntries(Object.entries(values).map(([name, data]) => [`${prefix}.${name}`, data]));
}

/** The text encoder's states of all texts. Each layer is one unit of recomputation. */
export function clipText(
  b: ModelBuilder,
  config: ClipTextConfig,
  prefix: string,
  inputs: ClipTextTensors,
  { images, length }: TextShape,
): ClipTextStates {
  const { graph } = b;
  const { hiddenSize, intermediateSize, layers, heads, eps } = config;
  const model = `${prefix}.text_model`;
  const table = (name: string, rows: number): Tensor =>
    b.matrix([`${model}.embeddings.${name}.weight`], [rows], hiddenSize);
  const rowsOf = (ids: Tensor, from: Tensor): Tensor => graph.emit('embedding', { ids, table: from }, { scale: 1 }).y;
  const linear = (name: string, inFeatures = hiddenSize, outFeatures = hiddenSize): Projection => ({
    name,
    inFeatures,
    outFeatures,
    bias: true,
  });
  const headDim = hiddenSize / heads;
  const attributes = { heads, kvHeads: heads, headDim, qOffset: 0 };
  const activation = ACTIVATIONS[config.activation](operand(0));

  let x = graph.add(
    rowsOf(inputs.ids, table('token_embedding', config.vocabSize)),
    rowsOf(inputs.positions, table('position_embedding', config.maxPositions)),
  );
  let penultimate = x;
  for (let layer = 0; layer < layers; layer++) {
    penultimate = x;
    x = b.block(() => {
      const name = `${model}.encoder.layers.${layer}`;
      const normed = b.layerNorm(x, `${name}.layer_norm1`, hiddenSize, eps);
      const qkv = b.projections(
        normed,
        ['q_proj', 'k_proj', 'v_proj'].map((part) => linear(`${name}.self_attn.${part}`)),
      );
      const { keyRanges, queryRanges } = inputs;
      const { o } = graph.emit(
        'attention',
        { q: qkv, k: qkv, v: qkv, keyRanges, ...(queryRanges && { queryRanges }) },
        {
          ...attributes,
          scale: headDim ** -0.5,
          kOffset: hiddenSize,
          vOffset: 2 * hiddenSize,
          density: (length + 1) / (2 * length * images),
        },
      );
      const heard = b.projections(o, [linear(`${name}.self_attn.out_proj`)], x);
      const again = b.layerNorm(heard, `${name}.layer_norm2`, hiddenSize, eps);
      const wide = b.projections(again, [linear(`${name}.mlp.fc1`, hiddenSize, intermediateSize)]);
      return b.projections(
        graph.map(activation, [wide]),
        [linear(`${name}.mlp.fc2`, intermediateSize, hiddenSize)],
        heard,
      );
    });
  }
  const lastHiddenState = b.layerNorm(x, `${model}.final_layer_norm`, hiddenSize, eps);
  const { summary } = inputs;
  if (!summary || config.projectionDim === null) return { lastHiddenState, penultimate };

  // A softmax over one key is 1 whatever the query says: the gather of a row, with a gradient.
  const twice = graph.emit('concat', { x0: lastHiddenState, x1: lastHiddenState }, {}).y;
  const { o: pooled } = graph.emit(
    'attention',
    {
      q: summary.query,
      k: twice,
      v: twice,
      keyRanges: summary.keyRanges,
      ...(summary.queryRanges && { queryRanges: summary.queryRanges }),
    },
    { ...attributes, scale: 1, kOffset: 0, vOffset: hiddenSize, density: 1 / (length * images) },
  );
  const textEmbeds = b.projections(pooled, [
    { name: `${prefix}.text_projection`, inFeatures: hiddenSize, outFeatures: config.projectionDim },
  ]);
  return { lastHiddenState, penultimate, textEmbeds };
}

/** The layers that LoRA may be asked to adapt, under transformers' names with the component's prefix. */
export function clipTextModules(config: ClipTextConfig, prefix: string): Projection[] {
  const shape = { images: 1, length: 2 };
  return adaptableProjections((b) => {
    clipText(b, config, prefix, declareClipText(b.graph, config, prefix, shape, false), shape);
  });
}
