import type { KernelCall, KernelTarget } from './kernel.ts';
import { linearGrid } from './kernel.ts';
import { rowLanes } from './lanes.ts';

/** y u32 [rows]: the column of the largest element of each row of x [rows, columns], the first of equals. */
export function argmaxRows<T>(
  target: KernelTarget,
  shape: { rows: number; columns: number },
  buffers: { x: T; y: T },
): KernelCall<T> {
  const { rows, columns } = shape;
  return {
    shader: 'argmax_rows',
    defines: rowLanes(target, columns),
    params: { rows, columns },
    buffers,
    grid: linearGrid(rows),
    flops: rows * columns,
    bytes: 4 * rows * (columns + 1),
  };
}
