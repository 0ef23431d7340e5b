import { Graph } from '../../engine/graph.ts';
import type { DType, Tensor } from '../../engine/tensor.ts';
import type { AdapterHook } from '../../models/layers/builder.ts';
import { ModelBuilder } from '../../models/layers/builder.ts';
import type { CacheSize, CausalLm } from '../../models/causal-lm/causal-lm.ts';
import { declareTokens } from '../../models/causal-lm/causal-lm.ts';

export interface VoiceGraphOptions {
  lm: CausalLm;
  dtypeOf: (name: string) => DType;
  adapter?: AdapterHook | undefined;
  maxBinding: number;
}

function begin({ lm, dtypeOf, adapter, maxBinding }: VoiceGraphOptions) {
  const graph = new Graph(maxBinding);
  return { graph, lm, builder: new ModelBuilder({ graph, dtypeOf, adapter }) };
}

/** Bytes of one chunk of logits: small enough to stay in a processor's cache, or to be a small part of a card's memory. */
const CHUNK_BYTES = { cpu: 2 ** 21, gpu: 2 ** 27 };

/** Rows of logits that exist at a time, a multiple of 64. */
export function headChunk(vocabSize: number, family: 'cpu' | 'gpu'): number {
  return Math.max(64, Math.floor(CHUNK_BYTES[family] / (4 * vocabSize) / 64) * 64);
}

/**
 * Inputs ids, positions u32 and labels i32, each [tokens], keyRanges (and for gradients queryRanges) u32 [tokens, 2] for each
 * kind of layer; output `loss`, the sum of the label tokens' negative log likelihoods in nats.
 * @param recompute with a number: gradients are taken, and the first so many blocks are computed again instead of kept
 */
export function lossGraph(options: VoiceGraphOptions, tokens: number, chunkRows: number, recompute?: number): Graph {
  const { graph, lm, builder } = begin(options);
  const withGradient = recompute !== undefined;
  const x = lm.trace(builder, declareTokens(graph, lm, tokens, { training: withGradient }));
  const labels = graph.input('labels', [tokens], 'i32');
  const { loss } = graph.emit(
    'crossEntropyHead',
    { x, weight: lm.headWeight(builder), labels },
    { withGradient, chunkRows },
  );
  graph.output('loss', graph.emit('sum', { x: loss }, {}).y);
  if (withGradient) graph.backward((block) => block < recompute);
  return graph;
}

/** Output `logits` [tokens, vocabulary]: everything at once, for checking against a reference. */
export function logitsGraph(options: VoiceGraphOptions, tokens: number): Graph {
  const { graph, lm, builder } = begin(options);
  const x = lm.trace(builder, declareTokens(graph, lm, tokens));
  graph.output('logits', graph.emit('linear', { x, weight: lm.headWeight(builder) }, { segments: [] }).y);
  return graph;
}

/**
 * One step of generation: `tokens` new tokens join the cache at rows `cacheRows`; output `logits` [1, vocabulary] of the
 * token at `last`.
 */
export function generationGraph(options: VoiceGraphOptions, tokens: number, cache: CacheSize): Graph {
  const { graph, lm, builder } = begin(options);
  const x = lm.trace(builder, declareTokens(graph, lm, tokens, { cached: true }), cache);
  const { y: last } = graph.emit('embedding', { ids: graph.input('last', [1], 'u32'), table: x }, { scale: 1 });
  graph.output('logits', graph.emit('linear', { x: last, weight: lm.headWeight(builder) }, { segments: [] }).y);
  return graph;
}

/** The key/value caches that a step of generation keeps, by their keys. */
export function cacheStates(options: VoiceGraphOptions, cache: CacheSize): ReadonlyMap<string, Tensor> {
  const tensors = generationGraph(options, 1, cache).nodes.flatMap(({ inputs, outputs }): (Tensor | undefined)[] => [
    ...Object.values(inputs),
    ...Object.values(outputs),
  ]);
  return new Map(
    tensors.flatMap((tensor): [string, Tensor][] => (tensor?.role === 'state' ? [[tensor.key!, tensor]] : [])),
  );
}
