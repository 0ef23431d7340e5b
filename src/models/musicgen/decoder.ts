import type { Graph } from '../../engine/graph.ts';
import { operand } from '../../engine/ops/expression.ts';
import type { InputData } from '../../engine/program.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { ACTIVATIONS } from '../layers/activations.ts';
import type { ModelBuilder, Projection } from '../layers/builder.ts';
import { adaptableProjections } from '../layers/builder.ts';
import { maskRanges, rangesByImage } from '../layers/ranges.ts';
import type { MusicgenDecoderConfig } from './musicgen-config.ts';
import { DECODER_EPS } from './musicgen-config.ts';

/** Rows of steps and the texts that they hear, a text for each row; all rows of one length. */
export interface DecoderShape {
  rows: number;
  /** Steps of each. */
  length: number;
  /** Tokens of each text with padding. */
  textLength: number;
}

/** What the decoder is told, see `decoderInputs` and `generationInputs`. */
export interface DecoderTensors {
  /** u32 [rows · length] for each codebook */
  ids: readonly Tensor[];
  positions: Tensor;
  /** u32 [rows · length, 2]: the steps that each step sees; those that see each step, for gradients. */
  keyRanges: Tensor;
  queryRanges?: Tensor;
  /** The same for the tokens of texts: [rows · length, 2], and [rows · textLength, 2]. */
  textRanges: Tensor;
  textQueryRanges?: Tensor;
  /** The text encoder's last_hidden_state [rows · textLength, textHidden]; with a cache, texts are read before. */
  textStates?: Tensor;
  /** Row of the cache that each step is written to. */
  cacheRows?: Tensor;
}

/** Steps a row has in the key/value caches `cache.self.N`; one row more, for all, takes what nobody reads. */
export interface DecoderCache {
  capacity: number;
}

/** Sinusoids beyond what the model was made for cost little, and few settings ask for so many. */
const FEWEST_POSITIONS = 2048;
const MOST_POSITIONS = 8192;

/** Steps that a row may have. */
export const positionRows = ({ maxPositions }: MusicgenDecoderConfig): number =>
  Math.min(Math.max(maxPositions, FEWEST_POSITIONS), MOST_POSITIONS);

/** The key under which a graph asks for the table of positions. */
export const POSITIONS = 'decoder.model.decoder.embed_positions';

/** [rows, hidden]: all cosines, then all sines, of position · 10000^(-i / (half - 1)); from float64. */
export function positionTable(rows: number, hiddenSize: number): Float32Array<ArrayBuffer> {
  const half = Math.floor(hiddenSize / 2);
  const table = new Float32Array(rows * hiddenSize);
  for (let i = 0; i < half; i++) {
    const frequency = Math.exp((-i * Math.log(10_000)) / (half - 1));
    for (let row = 0; row < rows; row++) {
      table[row * hiddenSize + i] = Math.cos(row * frequency);
      table[row * hiddenSize + half + i] = Math.sin(row * frequency);
    }
  }
  return table;
}

/** Declares the decoder's inputs; `training` adds what gradients need, a cache takes the texts' states away. */
export function declareDecoder(
  graph: Graph,
  config: MusicgenDecoderConfig,
  { rows, length, textLength }: DecoderShape,
  { training, cache }: { training: boolean; cache?: DecoderCache },
): DecoderTensors {
  const tokens = rows * length;
  const u32 = (name: string, shape: readonly number[]): Tensor => graph.input(name, shape, 'u32');
  return {
    ids: Array.from({ length: config.codebooks }, (_, k) => u32(`ids.${k}`, [tokens])),
    positions: u32('positions', [tokens]),
    keyRanges: u32('keyRanges', [tokens, 2]),
    textRanges: u32('textRanges', [tokens, 2]),
    ...(training && {
      queryRanges: u32('queryRanges', [tokens, 2]),
      textQueryRanges: u32('textQueryRanges', [rows * textLength, 2]),
    }),
    ...(cache
      ? { cacheRows: u32('cacheRows', [tokens]) }
      : { textStates: graph.input('textStates', [rows * textLength, config.textHiddenSize]) }),
  };
}

/**
 * Values for the inputs of a decoder without a cache (a program takes those that it has).
 * @param ids for each codebook, [rows · length]
 * @param textStates the text encoder's last_hidden_state, [rows · textLength, textHidden]
 * @param textMask [rows · textLength]; a row of zeros hears nothing, which is the unconditional input
 * Throws UserError for a mask with gaps.
 */
export function decoderInputs(
  { rows, length, textLength }: DecoderShape,
  {
    ids,
    textStates,
    textMask,
  }: { ids: readonly ArrayLike<number>[]; textStates: Float32Array<ArrayBuffer>; textMask: ArrayLike<number> },
): Record<string, InputData> {
  const ranges = maskRanges(textMask, { texts: rows, length: textLength });
  return {
    ...codebookIds(ids),
    positions: Uint32Array.from({ length: rows * length }, (_, i) => i % length),
    keyRanges: rangesByImage(rows, length, length, 'keys'),
    queryRanges: rangesByImage(rows, length, length, 'queries'),
    textRanges: ranges.keys(length),
    textQueryRanges: ranges.queries(length),
    textStates,
  };
}

const codebookIds = (ids: readonly ArrayLike<number>[]): Record<string, InputData> =>
  Object.fromEntries(ids.map((list, k) => [`ids.${k}`, Uint32Array.from(list)]));

/**
 * Values for one step of generation, of rows that all stand at the same step.
 * @param ids the codes of the step for each codebook, [rows]
 */
export function generationInputs(
  { rows, textLength }: Omit<DecoderShape, 'length'>,
  { capacity }: DecoderCache,
  { step, ids, textMask }: { step: number; ids: readonly ArrayLike<number>[]; textMask: ArrayLike<number> },
): Record<string, InputData> {
  const first = (i: number): number => i * capacity;
  return {
    ...codebookIds(ids),
    positions: new Uint32Array(rows).fill(step),
    keyRanges: Uint32Array.from({ length: 2 * rows }, (_, i) => first(i >> 1) + (i % 2 === 0 ? 0 : step + 1)),
    textRanges: maskRanges(textMask, { texts: rows, length: textLength }).keys(1),
    cacheRows: Uint32Array.from({ length: rows }, (_, row) => first(row) + step),
  };
}

type LayerPart = 'q' | 'k' | 'v' | 'out' | 'textQ' | 'textK' | 'textV' | 'textOut' | 'fc1' | 'fc2';

/** The modules of one layer under transformers' names. */
function layerProjections(config: MusicgenDecoderConfig, layer: number): Record<LayerPart, Projection> {
  const { hiddenSize, intermediateSize } = config;
  const name = `decoder.model.decoder.layers.${layer}`;
  const square = (part: string): Projection => ({
    name: `${name}.${part}`,
    inFeatures: hiddenSize,
    outFeatures: hiddenSize,
  });
  return {
    q: square('self_attn.q_proj'),
    k: square('self_attn.k_proj'),
    v: square('self_attn.v_proj'),
    out: square('self_attn.out_proj'),
    textQ: square('encoder_attn.q_proj'),
    textK: square('encoder_attn.k_proj'),
    textV: square('encoder_attn.v_proj'),
    textOut: square('encoder_attn.out_proj'),
    fc1: { name: `${name}.fc1`, inFeatures: hiddenSize, outFeatures: intermediateSize },
    fc2: { name: `${name}.fc2`, inFeatures: intermediateSize, outFeatures: hiddenSize },
  };
}

/** What the decoder hears of the texts, [rows · textLength, hidden]: their states, projected where the widths differ. */
function heardTexts(b: ModelBuilder, config: MusicgenDecoderConfig, textStates: Tensor): Tensor {
  const { textHiddenSize, hiddenSize } = config;
  if (textHiddenSize === hiddenSize) return textStates;
  return b.projections(textStates, [
    { name: 'enc_to_dec_proj', inFeatures: textHiddenSize, outFeatures: hiddenSize, bias: true },
  ]);
}

const textCacheKey = (layer: number): string => `cache.text.${layer}`;
const selfCacheKey = (layer: number): string => `cache.self.${layer}`;

/** Numbers in each of the states that generation keeps, by their keys: of every layer's steps and texts. */
export function cacheShapes(
  { layers, hiddenSize }: MusicgenDecoderConfig,
  { rows, textLength }: Omit<DecoderShape, 'length'>,
  { capacity }: DecoderCache,
): Map<string, readonly [number, number]> {
  const shapes = new Map<string, readonly [number, number]>();
  for (let layer = 0; layer < layers; layer++) {
    shapes.set(selfCacheKey(layer), [rows * capacity + 1, 2 * hiddenSize]);
    shapes.set(textCacheKey(layer), [rows * textLength, 2 * hiddenSize]);
  }
  return shapes;
}

/**
 * Fills the states `cache.text.N` with every layer's keys and values of the texts, once for a whole generation. Declares the
 * inputs `textStates` [rows · textLength, textHidden] and `textRows` u32 (0, 1, … , see `textCacheInputs`).
 */
export function fillTextCache(
  b: ModelBuilder,
  config: MusicgenDecoderConfig,
  { rows, textLength }: Omit<DecoderShape, 'length'>,
): void {
  const { graph } = b;
  const { hiddenSize } = config;
  const tokens = rows * textLength;
  const indices = graph.input('textRows', [tokens], 'u32');
  const heard = heardTexts(b, config, graph.input('textStates', [tokens, config.textHiddenSize]));
  for (let layer = 0; layer < config.layers; layer++) {
    const { textK, textV } = layerProjections(config, layer);
    const into = graph.state(textCacheKey(layer), [tokens, 2 * hiddenSize]);
    const x = b.projections(heard, [textK, textV]);
    graph.emit('scatterRows', { x, indices }, { offset: 0, width: 2 * hiddenSize }, { into });
  }
}

/** Values for the inputs of `fillTextCache`. */
export const textCacheInputs = (
  { rows, textLength }: Omit<DecoderShape, 'length'>,
  textStates: Float32Array<ArrayBuffer>,
): Record<string, InputData> => ({
  textStates,
  textRows: Uint32Array.from({ length: rows * textLength }, (_, i) => i),
});

/**
 * The decoder's hidden states after its last norm, [rows · length, hidden]. Each layer is one unit of recomputation.
 *
 * With a cache the keys and values of earlier steps are read from `cache.self.N`, where this step's join them, and the
 * texts' from `cache.text.N` (`fillTextCache`). A row that sees no token of its text adds nothing there.
 */
export function musicgenDecoder(
  b: ModelBuilder,
  config: MusicgenDecoderConfig,
  inputs: DecoderTensors,
  { rows, length, textLength }: DecoderShape,
  cache?: DecoderCache,
): Tensor {
  const { graph } = b;
  const { hiddenSize, layers, heads, headDim } = config;
  const attributes = { heads, kvHeads: heads, headDim, scale: headDim ** -0.5, qOffset: 0 };
  const activation = ACTIVATIONS[config.activation](operand(0));
  const heard = inputs.textStates && heardTexts(b, config, inputs.textStates);

  const position = positionRows(config);
  const table = graph.weight(POSITIONS, {
    dtype: 'f32',
    sources: [{ name: POSITIONS, shape: [position, hiddenSize] }],
  });
  let x = graph.emit('embedding', { ids: inputs.positions, table }, { scale: 1 }).y;
  inputs.ids.forEach((ids, k) => {
    x = graph.add(x, b.embedding(ids, embeddingModule(config, k)));
  });
  for (let layer = 0; layer < layers; layer++) {
    x = b.block(() => {
      const name = `decoder.model.decoder.layers.${layer}`;
      const parts = layerProjections(config, layer);
      const norm = (states: Tensor, part: string): Tensor =>
        b.layerNorm(states, `${name}.${part}`, hiddenSize, DECODER_EPS);

      const qkv = b.projections(norm(x, 'self_attn_layer_norm'), [parts.q, parts.k, parts.v]);
      let keys = qkv;
      if (inputs.cacheRows && cache) {
        keys = graph.state(selfCacheKey(layer), [rows * cache.capacity + 1, 2 * hiddenSize]);
        const store = { offset: hiddenSize, width: 2 * hiddenSize };
        graph.emit('scatterRows', { x: qkv, indices: inputs.cacheRows }, store, { into: keys });
      }
      const kOffset = keys === qkv ? hiddenSize : 0;
      const { keyRanges, queryRanges } = inputs;
      const { o } = graph.emit(
        'attention',
        { q: qkv, k: keys, v: keys, keyRanges, ...(queryRanges && { queryRanges }) },
        {
          ...attributes,
          kOffset,
          vOffset: kOffset + hiddenSize,
          density: keys === qkv ? (length + 1) / (2 * length * rows) : 1 / rows,
        },
      );
      const own = b.projections(o, [parts.out], x);

      const q = b.projections(norm(own, 'encoder_attn_layer_norm'), [parts.textQ]);
      const kv = heard
        ? b.projections(heard, [parts.textK, parts.textV])
        : graph.state(textCacheKey(layer), [rows * textLength, 2 * hiddenSize]);
      const { o: told } = graph.emit(
        'attention',
        {
          q,
          k: kv,
          v: kv,
          keyRanges: inputs.textRanges,
          ...(inputs.textQueryRanges && { queryRanges: inputs.textQueryRanges }),
        },
        { ...attributes, kOffset: 0, vOffset: hiddenSize, density: 1 / rows },
      );
      const both = b.projections(told, [parts.textOut], own);

      const wide = b.projections(norm(both, 'final_layer_norm'), [parts.fc1]);
      return b.projections(graph.map(activation, [wide]), [parts.fc2], both);
    });
  }
  return b.layerNorm(x, 'decoder.model.decoder.layer_norm', hiddenSize, DECODER_EPS);
}

const embeddingModule = ({ vocabSize, hiddenSize }: MusicgenDecoderConfig, codebook: number): Projection => ({
  name: `decoder.model.decoder.embed_tokens.${codebook}`,
  inFeatures: vocabSize + 1,
  outFeatures: hiddenSize,
  embedding: true,
});

/** Logits of one codebook, [rows · length, vocabSize], of the decoder's hidden states. */
export function codebookLogits(
  b: ModelBuilder,
  { hiddenSize, vocabSize }: MusicgenDecoderConfig,
  hidden: Tensor,
  codebook: number,
): Tensor {
  return b.projections(hidden, [
    { name: `decoder.lm_heads.${codebook}`, inFeatures: hiddenSize, outFeatures: vocabSize },
  ]);
}

/** The modules that LoRA may be asked to adapt, under transformers' names in the order of the forward pass. */
export function musicgenModules(config: MusicgenDecoderConfig): Projection[] {
  const shape = { rows: 1, length: 1, textLength: 1 };
  return adaptableProjections((b) => {
    const hidden = musicgenDecoder(b, config, declareDecoder(b.graph, config, shape, { training: false }), shape);
    for (let k = 0; k < config.codebooks; k++) codebookLogits(b, config, hidden, k);
  });
}
