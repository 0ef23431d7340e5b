import { type KernelCall, type KernelTarget, linearGrid } from './kernel.ts';
import type { WeightType } from '../weight-formats.ts';
import { weightBytes, weightDefines } from '../weight-formats.ts';
import { multipleOf4 } from './lanes.ts';
import { type LoraSegment, lowRankWork, numbered, ranksAligned, totalRank } from './lora_segments.ts';
import { type Variant, candidates } from './matmul_variants.ts';

export { candidates } from './matmul_variants.ts';
export type { MatmulOp, MatmulShape, Variant } from './matmul_variants.ts';

/**
 * y[M,N] = x[M,K] · W[N,K]ᵀ (+ bias[N]) (+ residual[M,N]) (+ h · Bᵀ of each segment). All f32 but W, which is row-major in
 * its storage format, with its `scales` where that has them. Row m of y starts at element yOffset + m * yStride (0 and N
 * unless given): shards of W over N write their own columns of one y; the residual lies like y.
 */
export function linear<T>(
  buffers: {
    x: T;
    w: T;
    scales?: T | undefined;
    y: T;
    bias?: T | undefined;
    residual?: T | undefined;
    lora?: { h: T; b: T; segments: readonly LoraSegment[] } | undefined;
  },
  shape: {
    m: number;
    n: number;
    k: number;
    weightType: WeightType;
    yOffset?: number;
    yStride?: number;
    /** y += instead of y = */
    accumulate?: boolean;
  },
  target: KernelTarget,
  variant: Variant = candidates('linear', shape, target)[0]!,
): KernelCall<T> {
  const { m, n, k, weightType, yOffset = 0, yStride = n, accumulate = false } = shape;
  const { x, w, scales, y, bias, residual, lora } = buffers;
  const segments = lora?.segments ?? [];
  const r = totalRank(segments);
  const low = lowRankWork(segments);
  const tiles = Math.ceil(n / variant.columns);
  // Where there is no low-rank path its buffers are stand-ins, read as the main path's are: one pipeline the fewer.
  const VEC = multipleOf4(n, k, yOffset, yStride);
  let end = 0;
  return {
    shader: variant.shader,
    defines: {
      ...variant.defines,
      ...weightDefines(weightType, VEC ? 4 : 1),
      VEC,
      LORA_VEC: r > 0 ? ranksAligned(segments) && multipleOf4(r) : VEC,
      ACCUMULATE: accumulate,
    },
    params: {
      m,
      n,
      k,
      tiles_n: tiles,
      y_offset: yOffset,
      y_stride: yStride,
      h_stride: r,
      has_bias: Number(bias !== undefined),
      has_residual: Number(residual !== undefined),
      ...numbered('end', segments, ({ columns }) => (end += columns), n),
      ...numbered('rank', segments, ({ rank }) => rank),
      ...numbered('h', segments, ({ hOffset }) => hOffset),
      ...numbered('b', segments, ({ bOffset }) => bOffset),
    },
    buffers: {
      ...{ x, w, y, bias: bias ?? x, residual: residual ?? x, h: lora?.h ?? x, b: lora?.b ?? x },
      ...(scales !== undefined && { w_scales: scales }),
    },
    grid: linearGrid(tiles * Math.ceil(m / variant.rows)),
    flops: 2 * m * (n * k + low),
    bytes:
      4 * m * k +
      weightBytes(weightType, n * k) +
      4 * m * n * (1 + Number(residual !== undefined) + Number(accumulate)) +
      (bias === undefined ? 0 : 4 * n) +
      4 * m * r +
      4 * low,
  };
}

/**
 * dx[M,K] = dy[M,N] · W[N,K] (+ g[M,R] · A[R,K]) (+ residual[M,K]), or dx += with `accumulate`: the gradient of `linear`
 * towards x, where g is what loraUpBackward gives. dy's row m starts at element dyOffset + m * dyStride (0 and N unless
 * given), A at element aOffset of its buffer.
 */
export function linearBackward<T>(
  buffers: {
    dy: T;
    w: T;
    scales?: T | undefined;
    dx: T;
    residual?: T | undefined;
    lora?: { g: T; a: T; r: number; aOffset?: number } | undefined;
  },
  shape: {
    m: number;
    n: number;
    k: number;
    weightType: WeightType;
    dyOffset?: number;
    dyStride?: number;
    accumulate?: boolean;
  },
  target: KernelTarget,
  variant?: Variant,
): KernelCall<T> {
  const { m, n, k, weightType, dyOffset = 0, dyStride = n, accumulate = false } = shape;
  const { dy, w, scales, dx, residual, lora } = buffers;
  const r = lora?.r ?? 0;
  const aOffset = lora?.aOffset ?? 0;
  const choice = variant ?? candidates('linearBackward', { m, n: k, k: n, weightType }, target)[0]!;
  const tiles = Math.ceil(k / choice.columns);
  const VEC = multipleOf4(n, k, dyOffset, dyStride, aOffset);
  return {
    shader: choice.shader,
    defines: {
      ...choice.defines,
      ...weightDefines(weightType, VEC ? 4 : 1),
      VEC,
      LORA_VEC: r > 0 ? multipleOf4(r) : VEC,
      ACCUMULATE: accumulate,
    },
    params: {
      m,
      n,
      k,
      tiles_k: tiles,
      dy_offset: dyOffset,
      dy_stride: dyStride,
      rank: r,
      a_offset: aOffset,
      has_residual: Number(residual !== undefined),
    },
    buffers: {
      ...{ dy, w, dx, residual: residual ?? dy, g: lora?.g ?? dy, a: lora?.a ?? dy },
      ...(scales !== undefined && { w_scales: scales }),
    },
    grid: linearGrid(tiles * Math.ceil(m / choice.rows)),
    flops: 2 * m * n * k + 2 * m * r * k,
    bytes:
      4 * m * n +
      weightBytes(weightType, n * k) +
      4 * m * k * (1 + Number(residual !== undefined) + Number(accumulate)) +
      4 * r * (m + k),
  };
}
