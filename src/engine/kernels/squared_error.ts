import type { KernelCall, KernelTarget } from './kernel.ts';
import { linearGrid } from './kernel.ts';
import { rowLanes, vectorWidth } from './lanes.ts';

/** Vectors of a row from which on a workgroup shares it; the latents of images have one. */
const WIDE = 16;

/**
 * loss[rows] = weight[r] Σ_c (x[r, c] - target[r, c])² for x and target [rows, width]; dx, where it is given, is
 * step.loss_scale · 2 · weight[r] (x - target).
 */
export function squaredError<T>(
  target: KernelTarget,
  shape: { rows: number; width: number },
  buffers: { x: T; target: T; weight: T; loss: T; dx?: T | undefined },
): KernelCall<T>[] {
  const { rows } = shape;
  const vector = vectorWidth(shape.width);
  const width = shape.width / vector;
  const isWide = width >= WIDE;
  const lanes = isWide ? rowLanes(target, width) : { WG: 64 };
  const { x, target: goal, weight, loss, dx } = buffers;
  const elements = rows * shape.width;
  return [
    {
      shader: 'squared_error',
      defines: { ...lanes, WIDE: isWide, VECTOR: vector, GRADIENT: dx !== undefined },
      params: { rows, width },
      buffers: { x, goal, weight, loss, ...(dx !== undefined && { dx }) },
      grid: linearGrid(isWide ? rows : Math.ceil(rows / lanes.WG)),
      flops: (dx === undefined ? 3 : 4) * elements,
      bytes: (dx === undefined ? 8 : 12) * elements + 8 * rows,
    },
  ];
}
