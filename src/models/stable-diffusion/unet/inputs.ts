import type { Graph } from '../../../engine/graph.ts';
import type { InputData } from '../../../engine/program.ts';
import type { Tensor } from '../../../engine/tensor.ts';
import { rangesByImage } from '../../layers/ranges.ts';
import type { UnetConfig } from './unet-config.ts';
import { TIME_IDS, levelSizes } from './unet-config.ts';

/** Latents of one size, and texts of one length. */
export interface UnetShape {
  images: number;
  /** Latent pixels. */
  height: number;
  width: number;
  /** Tokens of each text. */
  contextLength: number;
}

/** Who sees whom at one level, u32 pairs. */
export interface LevelRanges {
  /** [images · pixels, 2]: pixels see those of their own image; the same in both directions. */
  own: Tensor;
  /** [images · pixels, 2]: pixels see their image's text. */
  text: Tensor;
  /** [images · contextLength, 2]: texts are seen by their image's pixels; for gradients. */
  textQueries?: Tensor;
}

export interface UnetTensors {
  /** [images · height · width, inChannels] */
  sample: Tensor;
  /** [images, channels of the first level]: cosines and sines of the timesteps. */
  timeFeatures: Tensor;
  /** [images · contextLength, contextDim] */
  context: Tensor;
  /** SDXL: [images, 6 · added.timeDim] and [images, added.textDim]. */
  added?: { timeIdFeatures: Tensor; textEmbeds: Tensor };
  /** By level; those without attention have none. */
  ranges: readonly (LevelRanges | undefined)[];
}

const usesAttention = (config: UnetConfig, level: number): boolean =>
  config.downAttention[level]! ||
  config.upAttention[level]! ||
  (config.midBlock && level === config.channels.length - 1);

/**
 * Declares the inputs `sample`, `timeFeatures`, `context`, for SDXL `timeIdFeatures` and `textEmbeds`, and for each level with
 * attention `ownRanges.0`, `textRanges.0`, `textQueryRanges.0` and so on. `given` are tensors of the same graph that take the
 * place of inputs: the states of text encoders that are trained along.
 */
export function declareUnet(
  graph: Graph,
  config: UnetConfig,
  shape: UnetShape,
  {
    training,
    context,
    textEmbeds,
  }: { training: boolean; context?: Tensor | undefined; textEmbeds?: Tensor | undefined },
): UnetTensors {
  const sizes = levelSizes(config, shape);
  const { images, height, width, contextLength } = shape;
  const { added } = config;
  return {
    sample: graph.input('sample', [images * height * width, config.inChannels]),
    timeFeatures: graph.input('timeFeatures', [images, config.channels[0]!]),
    context: context ?? graph.input('context', [images * contextLength, config.contextDim]),
    ...(added && {
      added: {
        timeIdFeatures: graph.input('timeIdFeatures', [images, TIME_IDS * added.timeDim]),
        textEmbeds: textEmbeds ?? graph.input('textEmbeds', [images, added.textDim]),
      },
    }),
    ranges: config.channels.map((_, level) => {
      if (!usesAttention(config, level)) return undefined;
      const pixels = images * sizes[level]!.height * sizes[level]!.width;
      return {
        own: graph.input(`ownRanges.${level}`, [pixels, 2], 'u32'),
        text: graph.input(`textRanges.${level}`, [pixels, 2], 'u32'),
        ...(training && {
          textQueries: graph.input(`textQueryRanges.${level}`, [images * contextLength, 2], 'u32'),
        }),
      };
    }),
  };
}

/**
 * Sines and cosines of numbers at falling frequencies (Vaswani et al., arXiv:1706.03762, as diffusers' Timesteps has them):
 * [numbers, dim]. In float64 on the processor: WGSL promises little for arguments up to 999.
 */
export function sinusoidal(
  numbers: readonly number[],
  dim: number,
  { flipSinToCos, freqShift }: Pick<UnetConfig, 'flipSinToCos' | 'freqShift'>,
): Float32Array<ArrayBuffer> {
  const half = Math.floor(dim / 2);
  const features = new Float32Array(numbers.length * dim);
  numbers.forEach((number, row) => {
    for (let i = 0; i < half; i++) {
      const angle = number * Math.exp((-Math.log(10000) * i) / (half - freqShift));
      const [first, second] = flipSinToCos ? [Math.cos(angle), Math.sin(angle)] : [Math.sin(angle), Math.cos(angle)];
      features[row * dim + i] = first;
      features[row * dim + half + i] = second;
    }
  });
  return features;
}

export interface UnetValues {
  /** [N, C, h, w] */
  sample: ArrayLike<number>;
  /** One each; fractions are allowed. */
  timesteps: readonly number[];
  /** [N, contextLength, contextDim]; may be left out where the graph computes it. */
  encoderHiddenStates?: ArrayLike<number> | undefined;
  /** SDXL: [N, added.textDim]; may be left out where the graph computes it. */
  textEmbeds?: ArrayLike<number> | undefined;
  /** SDXL: six each, see TIME_IDS. */
  timeIds?: readonly number[] | undefined;
}

/** Values for the inputs that `declareUnet` declares. Throws where their numbers do not fit the shape. */
export function unetInputs(config: UnetConfig, shape: UnetShape, values: UnetValues): Record<string, InputData> {
  const { images, height, width, contextLength } = shape;
  const { inChannels, contextDim, added } = config;
  const pixels = height * width;
  const expect = (name: string, length: number, expected: number): void => {
    if (length !== expected) throw new Error(`${name} holds ${length} numbers where ${expected} are needed`);
  };
  expect('sample', values.sample.length, images * inChannels * pixels);
  expect('timesteps', values.timesteps.length, images);
  const sample = new Float32Array(values.sample.length);
  const scale = config.centerInput ? 2 : 1;
  const shift = config.centerInput ? -1 : 0;
  for (let row = 0; row < images * pixels; row++) {
    const from = Math.floor(row / pixels) * inChannels * pixels + (row % pixels);
    for (let c = 0; c < inChannels; c++)
      sample[row * inChannels + c] = scale * values.sample[from + c * pixels]! + shift;
  }
  const inputs: Record<string, InputData> = {
    sample,
    timeFeatures: sinusoidal(values.timesteps, config.channels[0]!, config),
  };
  if (values.encoderHiddenStates) {
    expect('encoderHiddenStates', values.encoderHiddenStates.length, images * contextLength * contextDim);
    inputs['context'] = Float32Array.from(values.encoderHiddenStates);
  }
  if (added) {
    const timeIds = values.timeIds ?? [];
    expect('timeIds', timeIds.length, images * TIME_IDS);
    inputs['timeIdFeatures'] = sinusoidal(timeIds, added.timeDim, config);
    if (values.textEmbeds) {
      expect('textEmbeds', values.textEmbeds.length, images * added.textDim);
      inputs['textEmbeds'] = Float32Array.from(values.textEmbeds);
    }
  }
  levelSizes(config, shape).forEach((size, level) => {
    if (!usesAttention(config, level)) return;
    const here = size.height * size.width;
    inputs[`ownRanges.${level}`] = rangesByImage(images, here, here);
    inputs[`textRanges.${level}`] = rangesByImage(images, here, contextLength);
    inputs[`textQueryRanges.${level}`] = rangesByImage(images, contextLength, here);
  });
  return inputs;
}
