import type { Conv2dGeometry } from './conv2d_geometry.ts';
import { expectUndilated, outputSize, tapsOf } from './conv2d_geometry.ts';
import type { KernelCall } from './kernel.ts';
import { linearGrid } from './kernel.ts';
import { vectorWidth } from './lanes.ts';

const LANES = 64;

/** What the four kernels here have in common: one invocation for each element, or four neighbouring channels, of the result. */
function pixelwise(rows: number, channels: number) {
  const vector = vectorWidth(channels);
  const count = (rows * channels) / vector;
  return {
    defines: { V: vector === 4 ? 'vec4<f32>' : 'f32' },
    params: { count, line: channels / vector },
    grid: linearGrid(Math.ceil(count / LANES)),
  };
}

/**
 * y[images · outHeight · outWidth, taps · channels]: for each output pixel of a convolution the pixels of x under its kernel,
 * tap after tap, 0 outside of the picture. A product with a weight [O, taps · channels] is then the convolution.
 */
export function unfold<T>(shape: Conv2dGeometry & { channels: number }, buffers: { x: T; y: T }): KernelCall<T> {
  expectUndilated('unfold', shape);
  const { images, height, width, kernel, stride, padding, channels } = shape;
  const out = outputSize(shape);
  const taps = tapsOf(shape);
  const rows = images * out.height * out.width;
  const { defines, params, grid } = pixelwise(rows * taps, channels);
  return {
    shader: 'unfold',
    defines,
    params: {
      ...params,
      taps,
      height,
      width,
      out_width: out.width,
      out_pixels: out.height * out.width,
      kernel_width: kernel[1],
      stride,
      top: padding[0],
      left: padding[1],
    },
    buffers,
    grid,
    flops: 0,
    bytes: 4 * channels * (images * height * width + rows * taps),
  };
}

/** The gradient of `unfold` towards x, dx[images · height · width, channels], plus `add` where it is given. */
export function fold<T>(
  shape: Conv2dGeometry & { channels: number },
  buffers: { dy: T; dx: T; add?: T | undefined },
): KernelCall<T> {
  expectUndilated('fold', shape);
  const { images, height, width, kernel, stride, padding, channels } = shape;
  const { dy, dx, add } = buffers;
  const out = outputSize(shape);
  const read = images * out.height * out.width * tapsOf(shape) * channels;
  const { defines, params, grid } = pixelwise(images * height * width, channels);
  return {
    shader: 'fold',
    defines: { ...defines, ADD: add !== undefined },
    params: {
      ...params,
      height,
      width,
      out_height: out.height,
      out_width: out.width,
      kernel_height: kernel[0],
      kernel_width: kernel[1],
      stride,
      top: padding[0],
      left: padding[1],
    },
    buffers: { dy, dx, ...(add !== undefined && { add }) },
    grid,
    flops: read,
    bytes: 4 * read + (add === undefined ? 4 : 8) * images * height * width * channels,
  };
}

/** y[images · 2 height · 2 width, channels]: each pixel of x [images · height · width, channels] four times. */
export function upsampleNearest<T>(
  shape: { images: number; height: number; width: number; channels: number },
  buffers: { x: T; y: T },
): KernelCall<T> {
  const { images, height, width, channels } = shape;
  const pixels = images * height * width;
  const { defines, params, grid } = pixelwise(4 * pixels, channels);
  return {
    shader: 'upsample_nearest',
    defines,
    params: { ...params, width },
    buffers,
    grid,
    flops: 0,
    bytes: 20 * pixels * channels,
  };
}

/** The gradient of `upsampleNearest` towards x, plus `add` where it is given; height and width are those of x. */
export function upsampleNearestBackward<T>(
  shape: { images: number; height: number; width: number; channels: number },
  buffers: { dy: T; dx: T; add?: T | undefined },
): KernelCall<T> {
  const { images, height, width, channels } = shape;
  const { dy, dx, add } = buffers;
  const pixels = images * height * width;
  const { defines, params, grid } = pixelwise(pixels, channels);
  return {
    shader: 'upsample_nearest_backward',
    defines: { ...defines, ADD: add !== undefined },
    params: { ...params, width },
    buffers: { dy, dx, ...(add !== undefined && { add }) },
    grid,
    flops: 4 * pixels * channels,
    bytes: (add === undefined ? 20 : 24) * pixels * channels,
  };
}
