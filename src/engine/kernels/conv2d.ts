import type { Conv2dShape } from './conv2d_geometry.ts';
import { conv2dBackwardProduct, conv2dProduct, expectUndilated, outputSize } from './conv2d_geometry.ts';
import { conv2dCandidates } from './conv2d_variants.ts';
import { type KernelCall, type KernelTarget, linearGrid } from './kernel.ts';
import { multipleOf4 } from './lanes.ts';
import { weightBytes, weightDefines } from '../weight-formats.ts';
import type { Variant } from './matmul_variants.ts';

export { conv2dBackwardProduct, conv2dProduct } from './conv2d_geometry.ts';
export type { Conv2dShape } from './conv2d_geometry.ts';
export { conv2dCandidates } from './conv2d_variants.ts';
export type { Conv2dOp } from './conv2d_variants.ts';

/**
 * Convolution of pictures that lie pixel after pixel: y[(image, oy, ox), o] = Σ over taps and channels of
 * x[(image, oy·stride - top + ky·dilation, ox·stride - left + kx·dilation), c] · W[o, (ky, kx, c)] (+ bias[o])
 * (+ imageBias[image, o]) (+ residual, shaped like y); x is 0 outside of the picture. The product of unfolded pixels with W
 * (Chellapilla, Puri and Simard, 2006) without the unfolded pixels: tiles compute where their terms lie. All f32 but W, `scales`
 * being W's where its format has them. With part of the output channels, y's row m starts at element yOffset + m · yStride (0
 * and outChannels unless given), imageBias and residual alike.
 */
export function conv2d<T>(
  buffers: {
    x: T;
    w: T;
    scales?: T | undefined;
    y: T;
    bias?: T | undefined;
    imageBias?: T | undefined;
    residual?: T | undefined;
  },
  shape: Conv2dShape & { yOffset?: number; yStride?: number },
  target: KernelTarget,
  variant: Variant = conv2dCandidates('conv2d', shape, target)[0]!,
): KernelCall<T> {
  const { images, height, width, kernel, stride, dilation = 1, padding, channels, outChannels: n, weightType } = shape;
  const { yOffset = 0, yStride = n } = shape;
  const { x, w, scales, y, bias, imageBias, residual } = buffers;
  const out = outputSize(shape);
  const { m, k } = conv2dProduct(shape);
  const tilesM = Math.ceil(m / variant.rows);
  const tilesN = Math.ceil(n / variant.columns);
  return {
    shader: variant.shader,
    defines: {
      ...variant.defines,
      ...weightDefines(weightType, multipleOf4(channels) ? 4 : 1),
      VEC: multipleOf4(channels),
      Y4: variant.defines['Y4'] === true && multipleOf4(n, yOffset, yStride),
    },
    params: {
      m,
      n,
      channels,
      tiles_m: tilesM,
      tiles_n: tilesN,
      height,
      width,
      out_width: out.width,
      out_pixels: out.height * out.width,
      kernel_height: kernel[0],
      kernel_width: kernel[1],
      stride,
      dilation,
      top: padding[0],
      left: padding[1],
      y_offset: yOffset,
      y_stride: yStride,
      has_bias: Number(bias !== undefined),
      has_image_bias: Number(imageBias !== undefined),
      has_residual: Number(residual !== undefined),
    },
    buffers: {
      ...{ x, w, y, bias: bias ?? x, image_bias: imageBias ?? x, residual: residual ?? x },
      ...(scales !== undefined && { w_scales: scales }),
    },
    grid: linearGrid(tilesM * tilesN),
    flops: 2 * m * n * k,
    bytes:
      4 * images * height * width * channels +
      weightBytes(weightType, n * k) +
      4 * m * n * (1 + Number(residual !== undefined)) +
      (bias === undefined ? 0 : 4 * n) +
      (imageBias === undefined ? 0 : 4 * n * images),
  };
}

/**
 * The gradient of `conv2d` towards x: dx[(image, iy, ix), c] = Σ dy[(image, oy, ox), o] · W[o, (ky, kx, c)] over all outputs
 * and taps with oy·stride - top + ky = iy and ox·stride - left + kx = ix (+ residual, shaped like x), or dx += with
 * `accumulate`. `shape` is that of the forward; dy's row m starts at element dyOffset + m · dyStride (0 and outChannels
 * unless given).
 */
export function conv2dBackward<T>(
  buffers: { dy: T; w: T; scales?: T | undefined; dx: T; residual?: T | undefined },
  shape: Conv2dShape & { dyOffset?: number; dyStride?: number; accumulate?: boolean },
  target: KernelTarget,
  variant: Variant = conv2dCandidates('conv2dBackward', shape, target)[0]!,
): KernelCall<T> {
  expectUndilated('conv2dBackward', shape);
  const { images, height, width, kernel, stride, padding, channels, outChannels: n, weightType } = shape;
  const { dyOffset = 0, dyStride = n, accumulate = false } = shape;
  const { dy, w, scales, dx, residual } = buffers;
  const out = outputSize(shape);
  const forward = conv2dProduct(shape);
  const tilesM = Math.ceil(conv2dBackwardProduct(shape).m / variant.rows);
  const tilesK = Math.ceil(channels / variant.columns);
  return {
    shader: variant.shader,
    defines: {
      ...variant.defines,
      ...weightDefines(weightType, multipleOf4(channels) ? 4 : 1),
      VEC: multipleOf4(channels),
      DY4: multipleOf4(n, dyOffset, dyStride),
      ACCUMULATE: accumulate,
    },
    params: {
      n,
      channels,
      tiles_m: tilesM,
      tiles_k: tilesK,
      phase_tiles: tilesM * tilesK,
      images,
      height,
      width,
      out_height: out.height,
      out_width: out.width,
      kernel_height: kernel[0],
      kernel_width: kernel[1],
      stride,
      top: padding[0],
      left: padding[1],
      dy_offset: dyOffset,
      dy_stride: dyStride,
      has_residual: Number(residual !== undefined),
    },
    buffers: { dy, w, dx, residual: residual ?? dy, ...(scales !== undefined && { w_scales: scales }) },
    grid: linearGrid(tilesM * tilesK * stride * stride),
    flops: 2 * forward.m * n * forward.k,
    bytes:
      4 * images * out.height * out.width * n +
      weightBytes(weightType, n * forward.k) +
      4 * images * height * width * channels * (1 + Number(residual !== undefined) + Number(accumulate)),
  };
}
