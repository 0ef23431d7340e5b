import type { KernelCall, KernelTarget } from './kernel.ts';
import type { WeightType } from '../weight-formats.ts';
import { weightBytes, weightDefines } from '../weight-formats.ts';
import { linearGrid } from './kernel.ts';
import { rowLanes, vectorWidth } from './lanes.ts';

export interface RmsNormShape {
  rows: number;
  /** elements of a row */
  width: number;
  eps: number;
  weightType: WeightType;
  /** Added to every weight: 1 for models that store w − 1 (Gemma); default 0. */
  offset?: number;
}

function common(target: KernelTarget, shape: RmsNormShape) {
  const vector = vectorWidth(shape.width);
  const width = shape.width / vector;
  return {
    defines: { ...rowLanes(target, width), ...weightDefines(shape.weightType, vector) },
    params: { rows: shape.rows, width, columns: shape.width, eps: shape.eps, offset: shape.offset ?? 0 },
    grid: linearGrid(shape.rows),
    elements: shape.rows * shape.width,
  };
}

/** y[rows, width] = x · rstd · (weight + offset); `rstd` [rows] is written where it is given. */
export function rmsNorm<T>(
  target: KernelTarget,
  shape: RmsNormShape,
  buffers: { x: T; weight: T; y: T; rstd?: T },
): KernelCall<T>[] {
  const { defines, params, grid, elements } = common(target, shape);
  const { x, weight, y, rstd } = buffers;
  return [
    {
      shader: 'rms_norm',
      defines: { ...defines, RSTD: rstd !== undefined },
      params,
      buffers: { x, weight, y, ...(rstd === undefined ? {} : { rstd }) },
      grid,
      flops: 4 * elements,
      bytes: 8 * elements + weightBytes(shape.weightType, shape.width),
    },
  ];
}

/**
 * dx = rstd·(w·dy) − x·rstd³/D·Σ(w·dy·x), plus `add` where it is given (the gradient that goes past the norm; it may be dx
 * itself, which is then added to). The weight is frozen and gets no gradient.
 */
export function rmsNormBackward<T>(
  target: KernelTarget,
  shape: RmsNormShape,
  buffers: { x: T; weight: T; dy: T; dx: T; add?: T },
): KernelCall<T>[] {
  const { defines, params, grid, elements } = common(target, shape);
  const { x, weight, dy, dx, add } = buffers;
  const inPlace = add !== undefined && add === dx;
  return [
    {
      shader: 'rms_norm_backward',
      defines: { ...defines, ADD: add === undefined ? 'none' : inPlace ? 'in_place' : 'separate' },
      params,
      buffers: { x, weight, dy, dx, ...(add === undefined || inPlace ? {} : { add }) },
      grid,
      flops: 9 * elements,
      bytes: (add === undefined ? 12 : 16) * elements + weightBytes(shape.weightType, shape.width),
    },
  ];
}
