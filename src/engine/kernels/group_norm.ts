import type { Defines } from '../wgsl.ts';
import type { KernelCall, KernelTarget } from './kernel.ts';
import type { WeightType } from '../weight-formats.ts';
import { weightBytes, weightDefines } from '../weight-formats.ts';
import { linearGrid } from './kernel.ts';
import { rowLanes, vectorWidth } from './lanes.ts';

export interface GroupNormShape {
  images: number;
  /** rows of one image */
  pixels: number;
  channels: number;
  /** divides the channels */
  groups: number;
  eps: number;
  /** what follows the norm */
  activation: 'silu' | null;
  /** of weight and bias */
  weightType: WeightType;
}

const LANES = 64;
/** Invocations that keep a device busy in the passes that sum, and the fewest rows that one of them adds up. */
const BUSY = { cpu: 2048, gpu: 65536 };
const LEAST_ROWS = { cpu: 32, gpu: 8 };
/** Rows of one invocation in the pass that writes the result: what it reads once for its channels is shared by so many. */
const APPLY_ROWS = { cpu: 64, gpu: 4 };

/** How the passes share the work: each invocation owns V channels of a chunk of rows. */
function layout(target: KernelTarget, shape: GroupNormShape) {
  const { images, pixels, channels, groups } = shape;
  const vector = vectorWidth(channels);
  const columns = channels / vector;
  const groupChannels = channels / groups;
  const pass = (wanted: number) => {
    const chunks = Math.max(1, Math.ceil(pixels / wanted));
    const count = images * chunks * columns;
    const params = {
      count,
      columns,
      chunks,
      chunk_rows: Math.ceil(pixels / chunks),
      image_rows: pixels,
      groups,
      group_channels: groupChannels,
      elements: pixels * groupChannels,
      eps: shape.eps,
    };
    return { params, grid: linearGrid(Math.ceil(count / LANES)) };
  };
  const parallel = BUSY[target.family] / (images * columns);
  const defines: Defines = { WG: LANES, ...weightDefines(shape.weightType, vector) };
  return {
    elements: images * pixels * channels,
    defines,
    activated: { ...defines, ACTIVATION: shape.activation ?? 'none' },
    sums: pass(Math.max(LEAST_ROWS[target.family], Math.ceil(pixels / parallel))),
    apply: pass(APPLY_ROWS[target.family]),
    vector,
    weights: weightBytes(shape.weightType, channels),
  };
}

/** f32 values of the scratch buffer `parts`, for the forward and the backward. */
export function groupNormParts(target: KernelTarget, shape: GroupNormShape): number {
  const { sums, vector } = layout(target, shape);
  return 2 * vector * sums.params.count;
}

function finish<T>(
  target: KernelTarget,
  shape: GroupNormShape,
  moments: boolean,
  buffers: { parts: T; stats: T },
): KernelCall<T> {
  const { sums, vector } = layout(target, shape);
  const { chunks, group_channels: width } = sums.params;
  return {
    shader: 'group_norm_finish',
    defines: { ...rowLanes(target, chunks * width), VECTOR: vector, MOMENTS: moments },
    params: sums.params,
    buffers,
    grid: [shape.groups, shape.images, 1],
    flops: 4 * vector * sums.params.count,
    bytes: 8 * vector * sums.params.count,
  };
}

/**
 * y = act((x - mean) · rstd · weight + bias) for x [images · pixels, channels], mean and rstd over the pixels and channels of
 * each group of an image, in three dispatches: sums of chunks, statistics of groups, the result. stats f32
 * [images · groups, 2]: mean and rstd = 1 / √(variance + eps). `parts` is scratch of groupNormParts(shape) f32.
 */
export function groupNorm<T>(
  target: KernelTarget,
  shape: GroupNormShape,
  buffers: { x: T; weight: T; bias: T; parts: T; stats: T; y: T },
): KernelCall<T>[] {
  const { x, weight, bias, parts, stats, y } = buffers;
  const { elements, defines, activated, sums, apply, vector, weights } = layout(target, shape);
  return [
    {
      shader: 'group_norm_sums',
      defines,
      ...sums,
      buffers: { x, parts },
      flops: 4 * elements,
      bytes: 4 * elements + 8 * vector * sums.params.count,
    },
    finish(target, shape, true, { parts, stats }),
    {
      shader: 'group_norm_apply',
      defines: activated,
      ...apply,
      buffers: { x, weight, bias, stats, y },
      flops: (shape.activation ? 8 : 3) * elements,
      bytes: 8 * elements + 2 * weights,
    },
  ];
}

/**
 * dx = rstd (g - mean(g) - x̂ mean(g x̂)) with x̂ = (x - mean) rstd and g = dy act'(x̂ weight + bias) weight, plus `add` where
 * it is given (the gradient that goes past the norm). Weight and bias are frozen and get no gradient. `means` is scratch
 * like stats, `parts` of groupNormParts(shape) f32.
 */
export function groupNormBackward<T>(
  target: KernelTarget,
  shape: GroupNormShape,
  buffers: { dy: T; x: T; weight: T; bias: T; stats: T; parts: T; means: T; dx: T; add?: T | undefined },
): KernelCall<T>[] {
  const { dy, x, weight, bias, stats, parts, means, dx, add } = buffers;
  const { elements, activated, sums, apply, vector, weights } = layout(target, shape);
  const read = { dy, x, weight, stats, ...(shape.activation && { bias }) };
  return [
    {
      shader: 'group_norm_backward_sums',
      defines: activated,
      ...sums,
      buffers: { ...read, parts },
      flops: (shape.activation ? 16 : 6) * elements,
      bytes: 8 * elements + 8 * vector * sums.params.count + 2 * weights,
    },
    finish(target, shape, false, { parts, stats: means }),
    {
      shader: 'group_norm_backward_apply',
      defines: { ...activated, ADD: add !== undefined },
      ...apply,
      buffers: { ...read, means, dx, ...(add !== undefined && { add }) },
      flops: (shape.activation ? 18 : 8) * elements,
      bytes: (add === undefined ? 12 : 16) * elements + 2 * weights,
    },
  ];
}
