import { vaeDecoder, vaeEncoder } from '../../src/models/stable-diffusion/autoencoder-kl.ts';
import { ModelBuilder } from '../../src/models/layers/builder.ts';
import { clipText, declareClipText } from '../../src/models/clip/text-encoder.ts';
import type { DiffusionCheckpoint } from '../../src/models/stable-diffusion/checkpoint.ts';
import { Graph } from '../../src/engine/graph.ts';
import type { WeightSpec } from '../../src/engine/graph.ts';
import { unet } from '../../src/models/stable-diffusion/unet-2d-condition.ts';

type Described = Pick<DiffusionCheckpoint, 'unet' | 'vae' | 'textEncoders'>;

/** A graph that declares every weight of a model. */
export function wholeGraph({ unet: config, vae, textEncoders }: Described): Graph {
  const graph = new Graph();
  const b = new ModelBuilder({ graph, dtypeOf: () => 'f32' });
  const side = 2 ** (config.channels.length - 1);
  unet(b, config, 'unet', { images: 1, height: side, width: side, contextLength: 2 }, { training: false });
  vaeDecoder(b, vae, 'vae', { images: 1, height: 1, width: 1 });
  const encoder = new Graph();
  vaeEncoder(new ModelBuilder({ graph: encoder, dtypeOf: () => 'f32' }), vae, 'vae', {
    images: 1,
    height: 2 ** (vae.channels.length - 1),
    width: 2 ** (vae.channels.length - 1),
  });
  for (const [key, weight] of encoder.weights) graph.weights.set(key, weight);
  for (const { name, config: text } of textEncoders) {
    const shape = { images: 1, length: 2 };
    clipText(b, text, name, declareClipText(graph, text, name, shape, false), shape);
  }
  return graph;
}

/** Every tensor that a model asks for. */
export const allSources = (model: Described): WeightSpec['sources'][number][] =>
  [...wholeGraph(model).weights.values()].flatMap(({ spec }) => spec.sources);
