import type { KernelCall, KernelTarget } from './kernel.ts';
import { linearGrid } from './kernel.ts';
import { rowLanes, vectorWidth } from './lanes.ts';

/** y[index] = Σ x over `count` f32, in the same order every time; `accumulate` adds to y[index] where step.accumulate is not 0. */
export function reduceSum<T>(
  target: KernelTarget,
  shape: { count: number; index?: number; accumulate?: boolean },
  buffers: { x: T; y: T },
): KernelCall<T>[] {
  return [
    {
      shader: 'reduce_sum',
      defines: { ...rowLanes(target, shape.count), ACCUMULATE: shape.accumulate ?? false },
      params: { count: shape.count, index: shape.index ?? 0 },
      buffers,
      grid: [1, 1, 1],
      flops: shape.count,
      bytes: 4 * shape.count,
    },
  ];
}

/** f32 values of the optimiser's state buffer: norm of the gradient, clip factor, 1 where the gradient is not finite, unused. */
export const OPTIMIZER_STATE = { norm: 0, clip: 1, notFinite: 2, length: 4 } as const;

/** Workgroups of the first pass over `count` gradients. */
function normGroups(target: KernelTarget, count: number): number {
  return Math.max(1, Math.min(target.family === 'cpu' ? 32 : 256, Math.ceil(count / 4096)));
}

/** f32 values that `gradientNorm` needs for its partial sums. */
export function gradientNormScratch(target: KernelTarget, count: number): number {
  return 2 * normGroups(target, count);
}

/**
 * state = (‖x‖₂, min(1, maxNorm / (‖x‖ + 1e-6)), not finite) for a flat f32 buffer of `count` elements, as
 * torch.nn.utils.clip_grad_norm_. maxNorm 0 never clips. `scratch` holds gradientNormScratch(target, count) f32.
 */
export function gradientNorm<T>(
  target: KernelTarget,
  shape: { count: number; maxNorm: number },
  buffers: { x: T; scratch: T; state: T },
): KernelCall<T>[] {
  const { count, maxNorm } = shape;
  const groups = normGroups(target, count);
  const vector = vectorWidth(count);
  const params = { count: count / vector, groups, max_norm: maxNorm };
  return [
    {
      shader: 'gradient_norm',
      defines: { ...rowLanes(target, count), VECTOR: vector, PASS: 0 },
      params,
      buffers: { x: buffers.x, sums: buffers.scratch },
      grid: [groups, 1, 1],
      flops: 2 * count,
      bytes: 4 * count,
    },
    {
      shader: 'gradient_norm',
      defines: { ...rowLanes(target, groups), VECTOR: 1, PASS: 1 },
      params,
      buffers: { sums: buffers.scratch, state: buffers.state },
      grid: [1, 1, 1],
      flops: groups,
      bytes: 8 * groups,
    },
  ];
}

export interface AdamWShape {
  /** trained parameters */
  count: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  /** The first `count` parameters (a multiple of four) learn at `rate` times the learning rate. */
  slow?: { count: number; rate: number } | undefined;
}

/**
 * One step of torch.optim.AdamW over flat f32 buffers; learning rate and bias corrections (1 − βᵗ) come from the Step uniform,
 * the clip factor from `state` (see gradientNorm). Where the gradient is not finite nothing changes.
 */
export function adamW<T>(
  _target: KernelTarget,
  shape: AdamWShape,
  buffers: { weights: T; gradients: T; first: T; second: T; state: T },
): KernelCall<T>[] {
  const { count, beta1, beta2, eps, weightDecay, slow } = shape;
  const vector = vectorWidth(count);
  const lanes = 64;
  return [
    {
      shader: 'adamw',
      defines: { WG: lanes, VECTOR: vector },
      // 1 − β is taken in double precision, as torch does.
      params: {
        count: count / vector,
        beta1,
        beta2,
        rest1: 1 - beta1,
        rest2: 1 - beta2,
        eps,
        weight_decay: weightDecay,
        slow: (slow?.count ?? 0) / vector,
        slow_rate: slow?.rate ?? 1,
      },
      buffers,
      grid: linearGrid(Math.ceil(count / vector / lanes)),
      flops: 14 * count,
      bytes: 28 * count,
    },
  ];
}
