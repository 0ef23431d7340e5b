import type { WeightType } from '../weight-formats.ts';
import type { MatmulShape } from './matmul_variants.ts';

/** A convolution's picture and kernel: pixels, rows of the matrices [images · height · width, channels]. */
export interface Conv2dGeometry {
  images: number;
  /** of x */
  height: number;
  width: number;
  kernel: readonly [height: number, width: number];
  stride: number;
  /** Pixels from one tap to the next; default 1. Only conv2d takes more. */
  dilation?: number;
  /** zeros around x */
  padding: readonly [top: number, left: number, bottom: number, right: number];
}

/** Height and width of what comes out. Throws where the kernel does not fit into the padded picture. */
export function outputSize({ height, width, kernel, stride, dilation = 1, padding }: Conv2dGeometry): {
  height: number;
  width: number;
} {
  const [top, left, bottom, right] = padding;
  const reach = (taps: number): number => dilation * (taps - 1) + 1;
  const size = {
    height: Math.floor((height + top + bottom - reach(kernel[0])) / stride) + 1,
    width: Math.floor((width + left + right - reach(kernel[1])) / stride) + 1,
  };
  if (!(size.height >= 1 && size.width >= 1)) {
    throw new Error(
      `a kernel of ${kernel.map(reach).join(' × ')} does not fit into ${height} × ${width} with padding ${padding.join()}`,
    );
  }
  return size;
}

/** Throws where taps lie apart, for what has no use for that. */
export function expectUndilated(what: string, { dilation = 1 }: Conv2dGeometry): void {
  if (dilation !== 1) throw new Error(`${what}: a dilation of ${dilation} is for conv2d alone, forward`);
}

/** The taps of the kernel. */
export const tapsOf = ({ kernel }: Conv2dGeometry): number => kernel[0] * kernel[1];

export interface Conv2dShape extends Conv2dGeometry {
  /** of x */
  channels: number;
  /** Output channels that this weight holds: all of them, or those of one part. */
  outChannels: number;
  weightType: WeightType;
}

/** The product that a convolution is: pixels of y by output channels, sums over taps and channels. */
export function conv2dProduct(shape: Conv2dShape): MatmulShape {
  const out = outputSize(shape);
  const { outChannels: n, channels, weightType } = shape;
  return { m: shape.images * out.height * out.width, n, k: tapsOf(shape) * channels, weightType };
}

/** Pixels of x by its channels, sums over output channels and the taps of one phase. */
export function conv2dBackwardProduct(shape: Conv2dShape): MatmulShape {
  const { images, height, width, kernel, stride, channels, outChannels, weightType } = shape;
  return {
    m: images * Math.ceil(height / stride) * Math.ceil(width / stride),
    n: channels,
    k: Math.ceil(kernel[0] / stride) * Math.ceil(kernel[1] / stride) * outChannels,
    weightType,
  };
}
