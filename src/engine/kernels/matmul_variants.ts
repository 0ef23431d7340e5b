import type { Defines } from '../wgsl.ts';
import type { KernelTarget, WeightType } from './kernel.ts';

export type MatmulOp = 'linear' | 'linearBackward' | 'loraDown' | 'loraUpBackward' | 'outer';

/** M rows, N columns of the output, K terms of each sum. The three LoRA products have the rank for M. */
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

/**
 * Software adapters: one subgroup a workgroup, four columns a lane, so that loads, which cost dozens of multiply-adds each,
 * are shared by as many of these as the compiler takes in reasonable time.
 */
function cpuVariant(op: MatmulOp, rows: number, target: KernelTarget): Variant {
  const lanes = target.subgroups ? target.subgroupSize : 4;
  const shader =
    op === 'linear' ? 'matmul_linear_cpu' : op === 'linearBackward' ? 'matmul_backward_cpu' : 'matmul_skinny_cpu';
  const defines = {
    ROWS: rows,
    LANES: lanes,
    LOADS: target.subgroups ? Math.ceil(rows / lanes) : rows,
    BROADCAST: target.subgroups,
  };
  return { name: `rows${rows}`, shader, defines, rows, columns: 4 * lanes };
}

/** Ways to run an op, the one to use without measuring first; a tuner may time the others. */
export function candidates(op: MatmulOp, shape: MatmulShape, target: KernelTarget): Variant[] {
  const { m, n, k } = shape;
  const skinny = op !== 'linear' && op !== 'linearBackward';
  // Odd shapes take a slow path whose code grows with the rows.
  const odd = n % 4 !== 0 || k % 4 !== 0;
  const tall = skinny ? [8, 16] : m <= 4 || odd ? [4] : m <= 8 ? [8] : [16, 8, 32];
  return tall.map((rows) => cpuVariant(op, rows, target));
}
