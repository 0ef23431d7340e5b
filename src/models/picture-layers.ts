import { binary, constant, operand } from '../engine/ops/expression.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { ModelBuilder, Projection } from './builder.ts';

/** Feature maps: rows are pixels, those of an image one after the other. */
export interface Pictures {
  images: number;
  height: number;
  width: number;
}

export const pixelsOf = ({ height, width }: Pictures): number => height * width;

export const conv3 = (name: string, inFeatures: number, outFeatures: number): Projection => ({
  name,
  inFeatures,
  outFeatures,
  bias: true,
  kernel: [3, 3],
});

export const conv1 = (name: string, inFeatures: number, outFeatures: number): Projection => ({
  name,
  inFeatures,
  outFeatures,
  bias: true,
  kernel: [1, 1],
});

export interface ResnetOptions {
  inChannels: number;
  outChannels: number;
  pictures: Pictures;
  groups: number;
  eps: number;
  /** SiLU of the time embedding, [images, timeChannels]. */
  time?: { embedding: Tensor; channels: number } | undefined;
  /** Channels of a shorter way, put beside x. */
  skip?: Tensor | undefined;
  /** What the sum is divided by. */
  divisor?: number | undefined;
}

/** diffusers' ResnetBlock2D: two convolutions, each after a norm, beside a shortcut. One unit of recomputation. */
export function resnet(b: ModelBuilder, input: Tensor, name: string, options: ResnetOptions): Tensor {
  const { inChannels, outChannels, pictures, groups, eps, time, skip, divisor = 1 } = options;
  const { graph } = b;
  const norm = { images: pictures.images, groups, eps, activation: 'silu' } as const;
  return b.block(() => {
    const x = skip ? graph.emit('concat', { x0: input, x1: skip }, {}).y : input;
    const imageBias =
      time &&
      b.projections(time.embedding, [
        { name: `${name}.time_emb_proj`, inFeatures: time.channels, outFeatures: outChannels, bias: true },
      ]);
    const first = b.conv(
      b.groupNorm(x, `${name}.norm1`, inChannels, norm),
      conv3(`${name}.conv1`, inChannels, outChannels),
      pictures,
      { imageBias },
    );
    const second = b.groupNorm(first, `${name}.norm2`, outChannels, norm);
    const residual =
      inChannels === outChannels ? x : b.conv(x, conv1(`${name}.conv_shortcut`, inChannels, outChannels), pictures);
    const y = b.conv(second, conv3(`${name}.conv2`, outChannels, outChannels), pictures, { residual });
    return divisor === 1 ? y : graph.map(binary('mul', operand(0), constant(1 / divisor)), [y]);
  });
}

/** Half the size by a convolution; padding 0 means diffusers' zeros at the right and bottom only. */
export function downsample(
  b: ModelBuilder,
  x: Tensor,
  name: string,
  channels: number,
  pictures: Pictures,
  padding: number,
): { y: Tensor; pictures: Pictures } {
  const around = padding === 0 ? ([0, 0, 1, 1] as const) : padding;
  const total = padding === 0 ? 1 : 2 * padding;
  const half = (size: number): number => Math.floor((size + total - 3) / 2) + 1;
  const y = b.block(() =>
    b.conv(x, conv3(`${name}.conv`, channels, channels), { ...pictures, stride: 2, padding: around }),
  );
  return { y, pictures: { ...pictures, height: half(pictures.height), width: half(pictures.width) } };
}

/** Twice the size: every pixel four times, and a convolution. */
export function upsample(
  b: ModelBuilder,
  x: Tensor,
  name: string,
  channels: number,
  pictures: Pictures,
): { y: Tensor; pictures: Pictures } {
  const larger = { ...pictures, height: 2 * pictures.height, width: 2 * pictures.width };
  const y = b.block(() => {
    const copied = b.graph.emit('upsampleNearest', { x }, { ...pictures }).y;
    return b.conv(copied, conv3(`${name}.conv`, channels, channels), larger);
  });
  return { y, pictures: larger };
}
