import type { KernelCall } from './kernel.ts';
import { linearGrid } from './kernel.ts';
import { vectorWidth } from './lanes.ts';

const LANES = 64;

export interface PadRowsShape {
  clips: number;
  /** rows of each clip of x */
  length: number;
  columns: number;
  /** rows before and after, fewer than `length` where they are mirrored; negative: cut off */
  left: number;
  right: number;
  /** reflect: mirrored without the row at the edge, as torch's pad has it */
  mode: 'reflect' | 'zeros';
}

/** y[clips · (left + length + right), columns] from x[clips · length, columns]. */
export function padRows<T>(shape: PadRowsShape, buffers: { x: T; y: T }): KernelCall<T> {
  const { clips, length, columns, left, right, mode } = shape;
  const vector = vectorWidth(columns);
  const outLength = left + length + right;
  const count = (clips * outLength * columns) / vector;
  return {
    shader: 'pad_rows',
    defines: { V: vector === 4 ? 'vec4<f32>' : 'f32', MODE: mode },
    params: { count, line: columns / vector, length, out_length: outLength, left },
    buffers,
    grid: linearGrid(Math.ceil(count / LANES)),
    flops: 0,
    bytes: 4 * clips * columns * (length + outLength),
  };
}
