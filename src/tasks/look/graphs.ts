import { Graph } from '../../engine/graph.ts';
import type { DType, Tensor } from '../../engine/tensor.ts';
import type { AdapterHook } from '../../models/layers/builder.ts';
import { ModelBuilder } from '../../models/layers/builder.ts';
import type { VaeConfig } from '../../models/stable-diffusion/autoencoder-kl.ts';
import { vaeDecoder, vaeEncoder } from '../../models/stable-diffusion/autoencoder-kl.ts';
import type { TextShape } from '../../models/clip/text-encoder.ts';
import { clipText, declareClipText } from '../../models/clip/text-encoder.ts';
import type { TextEncoder } from '../../models/stable-diffusion/checkpoint.ts';
import type { Pictures } from '../../models/layers/resnet.ts';
import type { UnetConfig, UnetShape } from '../../models/stable-diffusion/unet-2d-condition.ts';
import { unet } from '../../models/stable-diffusion/unet-2d-condition.ts';

export interface LookGraphOptions {
  unet: UnetConfig;
  /** One, or SDXL's two, whose states lie side by side. */
  text: readonly TextEncoder[];
  dtypeOf: (name: string) => DType;
  adapter?: AdapterHook | undefined;
  maxBinding: number;
}

function begin({ dtypeOf, adapter, maxBinding }: Omit<LookGraphOptions, 'unet' | 'text'>) {
  const graph = new Graph(maxBinding);
  return { graph, builder: new ModelBuilder({ graph, dtypeOf, adapter }) };
}

/**
 * States of texts as the UNet hears them: Stable Diffusion 1 and 2 take the last layer's, normed; SDXL the last but one of
 * both encoders side by side, and the second's projected summary.
 */
function textStates(
  b: ModelBuilder,
  { unet: { added }, text }: LookGraphOptions,
  shape: TextShape,
  training: boolean,
): { context: Tensor; textEmbeds?: Tensor } {
  const states = text.map(({ name, config }) =>
    clipText(b, config, name, declareClipText(b.graph, config, name, shape, training), shape),
  );
  const [first, second] = states;
  if (!added) return { context: first!.lastHiddenState };
  const parts = states.map(({ penultimate }) => penultimate);
  const context = second ? b.graph.emit('concat', { x0: parts[0]!, x1: parts[1]! }, {}).y : parts[0]!;
  return { context, textEmbeds: states.at(-1)!.textEmbeds! };
}

/** Inputs as declareClipText; outputs `states` [texts · length, D] and, for SDXL, `pooled` [texts, P]. */
export function textGraph(options: LookGraphOptions, shape: TextShape): Graph {
  const { graph, builder } = begin(options);
  const { context, textEmbeds } = textStates(builder, options, shape, false);
  graph.output('states', context);
  if (textEmbeds) graph.output('pooled', textEmbeds);
  return graph;
}

/** Inputs as declareUnet; output `prediction` [images · height · width, outChannels]. */
export function unetGraph(options: LookGraphOptions, shape: UnetShape): Graph {
  const { graph, builder } = begin(options);
  graph.output('prediction', unet(builder, options.unet, 'unet', shape, { training: false }));
  return graph;
}

/**
 * Inputs as declareUnet (with `trainText` those of declareClipText in place of the text's states), `target`
 * [images · height · width, channels] and `weight` [images · height · width]; output `loss`, Σ weight (prediction - target)².
 * @param recompute with a number: gradients are taken, and the first so many blocks are computed again instead of kept
 */
export function lossGraph(
  options: LookGraphOptions,
  shape: UnetShape,
  trainText: boolean,
  recompute?: number,
): { graph: Graph; blocks: number } {
  const { graph, builder } = begin(options);
  const training = recompute !== undefined;
  const { images, contextLength } = shape;
  const given = trainText ? textStates(builder, options, { images, length: contextLength }, training) : {};
  const x = unet(builder, options.unet, 'unet', shape, { training, ...given });
  const rows = images * shape.height * shape.width;
  const target = graph.input('target', [rows, options.unet.outChannels]);
  const weight = graph.input('weight', [rows]);
  const { loss } = graph.emit('squaredError', { x, target, weight }, { withGradient: training });
  graph.output('loss', graph.emit('sum', { x: loss }, {}).y);
  if (training) graph.backward((block) => block < recompute);
  return { graph, blocks: builder.blocks };
}

type VaeGraphOptions = Omit<LookGraphOptions, 'unet' | 'text' | 'adapter'> & { vae: VaeConfig };

/** Inputs as vaeEncoder; output `moments` [images · h · w, 2 · latentChannels]. */
export function encoderGraph(options: VaeGraphOptions, pictures: Pictures): Graph {
  const { graph, builder } = begin(options);
  graph.output('moments', vaeEncoder(builder, options.vae, 'vae', pictures));
  return graph;
}

/** Inputs as vaeDecoder; output `pixels` [images · H · W, 3]. */
export function decoderGraph(options: VaeGraphOptions, latents: Pictures): Graph {
  const { graph, builder } = begin(options);
  graph.output('pixels', vaeDecoder(builder, options.vae, 'vae', latents));
  return graph;
}

/** Every weight of the autoencoder, in a graph that is never run. */
export function vaeWeights(options: VaeGraphOptions, side: number): Graph {
  const { graph, builder } = begin(options);
  vaeEncoder(builder, options.vae, 'vae', { images: 1, height: side, width: side });
  const decoder = begin(options);
  vaeDecoder(decoder.builder, options.vae, 'vae', { images: 1, height: 1, width: 1 });
  for (const [key, weight] of decoder.graph.weights) graph.weights.set(key, weight);
  return graph;
}
