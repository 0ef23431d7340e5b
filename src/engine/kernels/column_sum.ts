import type { KernelCall } from './kernel.ts';
import { linearGrid } from './kernel.ts';

const LANES = 64;

export interface ColumnSumShape {
  groups: number;
  /** rows of each group */
  groupRows: number;
  columns: number;
  /** Parts of a group that are summed apart; default 1. */
  chunks?: number;
  /** y is a gradient: added to in an accumulated step */
  isGradient?: boolean;
}

/** y[group, chunk, c] = Σ x[t, c] · z[t, c] over the chunk's rows t, one invocation each (z = 1 where absent). */
export function columnSum<T>(shape: ColumnSumShape, buffers: { x: T; z?: T | undefined; y: T }): KernelCall<T> {
  const { groups, groupRows, columns, chunks = 1, isGradient = false } = shape;
  const { x, z, y } = buffers;
  const elements = groups * groupRows * columns * (z === undefined ? 1 : 2);
  const count = groups * chunks * columns;
  return {
    shader: 'column_sum',
    defines: { PRODUCT: z !== undefined, GRADIENT: isGradient },
    params: { columns, chunks, group_rows: groupRows, chunk_rows: Math.ceil(groupRows / chunks), count },
    buffers: { x, y, ...(z !== undefined && { z }) },
    grid: linearGrid(Math.ceil(count / LANES)),
    flops: elements,
    bytes: 4 * elements + 4 * count,
  };
}
