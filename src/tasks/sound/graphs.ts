import { Graph } from '../../engine/graph.ts';
import type { DType, Tensor } from '../../engine/tensor.ts';
import type { AdapterHook } from '../../models/layers/builder.ts';
import { ModelBuilder } from '../../models/layers/builder.ts';
import type { MusicgenConfig } from '../../models/musicgen/musicgen-config.ts';
import type { DecoderCache, DecoderShape } from '../../models/musicgen/decoder.ts';
import { codebookLogits, declareDecoder, fillTextCache, musicgenDecoder } from '../../models/musicgen/decoder.ts';
import type { T5Shape } from '../../models/t5/encoder.ts';
import { declareT5, t5Encoder } from '../../models/t5/encoder.ts';

export interface SoundGraphOptions {
  config: MusicgenConfig;
  dtypeOf: (name: string) => DType;
  adapter?: AdapterHook | undefined;
  maxBinding: number;
}

export function begin({ dtypeOf, adapter, maxBinding }: Omit<SoundGraphOptions, 'config'>) {
  const graph = new Graph(maxBinding);
  return { graph, builder: new ModelBuilder({ graph, dtypeOf, adapter }) };
}

/** Names of all text encoder weights and inputs begin with it. */
export const TEXT = 'text_encoder';

/** Inputs as declareT5; output `states` [texts · length, hidden]. */
export function textGraph(options: SoundGraphOptions, shape: T5Shape): Graph {
  const { graph, builder } = begin(options);
  const inputs = declareT5(graph, TEXT, shape);
  graph.output('states', t5Encoder(builder, options.config.text, TEXT, inputs, shape));
  return graph;
}

const codebooksOf = ({ config }: SoundGraphOptions): number[] =>
  Array.from({ length: config.decoder.codebooks }, (_, k) => k);

/**
 * Inputs as declareDecoder, and for each codebook `labels.K` i32 and `weights.K`, each [rows · length]; output `loss`,
 * Σ weight · -log p(label).
 * @param recompute with a number: gradients are taken, and the first so many blocks are computed again instead of kept
 */
export function lossGraph(
  options: SoundGraphOptions,
  shape: DecoderShape,
  recompute?: number,
): { graph: Graph; blocks: number } {
  const { graph, builder } = begin(options);
  const { decoder } = options.config;
  const training = recompute !== undefined;
  const hidden = musicgenDecoder(builder, decoder, declareDecoder(graph, decoder, shape, { training }), shape);
  const tokens = shape.rows * shape.length;
  let total: Tensor | undefined;
  for (const k of codebooksOf(options)) {
    const x = codebookLogits(builder, decoder, hidden, k);
    const labels = graph.input(`labels.${k}`, [tokens], 'i32');
    const weight = graph.input(`weights.${k}`, [tokens]);
    const { loss } = graph.emit('crossEntropy', { x, labels, weight }, { withGradient: training });
    total = total ? graph.add(total, loss) : loss;
  }
  graph.output('loss', graph.emit('sum', { x: total! }, {}).y);
  if (training) graph.backward((block) => block < recompute);
  return { graph, blocks: builder.blocks };
}

/** Inputs as declareDecoder; outputs `logits.K` [rows · length, vocabulary] of each codebook. */
export function logitsGraph(options: SoundGraphOptions, shape: DecoderShape): Graph {
  const { graph, builder } = begin(options);
  const { decoder } = options.config;
  const inputs = declareDecoder(graph, decoder, shape, { training: false });
  const hidden = musicgenDecoder(builder, decoder, inputs, shape);
  for (const k of codebooksOf(options)) graph.output(`logits.${k}`, codebookLogits(builder, decoder, hidden, k));
  return graph;
}

/** What a composition begins with: the texts' keys and values in the states `cache.text.N`. */
export function textCacheGraph(options: SoundGraphOptions, shape: Omit<DecoderShape, 'length'>): Graph {
  const { graph, builder } = begin(options);
  fillTextCache(builder, options.config.decoder, shape);
  return graph;
}

/** One step of a composition, see `generationInputs`; outputs `logits.K` [rows, vocabulary] of each codebook. */
export function stepGraph(
  options: SoundGraphOptions,
  { rows, textLength }: Omit<DecoderShape, 'length'>,
  cache: DecoderCache,
): Graph {
  const { graph, builder } = begin(options);
  const { decoder } = options.config;
  const shape = { rows, length: 1, textLength };
  const inputs = declareDecoder(graph, decoder, shape, { training: false, cache });
  const hidden = musicgenDecoder(builder, decoder, inputs, shape, cache);
  for (const k of codebooksOf(options)) graph.output(`logits.${k}`, codebookLogits(builder, decoder, hidden, k));
  return graph;
}
