import type { Defines } from '../wgsl.ts';
import type { KernelTarget } from './kernel.ts';

/** Whether these may be read four at a time. */
export const multipleOf4 = (...values: number[]): boolean => values.every((value) => value % 4 === 0);

/** Four elements at a time where every row begins at a multiple of four, else one. */
export function vectorWidth(...columns: number[]): 1 | 4 {
  return multipleOf4(...columns) ? 4 : 1;
}

/**
 * Lanes that share one row of `width` vectors, and how they add up. On a software adapter one subgroup: more would only wait
 * for each other. On a graphics card as many as the row keeps busy, through workgroup memory.
 */
export function rowLanes(target: KernelTarget, width: number): Defines & { WG: number } {
  if (target.family === 'cpu') {
    return target.subgroups ? { WG: target.subgroupSize, REDUCE: 'subgroup' } : { WG: 4, REDUCE: 'workgroup' };
  }
  return { WG: width > 256 ? Math.min(256, target.maxInvocations) : 64, REDUCE: 'workgroup' };
}

/** A grid whose x covers columns and whose y covers rows; the shader steps over rows beyond the y limit. */
export function columnRowGrid(columnGroups: number, rows: number): [number, number, number] {
  return [Math.max(1, columnGroups), Math.max(1, Math.min(rows, 65535)), 1];
}
