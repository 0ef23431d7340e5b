import type { Graph } from '../../engine/graph.ts';
import type { PictureAutoencoder } from '../../models/diffusion/picture-model.ts';
import type { Pictures } from '../../models/layers/resnet.ts';
import type { GraphOptions } from '../denoising/graphs.ts';
import { newGraph } from '../denoising/graphs.ts';

export interface AutoencoderGraphOptions extends Omit<GraphOptions, 'adapter'> {
  autoencoder: PictureAutoencoder;
}

/** Inputs as the encoder's; output `distribution` [images · h · w, 2 · latentChannels]: means, then logarithms of variances. */
export function encoderGraph(options: AutoencoderGraphOptions, pixels: Pictures): Graph {
  const { graph, builder } = newGraph(options);
  graph.output('distribution', options.autoencoder.encoder(builder, pixels));
  return graph;
}

/** Inputs as the decoder's; output `pixels` [images · H · W, 3]. */
export function decoderGraph(options: AutoencoderGraphOptions, latents: Pictures): Graph {
  const { graph, builder } = newGraph(options);
  graph.output('pixels', options.autoencoder.decoder(builder, latents));
  return graph;
}

/** Every weight of the autoencoder, in a graph that is never run. */
export function autoencoderWeights(options: AutoencoderGraphOptions): Graph {
  const { autoencoder } = options;
  const { graph, builder } = newGraph(options);
  autoencoder.encoder(builder, { images: 1, height: autoencoder.factor, width: autoencoder.factor });
  const decoder = newGraph(options);
  autoencoder.decoder(decoder.builder, { images: 1, height: 1, width: 1 });
  for (const [key, weight] of decoder.graph.weights) graph.weights.set(key, weight);
  return graph;
}
