import { Graph } from '../../engine/graph.ts';
import type { DType } from '../../engine/tensor.ts';
import type { AdapterHook } from '../../models/layers/builder.ts';
import { ModelBuilder } from '../../models/layers/builder.ts';
import type { DecoderConfig } from '../../models/causal-lm/decoder-config.ts';
import type { CacheSize, DecoderInputs } from '../../models/causal-lm/decoder.ts';
import { decoder, headWeight } from '../../models/causal-lm/decoder.ts';

export interface VoiceGraphOptions {
  config: DecoderConfig;
  dtypeOf: (name: string) => DType;
  adapter?: AdapterHook | undefined;
  maxBinding: number;
}

function begin({ config, dtypeOf, adapter, maxBinding }: VoiceGraphOptions) {
  const graph = new Graph(maxBinding);
  return { graph, config, builder: new ModelBuilder({ graph, dtypeOf, adapter }) };
}

function tokenInputs(graph: Graph, tokens: number, training: boolean): DecoderInputs {
  return {
    ids: graph.input('ids', [tokens], 'u32'),
    positions: graph.input('positions', [tokens], 'u32'),
    keyRanges: graph.input('keyRanges', [tokens, 2], 'u32'),
    ...(training && { queryRanges: graph.input('queryRanges', [tokens, 2], 'u32') }),
  };
}

/** Bytes of one chunk of logits: small enough to stay in a processor's cache, or to be a small part of a card's memory. */
const CHUNK_BYTES = { cpu: 2 ** 21, gpu: 2 ** 27 };

/** Rows of logits that exist at a time, a multiple of 64. */
export function headChunk(vocabSize: number, family: 'cpu' | 'gpu'): number {
  return Math.max(64, Math.floor(CHUNK_BYTES[family] / (4 * vocabSize) / 64) * 64);
}

/**
 * Inputs ids, positions u32 and labels i32, each [tokens], keyRanges (and for gradients queryRanges) u32 [tokens, 2]; output
 * `loss`, the sum of the label tokens' negative log likelihoods in nats.
 * @param recompute with a number: gradients are taken, and the first so many blocks are computed again instead of kept
 */
export function lossGraph(options: VoiceGraphOptions, tokens: number, chunkRows: number, recompute?: number): Graph {
  const { graph, config, builder } = begin(options);
  const withGradient = recompute !== undefined;
  const x = decoder(builder, config, tokenInputs(graph, tokens, withGradient));
  const labels = graph.input('labels', [tokens], 'i32');
  const { loss } = graph.emit(
    'crossEntropyHead',
    { x, weight: headWeight(builder, config), labels },
    { withGradient, chunkRows },
  );
  graph.output('loss', graph.emit('sum', { x: loss }, {}).y);
  if (withGradient) graph.backward((block) => block < recompute);
  return graph;
}

/** Output `logits` [tokens, vocabulary]: everything at once, for checking against a reference. */
export function logitsGraph(options: VoiceGraphOptions, tokens: number): Graph {
  const { graph, config, builder } = begin(options);
  const x = decoder(builder, config, tokenInputs(graph, tokens, false));
  graph.output('logits', graph.emit('linear', { x, weight: headWeight(builder, config) }, { segments: [] }).y);
  return graph;
}

/**
 * One step of generation: `tokens` new tokens join the cache at rows `cacheRows`; output `logits` [1, vocabulary] of the
 * token at `last`.
 */
export function generationGraph(options: VoiceGraphOptions, tokens: number, cache: CacheSize): Graph {
  const { graph, config, builder } = begin(options);
  const inputs = { ...tokenInputs(graph, tokens, false), cacheRows: graph.input('cacheRows', [tokens], 'u32') };
  const x = decoder(builder, config, inputs, cache);
  const { y: last } = graph.emit('embedding', { ids: graph.input('last', [1], 'u32'), table: x }, { scale: 1 });
  graph.output('logits', graph.emit('linear', { x: last, weight: headWeight(builder, config) }, { segments: [] }).y);
  return graph;
}
