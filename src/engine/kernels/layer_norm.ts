import type { KernelCall, KernelTarget } from './kernel.ts';
import type { WeightType } from '../weight-formats.ts';
import { weightBytes, weightDefines } from '../weight-formats.ts';
import { linearGrid } from './kernel.ts';
import { rowLanes, vectorWidth } from './lanes.ts';

export interface LayerNormShape {
  rows: number;
  /** elements of a row */
  width: number;
  eps: number;
  /** of weight and bias */
  weightType: WeightType;
}

function common(target: KernelTarget, shape: LayerNormShape) {
  const vector = vectorWidth(shape.width);
  const width = shape.width / vector;
  return {
    defines: { ...rowLanes(target, width), ...weightDefines(shape.weightType, vector) },
    params: { rows: shape.rows, width, columns: shape.width, eps: shape.eps },
    grid: linearGrid(shape.rows),
    elements: shape.rows * shape.width,
  };
}

/**
 * y[rows, width] = (x - mean) · rstd · weight + bias over each row, the variance taken around the mean in a second pass
 * (Ba et al., arXiv:1607.06450). stats f32 [rows, 2]: mean and rstd = 1 / √(variance + eps).
 */
export function layerNorm<T>(
  target: KernelTarget,
  shape: LayerNormShape,
  buffers: { x: T; weight: T; bias: T; y: T; stats: T },
): KernelCall<T>[] {
  const { elements, ...call } = common(target, shape);
  return [
    {
      shader: 'layer_norm',
      ...call,
      buffers,
      flops: 7 * elements,
      bytes: 8 * elements + 8 * shape.rows + 2 * weightBytes(shape.weightType, shape.width),
    },
  ];
}

/**
 * dx = rstd (g - mean(g) - x̂ mean(g x̂)) with g = dy · weight and x̂ = (x - mean) rstd, plus `add` where it is given (the
 * gradient that goes past the norm). Weight and bias are frozen and get no gradient.
 */
export function layerNormBackward<T>(
  target: KernelTarget,
  shape: LayerNormShape,
  buffers: { dy: T; x: T; weight: T; stats: T; dx: T; add?: T | undefined },
): KernelCall<T>[] {
  const { elements, defines, ...call } = common(target, shape);
  const { add, ...rest } = buffers;
  return [
    {
      shader: 'layer_norm_backward',
      defines: { ...defines, ADD: add !== undefined },
      ...call,
      buffers: { ...rest, ...(add !== undefined && { add }) },
      flops: 11 * elements,
      bytes: (add === undefined ? 12 : 16) * elements + weightBytes(shape.weightType, shape.width),
    },
  ];
}
