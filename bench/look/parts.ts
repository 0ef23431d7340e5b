/** Parts of Stable Diffusion 1.5 as graphs of their own, at the shapes that they have inside the whole. */
import type { Graph } from '../../src/engine/graph.ts';
import type { InputData } from '../../src/engine/program.ts';
import type { DType, Tensor } from '../../src/engine/tensor.ts';
import {
  parseVaeConfig,
  vaeDecoderInputs,
  vaeEncoderInputs,
} from '../../src/models/stable-diffusion/autoencoder-kl.ts';
import type { AdapterHook, ModelBuilder } from '../../src/models/layers/builder.ts';
import { clipTextInputs, parseClipTextConfig } from '../../src/models/clip/text-encoder.ts';
import type { Pictures } from '../../src/models/layers/resnet.ts';
import { downsample, pixelsOf, resnet, upsample } from '../../src/models/layers/resnet.ts';
import { rangesByImage } from '../../src/models/layers/ranges.ts';
import { parseUnetConfig, unetInputs } from '../../src/models/stable-diffusion/unet-2d-condition.ts';
import { transformer } from '../../src/models/stable-diffusion/unet/transformer.ts';
import { ClipConditioner } from '../../src/models/stable-diffusion/clip-conditioner.ts';
import { KlPictureAutoencoder } from '../../src/models/stable-diffusion/kl-picture-autoencoder.ts';
import { UnetDenoiser } from '../../src/models/stable-diffusion/unet-denoiser.ts';
import { conditionsGraph, lossGraph, predictionGraph } from '../../src/tasks/denoising/graphs.ts';
import { decoderGraph, encoderGraph } from '../../src/tasks/look/autoencoder-graphs.ts';
import { uniform } from '../ops-work.ts';
import { CONFIGS } from './sd15.ts';

export const UNET = parseUnetConfig(CONFIGS.unet);
const VAE = parseVaeConfig(CONFIGS.vae);
export const TEXT = parseClipTextConfig(CONFIGS.text_encoder, { withProjection: false });
/** The parts as training and drawing take them; no prompt is ever tokenized here. */
export const MODEL = {
  denoiser: new UnetDenoiser(UNET),
  conditioner: new ClipConditioner([{ name: 'text_encoder', config: TEXT }], {
    withSummary: false,
    zerosForEmptyPrompt: false,
    tokenizers: () => Promise.resolve([]),
  }),
  autoencoder: new KlPictureAutoencoder(VAE),
};
const TOKENS = 77;
const LEVELS = UNET.channels.length;

/** What a part is made for: one picture's training step, or one evaluation with guidance, two pictures at once. */
export interface Purpose {
  training: boolean;
  images: number;
  /** Pixels of the picture a side. */
  pixels: number;
}

export interface GraphOptions {
  dtypeOf: (name: string) => DType;
  adapter?: AdapterHook | undefined;
  maxBinding: number;
}

interface Level {
  name: string;
  level: number;
  /** Of each residual block: its own input, and what comes across. */
  resnets: { inChannels: number; skip?: number }[];
  attends: boolean;
  end?: 'down' | 'up';
}

/** The blocks by name, as `unet` puts them together. */
function unetLevels(): Level[] {
  const { channels, layersPerBlock, downAttention, upAttention } = UNET;
  const across = [channels[0]!];
  const found: Level[] = [];
  for (let level = 0; level < LEVELS; level++) {
    const own = channels[level]!;
    const before = channels[Math.max(0, level - 1)]!;
    const resnets = Array.from({ length: layersPerBlock[level]! }, (_, i) => ({ inChannels: i === 0 ? before : own }));
    across.push(...resnets.map(() => own));
    if (level < LEVELS - 1) across.push(own);
    const end = level < LEVELS - 1 ? ({ end: 'down' } as const) : {};
    found.push({ name: `down${level}`, level, resnets, attends: downAttention[level]!, ...end });
  }
  const last = channels[LEVELS - 1]!;
  found.push({ name: 'mid', level: LEVELS - 1, resnets: [{ inChannels: last }, { inChannels: last }], attends: true });
  let before = last;
  for (let level = LEVELS - 1; level >= 0; level--) {
    const resnets = Array.from({ length: layersPerBlock[level]! + 1 }, () => {
      const each = { inChannels: before, skip: across.pop()! };
      before = channels[level]!;
      return each;
    });
    const end = level > 0 ? ({ end: 'up' } as const) : {};
    found.push({ name: `up${LEVELS - 1 - level}`, level, resnets, attends: upAttention[level]!, ...end });
  }
  return found;
}

export const UNET_BLOCKS = unetLevels().map(({ name }) => name);
export const PARTS = [...UNET_BLOCKS, 'unet', 'text', 'vae-encoder', 'vae-decoder'];

/** Features that a block's inputs are projected from, with an adapter, so that a gradient has to reach them as in the whole. */
const BEFORE = 16;

/** Inputs of a UNet block: x, what comes across, the time embedding, the text, and who sees whom. */
function block(b: ModelBuilder, { name, level, resnets, attends, end }: Level, { training, images, pixels }: Purpose) {
  const { graph } = b;
  const { channels, groups, eps, timeDim, heads, contextDim, linearProjection } = UNET;
  const side = pixels / 8 / 2 ** level;
  const pictures: Pictures = { images, height: side, width: side };
  const rows = images * pixelsOf(pictures);
  const outChannels = channels[level]!;
  const given = (key: string, width: number): Tensor =>
    training
      ? b.projections(graph.input(key, [rows, BEFORE]), [
          { name: `unet.${key}`, inFeatures: BEFORE, outFeatures: width },
        ])
      : graph.input(key, [rows, width]);
  const time = { embedding: graph.input('time', [images, timeDim]), channels: timeDim };
  const context = attends ? graph.input('context', [images * TOKENS, contextDim]) : undefined;
  const ranges = {
    own: graph.input('own', [rows, 2], 'u32'),
    text: graph.input('text', [rows, 2], 'u32'),
    ...(training && { textQueries: graph.input('textQueries', [images * TOKENS, 2], 'u32') }),
  };
  let x = given('before', resnets[0]!.inChannels);
  resnets.forEach(({ inChannels, skip }, i) => {
    x = resnet(b, x, `unet.${name}.resnets.${i}`, {
      ...{ inChannels: inChannels + (skip ?? 0), outChannels, pictures, groups, eps, time },
      ...(skip !== undefined && { skip: given(`across${i}`, skip) }),
    });
    // The middle has a transformer between its two residual blocks.
    if (!context || (name === 'mid' && i > 0)) return;
    x = transformer(b, x, `unet.${name}.attentions.${i}`, {
      ...{ channels: outChannels, heads: heads[level]!, depth: 1, onlyCrossAttention: false, linearProjection },
      ...{ pictures, groups, context, contextDim, ranges },
    });
  });
  if (end === 'down') x = downsample(b, x, `unet.${name}.downsamplers.0`, outChannels, pictures, 1).y;
  if (end === 'up') x = upsample(b, x, `unet.${name}.upsamplers.0`, outChannels, pictures).y;
  return x;
}

/** A UNet block's graph, onto one of its own; returns its result. */
export function traceBlock(b: ModelBuilder, name: string, purpose: Purpose): Tensor {
  const found = unetLevels().find((each) => each.name === name);
  if (!found) throw new Error(`There is no part ${name}: choose from ${PARTS.join(', ')}.`);
  return block(b, found, purpose);
}

/** Graph of a part that the models layer has whole. */
export function wholeGraph(name: string, options: GraphOptions, { training, images, pixels }: Purpose): Graph {
  const side = pixels / 8;
  const all = { ...options, ...MODEL };
  const lengths = { encoder_hidden_states: TOKENS };
  if (name === 'text') return conditionsGraph(all, { rows: 1, lengths });
  if (name === 'vae-encoder') return encoderGraph(all, { images: 1, height: pixels, width: pixels });
  if (name === 'vae-decoder') return decoderGraph(all, { images: 1, height: side, width: side });
  const shape = { rows: images, sample: [4, side, side], lengths };
  return training ? lossGraph(all, shape, { recompute: 0 }).graph : predictionGraph(all, shape);
}

/** Values for whatever inputs a part's graph has. */
export function partInputs(graph: Graph, name: string, { images, pixels }: Purpose): Record<string, InputData> {
  const side = pixels / 8;
  let known: Record<string, InputData> = {};
  if (name === 'text') {
    known = clipTextInputs(
      [Array.from({ length: TOKENS }, (_, i) => (i * 631) % TEXT.vocabSize)],
      TEXT,
      'text_encoder',
    );
  } else if (name === 'unet') {
    const shape = { images, height: side, width: side, contextLength: TOKENS };
    known = unetInputs(UNET, shape, {
      sample: uniform(images * 4 * side * side, 1),
      timesteps: Array.from({ length: images }, () => 400),
    });
  } else if (name === 'vae-encoder') {
    const picture = { images: 1, height: pixels, width: pixels };
    known = vaeEncoderInputs(VAE, picture, uniform(3 * pixels * pixels, 1));
  } else if (name === 'vae-decoder') {
    known = vaeDecoderInputs(VAE, { images: 1, height: side, width: side }, uniform(4 * side * side, 1));
  } else {
    const here = (graph.inputs.get('own')?.shape[0] ?? 0) / images;
    known = {
      own: rangesByImage(images, here, here),
      text: rangesByImage(images, here, TOKENS),
      textQueries: rangesByImage(images, TOKENS, here),
    };
  }
  return Object.fromEntries(
    [...graph.inputs].map(([key, { shape }], i) => [
      key,
      known[key] ??
        uniform(
          shape.reduce((a, c) => a * c, 1),
          i,
        ),
    ]),
  );
}
