import { Graph } from '../../engine/graph.ts';
import { CODEC_PARTS, codecPart } from '../../models/encodec/encodec.ts';
import type { CodecPart, CodecShape } from '../../models/encodec/encodec.ts';
import { channelCodebooks } from '../../models/musicgen/delay.ts';
import type { SoundGraphOptions } from './graphs.ts';
import { begin } from './graphs.ts';

/** Names of all of the codec's weights begin with it. */
const CODEC = 'audio_encoder';

/** One of the codec's programs, see codecPart. */
export function codecGraph(
  options: SoundGraphOptions,
  part: CodecPart,
  { frames, windows }: Omit<CodecShape, 'codebooks'>,
): Graph {
  const { graph, builder } = begin({ ...options, adapter: undefined });
  const codebooks = channelCodebooks(options.config.decoder);
  codecPart(builder, options.config.audio, CODEC, part, { frames, windows, codebooks });
  return graph;
}

/** A graph that declares every weight of the codec. */
export function codecWeights(options: SoundGraphOptions): Graph {
  const all = new Graph(options.maxBinding);
  for (const part of CODEC_PARTS) {
    for (const [key, { spec }] of codecGraph(options, part, { frames: 1, windows: 1 }).weights) all.weight(key, spec);
  }
  return all;
}
