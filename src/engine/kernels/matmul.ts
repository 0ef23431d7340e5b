import { type KernelCall, type KernelTarget, type WeightType, linearGrid } from './kernel.ts';
import { type Variant, candidates } from './matmul_variants.ts';

export { candidates } from './matmul_variants.ts';
export type { MatmulOp, MatmulShape, Variant } from './matmul_variants.ts';

/**
 * One layer of a LoRA group: a range of the output's columns with its own B. The segments of a group follow each other from
 * column 0 and cover all columns (q, k, v of one attention, gate and up of one MLP, or a single layer). At most four.
 */
export interface LoraSegment {
  /** output columns of the layer */
  columns: number;
  /** 0: a layer of the group without adapter */
  rank: number;
  /** alpha / r, or alpha / √r with rsLoRA; multiplied by the step's `strength` */
  scale: number;
  /** first column of h and of g that belongs to the layer */
  hOffset: number;
  /** element of the buffer `b` where the layer's B begins, [columns, rank] row-major */
  bOffset: number;
}

export const MAX_SEGMENTS = 4;

/** Lays out the segments of a group: h offsets one after the other, and B's one after the other from `bOffset`. */
export function loraSegments(
  layers: readonly { columns: number; rank: number; scale: number }[],
  bOffset = 0,
): LoraSegment[] {
  let hOffset = 0;
  return layers.map((layer) => {
    const segment = { ...layer, hOffset, bOffset };
    hOffset += layer.rank;
    bOffset += layer.columns * layer.rank;
    return segment;
  });
}

/** Sum of the ranks: the width of h and g, and the rows of the group's A. */
export const totalRank = (segments: readonly LoraSegment[]): number =>
  segments.reduce((sum, segment) => sum + segment.rank, 0);

export const WEIGHT_BYTES: Readonly<Record<WeightType, number>> = { f32: 4, bf16: 2, f16: 2 };

/** Spreads up to four segments over the numbered fields of a shader's Params: name0 … name3. */
export function numbered(
  name: string,
  segments: readonly LoraSegment[],
  value: (segment: LoraSegment, index: number) => number,
  rest = 0,
): Record<string, number> {
  if (segments.length > MAX_SEGMENTS)
    throw new Error(`a LoRA group of ${segments.length} layers: at most ${MAX_SEGMENTS}`);
  const fields: Record<string, number> = {};
  for (let i = 0; i < MAX_SEGMENTS; i++) fields[`${name}${i}`] = i < segments.length ? value(segments[i]!, i) : rest;
  return fields;
}

const multipleOf4 = (...values: number[]): boolean => values.every((value) => value % 4 === 0);

/** Whether four ranks can be read at once everywhere. */
export const ranksAligned = (segments: readonly LoraSegment[]): boolean =>
  segments.every(({ rank, hOffset, bOffset }) => multipleOf4(rank, hOffset, bOffset));

/**
 * y[M,N] = x[M,K] · W[N,K]ᵀ (+ bias[N]) (+ residual[M,N]) (+ h · Bᵀ of each segment). All f32 but W, which is row-major in
 * its storage dtype. Row m of y starts at element yOffset + m * yStride (0 and N unless given): shards of W over N write
 * their own columns of one y; the residual lies like y.
 */
export function linear<T>(
  buffers: {
    x: T;
    w: T;
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
  const { x, w, y, bias, residual, lora } = buffers;
  const segments = lora?.segments ?? [];
  const r = totalRank(segments);
  return linearCall(variant, {
    buffers: { x, w, y, bias: bias ?? x, residual: residual ?? x, h: lora?.h ?? x, b: lora?.b ?? x },
    m,
    n,
    k,
    weightType,
    segments,
    params: {
      w_offset: 0,
      y_offset: yOffset,
      y_stride: yStride,
      has_bias: Number(bias !== undefined),
      has_residual: Number(residual !== undefined),
      accumulate: Number(accumulate),
      scaled: 0,
    },
    flops: 2 * m * n * k + segments.reduce((sum, { columns, rank }) => sum + 2 * m * columns * rank, 0),
    bytes:
      4 * m * k +
      WEIGHT_BYTES[weightType] * n * k +
      4 * m * n * (1 + Number(residual !== undefined) + Number(accumulate)) +
      (bias === undefined ? 0 : 4 * n) +
      4 * m * r +
      segments.reduce((sum, { columns, rank }) => sum + 4 * columns * rank, 0),
  });
}

/**
 * h[M,R] = scale · strength · x[M,K] · A[R,K]ᵀ, the scale being that of the segment each column of h belongs to. A starts at
 * element aOffset of its buffer.
 */
export function loraDown<T>(
  buffers: { x: T; a: T; h: T },
  shape: { m: number; k: number; segments: readonly LoraSegment[]; aOffset?: number },
  target: KernelTarget,
  variant?: Variant,
): KernelCall<T> {
  const { m, k, segments, aOffset = 0 } = shape;
  const { x, a, h } = buffers;
  const r = totalRank(segments);
  const choice = variant ?? candidates('loraDown', { m, n: r, k, weightType: 'f32' }, target)[0]!;
  // The ranks are output columns here: segments of h, none of which has a low-rank path of its own.
  const columns = segments.map((segment) => ({ ...segment, columns: segment.rank, rank: 0 }));
  return linearCall(choice, {
    buffers: { x, w: a, y: h, bias: x, residual: x, h: x, b: x },
    m,
    n: r,
    k,
    weightType: 'f32',
    segments: columns,
    params: {
      w_offset: aOffset,
      y_offset: 0,
      y_stride: r,
      has_bias: 0,
      has_residual: 0,
      accumulate: 0,
      scaled: 1,
    },
    flops: 2 * m * r * k,
    bytes: 4 * (m * k + r * k + m * r),
  });
}

interface LinearCall<T> {
  buffers: Record<'x' | 'w' | 'y' | 'bias' | 'residual' | 'h' | 'b', T>;
  m: number;
  n: number;
  k: number;
  weightType: WeightType;
  segments: readonly LoraSegment[];
  params: Record<string, number>;
  flops: number;
  bytes: number;
}

function linearCall<T>(variant: Variant, call: LinearCall<T>): KernelCall<T> {
  const { m, n, k, segments } = call;
  const tiles = Math.ceil(n / variant.columns);
  // Where there is no low-rank path its buffers are stand-ins, and its code is that of the main path: one pipeline the fewer.
  const VEC = multipleOf4(k, call.params['w_offset']!);
  let end = 0;
  return {
    shader: variant.shader,
    defines: {
      ...variant.defines,
      WEIGHT: call.weightType,
      VEC,
      LORA_VEC: totalRank(segments) > 0 ? ranksAligned(segments) && multipleOf4(totalRank(segments)) : VEC,
    },
    params: {
      m,
      n,
      k,
      tiles_n: tiles,
      h_stride: totalRank(segments),
      ...call.params,
      ...numbered('end', segments, ({ columns }) => (end += columns), n),
      ...numbered('rank', segments, ({ rank }) => rank),
      ...numbered('h', segments, ({ hOffset }) => hOffset),
      ...numbered('b', segments, ({ bOffset }) => bOffset),
      ...numbered('scale', segments, ({ scale }) => scale, 1),
    },
    buffers: call.buffers,
    grid: linearGrid(tiles * Math.ceil(m / variant.rows)),
    flops: call.flops,
    bytes: call.bytes,
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
  const { dy, w, dx, residual, lora } = buffers;
  const r = lora?.r ?? 0;
  const choice = variant ?? candidates('linearBackward', { m, n: k, k: n, weightType }, target)[0]!;
  const whole: LoraSegment = { columns: k, rank: 0, scale: 1, hOffset: 0, bOffset: 0 };
  const VEC = multipleOf4(n, dyOffset, dyStride);
  return {
    shader: choice.shader,
    defines: {
      ...choice.defines,
      WEIGHT: weightType,
      VEC,
      LORA_VEC: r > 0 ? multipleOf4(r) : VEC,
    },
    params: {
      m,
      dy_stride: dyStride,
      dx_stride: k,
      rank: r,
      has_residual: Number(residual !== undefined),
      accumulate: Number(accumulate),
      scaled: 0,
      a_offset: lora?.aOffset ?? 0,
      a_stride: k,
      tiles_k: Math.ceil(k / choice.columns),
      ...numbered('columns', [whole], () => k),
      ...numbered('out', [whole], () => 0),
      ...numbered('n_start', [whole], () => dyOffset),
      ...numbered('n_count', [whole], () => n),
      ...numbered('w_offset', [whole], () => 0),
      ...numbered('scale', [whole], () => 1, 1),
    },
    buffers: { dy, w, dx, residual: residual ?? dy, g: lora?.g ?? dy, a: lora?.a ?? dy },
    grid: linearGrid(Math.ceil(k / choice.columns) * Math.ceil(m / choice.rows)),
    flops: 2 * m * n * k + 2 * m * r * k,
    bytes:
      4 * m * n +
      WEIGHT_BYTES[weightType] * n * k +
      4 * m * k * (1 + Number(residual !== undefined) + Number(accumulate)) +
      4 * r * (m + k),
  };
}

/**
 * g[M,R] with g[m, hOffset + j] = scale · strength · Σ over the segment's columns n of dy[m,n] · B[n,j]: the gradient of the
 * low-rank path towards h, scaled as h was.
 */
export function loraUpBackward<T>(
  buffers: { dy: T; b: T; g: T },
  shape: { m: number; segments: readonly LoraSegment[] },
  target: KernelTarget,
  variant?: Variant,
): KernelCall<T> {
  const { m } = shape;
  const { dy, b, g } = buffers;
  const n = shape.segments.reduce((sum, { columns }) => sum + columns, 0);
  const r = totalRank(shape.segments);
  const choice = variant ?? candidates('loraUpBackward', { m, n: r, k: n, weightType: 'f32' }, target)[0]!;
  const starts = new Map<LoraSegment, number>();
  let start = 0;
  for (const segment of shape.segments) {
    starts.set(segment, start);
    start += segment.columns;
  }
  const segments = shape.segments.filter(({ rank }) => rank > 0);
  const tiles = segments.reduce((sum, { rank }) => sum + Math.ceil(rank / choice.columns), 0);
  const VEC = multipleOf4(n, ...segments.flatMap((segment) => [starts.get(segment)!, segment.columns]));
  return {
    shader: choice.shader,
    defines: {
      ...choice.defines,
      WEIGHT: 'f32',
      VEC,
      LORA_VEC: VEC,
    },
    params: {
      m,
      dy_stride: n,
      dx_stride: r,
      rank: 0,
      has_residual: 0,
      accumulate: 0,
      scaled: 1,
      a_offset: 0,
      a_stride: 0,
      tiles_k: tiles,
      ...numbered('columns', segments, ({ rank }) => rank),
      ...numbered('out', segments, ({ hOffset }) => hOffset),
      ...numbered('n_start', segments, (segment) => starts.get(segment)!),
      ...numbered('n_count', segments, ({ columns }) => columns),
      ...numbered('w_offset', segments, ({ bOffset }) => bOffset),
      ...numbered('scale', segments, ({ scale }) => scale, 1),
    },
    buffers: { dy, w: b, dx: g, residual: dy, g: dy, a: dy },
    grid: linearGrid(tiles * Math.ceil(m / choice.rows)),
    flops: segments.reduce((sum, { columns, rank }) => sum + 2 * m * columns * rank, 0),
    bytes: 4 * m * (n + r) + segments.reduce((sum, { columns, rank }) => sum + 4 * columns * rank, 0),
  };
}

/**
 * The gradients of a LoRA group: dA[R,K] = Σ_m g[m,r] · x[m,K] at element aOffset of `da`, and for each segment
 * dB[n,j] = Σ_m dy[m,n] · h[m, hOffset + j] at its bOffset of `db`. `da` and `db` may be the same buffer. Written over what
 * was there, or added to it where the step's `accumulate` is 1. h and g carry the scale already.
 */
export function outer<T>(
  buffers: { g: T; x: T; h: T; dy: T; da: T; db: T },
  shape: { m: number; k: number; segments: readonly LoraSegment[]; aOffset?: number },
  target: KernelTarget,
  variant?: Variant,
): KernelCall<T>[] {
  const { m, k, aOffset = 0 } = shape;
  const { g, x, h, dy, da, db } = buffers;
  const r = totalRank(shape.segments);
  const n = shape.segments.reduce((sum, { columns }) => sum + columns, 0);
  if (r === 0) return [];
  const whole: LoraSegment = { columns: k, rank: r, scale: 1, hOffset: 0, bOffset: aOffset };
  const down = outerCall(
    { u: g, v: x, grad: da },
    { m, uStride: r, vStride: k, segments: [{ ...whole, vStart: 0, rowStride: k, columnStride: 1 }] },
    variant ?? candidates('outer', { m: r, n: k, k: m, weightType: 'f32' }, target)[0]!,
  );
  let start = 0;
  const segments: OuterSegment[] = [];
  for (const segment of shape.segments) {
    if (segment.rank > 0) segments.push({ ...segment, vStart: start, rowStride: 1, columnStride: segment.rank });
    start += segment.columns;
  }
  const up = outerCall(
    { u: h, v: dy, grad: db },
    { m, uStride: r, vStride: n, segments },
    variant ?? candidates('outer', { m: r, n, k: m, weightType: 'f32' }, target)[0]!,
  );
  return [down, up];
}

interface OuterSegment extends LoraSegment {
  vStart: number;
  rowStride: number;
  columnStride: number;
}

function outerCall<T>(
  buffers: { u: T; v: T; grad: T },
  shape: { m: number; uStride: number; vStride: number; segments: readonly OuterSegment[] },
  variant: Variant,
): KernelCall<T> {
  const { m, uStride, vStride, segments } = shape;
  const of = (segment: LoraSegment): OuterSegment => segment as OuterSegment;
  const tiles = segments.reduce(
    (sum, { columns, rank }) => sum + Math.ceil(columns / variant.columns) * Math.ceil(rank / variant.rows),
    0,
  );
  const outputs = segments.reduce((sum, { columns, rank }) => sum + columns * rank, 0);
  return {
    shader: variant.shader,
    defines: {
      ...variant.defines,
      VEC: multipleOf4(uStride, ...segments.flatMap(({ rank, hOffset }) => [rank, hOffset])),
    },
    params: {
      m,
      u_stride: uStride,
      v_stride: vStride,
      tiles,
      ...numbered('columns', segments, ({ columns }) => columns),
      ...numbered('rank', segments, ({ rank }) => rank),
      ...numbered('u_start', segments, ({ hOffset }) => hOffset),
      ...numbered('v_start', segments, (segment) => of(segment).vStart),
      ...numbered('out', segments, ({ bOffset }) => bOffset),
      ...numbered('row_stride', segments, (segment) => of(segment).rowStride),
      ...numbered('column_stride', segments, (segment) => of(segment).columnStride),
    },
    buffers: { u: buffers.u, v: buffers.v, grad: buffers.grad },
    grid: linearGrid(tiles),
    flops: 2 * m * outputs,
    bytes: 4 * (m * (uStride + vStride) + 2 * outputs),
  };
}
