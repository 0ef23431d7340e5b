import type { KernelCall, KernelTarget } from './kernel.ts';
import { linearGrid } from './kernel.ts';
import { rowLanes } from './lanes.ts';

/**
 * scores[rows, keys] become softmax(scale · scores) over the keys that keyRanges u32 [queries, 2] names, 0 elsewhere; the chunk's
 * first row is row `firstRow` of keyRanges and lse. lse: the log-sum-exp, 1e30 for an empty range.
 */
export function softmaxRows<T>(
  target: KernelTarget,
  shape: { rows: number; keys: number; firstRow: number; scale: number },
  buffers: { scores: T; keyRanges: T; lse: T },
): KernelCall<T> {
  const { rows, keys, firstRow, scale } = shape;
  const { scores, keyRanges, lse } = buffers;
  return {
    shader: 'softmax_rows',
    defines: rowLanes(target, keys),
    params: { rows, keys, first: firstRow, scale },
    buffers: { scores, key_ranges: keyRanges, lse },
    grid: linearGrid(rows),
    flops: 6 * rows * keys,
    bytes: 12 * rows * keys,
  };
}
