import type { Graph } from '../../engine/graph.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { ModelBuilder, Projection } from '../layers/builder.ts';
import { adaptableProjections } from '../layers/builder.ts';
import type { KeyRange } from './key-ranges.ts';
import { distinctRanges, rangeName } from './key-ranges.ts';

/** What every language model's config.json states, under our own names. */
export interface CausalLmConfig {
  /** transformers' model_type */
  modelType: string;
  hiddenSize: number;
  layers: number;
  vocabSize: number;
  /** max_position_embeddings */
  contextLength: number;
}

/** Which keys each token of a layer sees, u32 [tokens, 2], and for gradients which tokens see each key. */
export interface LayerRanges {
  keyRanges: Tensor;
  queryRanges?: Tensor;
}

/** What a forward pass is told about its tokens; u32 [tokens] where nothing else is said, packed rows side by side. */
export interface CausalLmInputs {
  ids: Tensor;
  positions: Tensor;
  /** One for each layer. */
  ranges: readonly LayerRanges[];
  /** Row of the key/value cache that each token is written to; without it tokens see one another directly. */
  cacheRows?: Tensor;
}

/** Tokens that the key/value caches hold; one more row takes what is padding. */
export interface CacheSize {
  tokens: number;
}

/** A tensor of the checkpoint as float32. Throws UserError where it is missing or of another shape. */
export type ReadStored = (name: string, shape: readonly number[]) => Promise<Float32Array<ArrayBuffer>>;

/** Computes a weight that is not stored as it is used, in float64, of the shape that the forward pass asks for. */
export type Table = (
  shape: readonly number[],
  stored: ReadStored,
) => Float32Array<ArrayBuffer> | Promise<Float32Array<ArrayBuffer>>;

/** Rows of tables over positions: more than anybody trains or talks here would only cost memory. */
export const MAX_POSITIONS = 8192;

/** Positions that a model reads here. */
export const positionsOf = ({ contextLength }: CausalLmConfig): number => Math.min(contextLength, MAX_POSITIONS);

/** A decoder-only language model: all that training and talking know of it. */
export interface CausalLm {
  readonly config: CausalLmConfig;
  /** What each layer's tokens see. */
  readonly keyRanges: readonly KeyRange[];
  /** Weights that are computed, by the names under which the forward pass asks for them. */
  readonly tables: ReadonlyMap<string, Table>;
  /** Paths of the token embedding and of the classifier in the transformers class; neither is adapted. */
  readonly embedding: string;
  readonly head: string;
  /**
   * Emits everything up to the last norm: [tokens, hidden]. Layer i is the graph's block i, the unit of recomputation; what
   * it projects by the builder can be adapted. With a cache, its keys and values go through states of the graph.
   */
  trace(b: ModelBuilder, inputs: CausalLmInputs, cache?: CacheSize): Tensor;
  /** The classifier's matrix [vocabulary, hidden]. */
  headWeight(b: ModelBuilder): Tensor;
}

/** Declares the inputs of a forward pass: ids, positions, and keyRanges (for gradients queryRanges) of each kind of layer. */
export function declareTokens(
  graph: Graph,
  { keyRanges }: CausalLm,
  tokens: number,
  { training = false, cached = false }: { training?: boolean; cached?: boolean } = {},
): CausalLmInputs {
  const input = (name: string, columns?: number): Tensor =>
    graph.input(name, columns === undefined ? [tokens] : [tokens, columns], 'u32');
  const inputs = { ids: input('ids'), positions: input('positions') };
  const known = new Map(
    distinctRanges(keyRanges).map((range): [string, LayerRanges] => [
      rangeName(range),
      {
        keyRanges: input(`keyRanges${rangeName(range)}`, 2),
        ...(training && { queryRanges: input(`queryRanges${rangeName(range)}`, 2) }),
      },
    ]),
  );
  return {
    ...inputs,
    ranges: keyRanges.map((range) => known.get(rangeName(range))!),
    ...(cached && { cacheRows: input('cacheRows') }),
  };
}

/** A module under its path in the transformers class; kinds as the adapters layer has them. */
export type CausalLmModule = Projection & { kind?: 'embedding' | 'output' };

/** All modules that LoRA may be asked to adapt, in the order of the forward pass. */
export function causalLmModules(lm: CausalLm): CausalLmModule[] {
  const { vocabSize, hiddenSize } = lm.config;
  return [
    { name: lm.embedding, inFeatures: vocabSize, outFeatures: hiddenSize, kind: 'embedding' },
    ...adaptableProjections((b) => void lm.trace(b, declareTokens(b.graph, lm, 1))),
    { name: lm.head, inFeatures: hiddenSize, outFeatures: vocabSize, kind: 'output' },
  ];
}

/** What LoRA's target_modules may name: the last part of each layer's path, as q_proj. */
export function targetModules(modules: readonly CausalLmModule[]): string[] {
  const linear = modules.filter(({ kind }) => kind === undefined);
  return [...new Set(linear.map(({ name }) => name.slice(name.lastIndexOf('.') + 1)))];
}
