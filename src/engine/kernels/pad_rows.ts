import type { KernelCall } from './kernel.ts';
import { linearGrid } from './kernel.ts';
import { vectorWidth } from './lanes.ts';

const LANES = 64;

export interface PadRowsShape {
  clips: number;
  /** rows of each clip of x */
  length: number;
  columns: number;
  /** rows of zeros before and after; negative: cut off */
  left: number;
  right: number;
}

/** y[clips · (left + length + right), columns] from x[clips · length, columns]. */
export function padRows<T>(shape: PadRowsShape, buffers: { x: T; y: T }): KernelCall<T> {
  const { clips, length, columns, left, right } = shape;
  const vector = vectorWidth(columns);
  const outLength = left + length + right;
  const count = (clips * outLength * columns) / vector;
  return {
    shader: 'pad_rows',
    defines: { V: vector === 4 ? 'vec4<f32>' : 'f32' },
    params: { count, line: columns / vector, length, out_length: outLength, left },
    buffers,
    grid: linearGrid(Math.ceil(count / LANES)),
    flops: 0,
    bytes: 4 * clips * columns * (length + outLength),
  };
}
