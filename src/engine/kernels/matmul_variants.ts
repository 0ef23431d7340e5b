import type { Defines } from '../wgsl.ts';
import type { KernelTarget, WeightType } from './kernel.ts';

export type MatmulOp = 'linear' | 'linearBackward' | 'loraDown' | 'loraUpBackward' | 'outer';

/** M rows, N columns of the output, K terms of each sum; for `outer` M is the rank and K the tokens. */
export interface MatmulShape {
  m: number;
  n: number;
  k: number;
  weightType: WeightType;
}

/** One way to run an op: a shader, its defines, and the piece of the output that one workgroup computes. */
export interface Variant {
  name: string;
  shader: string;
  defines: Defines;
  rows: number;
  columns: number;
}

function cpuVariant(op: MatmulOp, rows: number, target: KernelTarget): Variant {
  const lanes = target.subgroupSize === 8 ? 8 : 4;
  const shader =
    op === 'outer'
      ? 'matmul_outer_cpu'
      : op === 'linear' || op === 'loraDown'
        ? 'matmul_linear_cpu'
        : 'matmul_backward_cpu';
  return { name: `rows${rows}`, shader, defines: { ROWS: rows, LANES: lanes }, rows, columns: lanes };
}

/** Ways to run an op, the one to use without measuring first; a tuner may time the others. */
export function candidates(op: MatmulOp, shape: MatmulShape, target: KernelTarget): Variant[] {
  const tall = op === 'outer' ? [8, 16] : shape.m <= 4 ? [4] : shape.m <= 8 ? [8] : [16, 24, 8];
  return tall.map((rows) => cpuVariant(op, rows, target));
}
