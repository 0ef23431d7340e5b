import { binary, constant, operand } from '../../engine/ops/expression.ts';
import type { Tensor } from '../../engine/tensor.ts';
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

/** Height and width after `downsample`. */
export function halved({ height, width }: Omit<Pictures, 'images'>, padding: number) {
  const total = padding === 0 ? 1 : 2 * padding;
  const half = (size: number): number => Math.floor((size + total - 3) / 2) + 1;
  return { height: half(height), width: half(width) };
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
  const y = b.block(() =>
    b.conv(x, conv3(`${name}.conv`, channels, channels), { ...pictures, stride: 2, padding: around }),
  );
  return { y, pictures: { ...pictures, ...halved(pictures, padding) } };
}

/** Twice the size, or one row or column less where `size` says so: every pixel four times, and a convolution. */
export function upsample(
  b: ModelBuilder,
  x: Tensor,
  name: string,
  channels: number,
  pictures: Pictures,
  size?: Omit<Pictures, 'images'>,
): { y: Tensor; pictures: Pictures } {
  const twice = { ...pictures, height: 2 * pictures.height, width: 2 * pictures.width };
  const larger = { ...twice, ...size };
  const [bottom, right] = [twice.height - larger.height, twice.width - larger.width];
  const y = b.block(() => {
    let copied = b.graph.emit('upsampleNearest', { x }, { ...pictures }).y;
    if (bottom > 0 || right > 0) {
      // Unfolding single pixels, with less than no padding, cuts the last ones off.
      const cut = { ...twice, kernel: [1, 1], stride: 1, padding: [0, 0, -bottom, -right] } as const;
      copied = b.graph.emit('unfold', { x: copied }, cut).y;
    }
    return b.conv(copied, conv3(`${name}.conv`, channels, channels), larger);
  });
  return { y, pictures: larger };
}
