import { type KernelCall, type KernelTarget, linearGrid } from './kernel.ts';
import { type LoraSegment, numbered, totalRank } from './lora_segments.ts';
import { type Variant, candidates } from './matmul_variants.ts';

/** One product out[r,c] = Σ_i u[r,i] · v[c,i] of a group, as matmul_skinny_*.wgsl reads its strides. */
interface Part {
  rank: number;
  columns: number;
  terms: number;
  uStart: number;
  uStep: number;
  vStart: number;
  out: number;
  outColumn: number;
  scale: number;
}

interface SkinnyCall<T> {
  buffers: { u: T; v: T; out: T };
  parts: readonly Part[];
  uRow: number;
  vRow: number;
  vStep: number;
  outRow: number;
  /** multiplies by scale · strength */
  scaled: boolean;
  /** adds to the output where the step's `accumulate` is 1 */
  adds: boolean;
}

function skinnyCall<T>(call: SkinnyCall<T>, variant: Variant): KernelCall<T> {
  const parts = call.parts.filter(({ rank }) => rank > 0);
  const tiles = parts.reduce(
    (sum, { rank, columns }) => sum + Math.ceil(columns / variant.columns) * Math.ceil(rank / variant.rows),
    0,
  );
  const outputs = parts.reduce((sum, { rank, columns }) => sum + rank * columns, 0);
  const read = parts.reduce((sum, { rank, columns, terms }) => sum + (rank + columns) * terms, 0);
  return {
    shader: variant.shader,
    defines: variant.defines,
    params: {
      u_row: call.uRow,
      v_row: call.vRow,
      v_step: call.vStep,
      out_row: call.outRow,
      scaled: Number(call.scaled),
      adds: Number(call.adds),
      tiles,
      ...numbered('rank', parts, ({ rank }) => rank),
      ...numbered('columns', parts, ({ columns }) => columns),
      ...numbered('terms', parts, ({ terms }) => terms),
      ...numbered('u_start', parts, ({ uStart }) => uStart),
      ...numbered('u_step', parts, ({ uStep }) => uStep),
      ...numbered('v_start', parts, ({ vStart }) => vStart),
      ...numbered('out', parts, ({ out }) => out),
      ...numbered('out_column', parts, ({ outColumn }) => outColumn),
      ...numbered('scale', parts, ({ scale }) => scale, 1),
    },
    buffers: call.buffers,
    grid: linearGrid(tiles),
    flops: parts.reduce((sum, { rank, columns, terms }) => sum + 2 * rank * columns * terms, 0),
    bytes: 4 * (read + outputs * (call.adds ? 2 : 1)),
  };
}

/** First column of each segment's part of y. */
function columnStarts(segments: readonly LoraSegment[]): number[] {
  let start = 0;
  return segments.map(({ columns }) => (start += columns) - columns);
}

const columnsOf = (segments: readonly LoraSegment[]): number => segments.reduce((sum, { columns }) => sum + columns, 0);

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
  const r = totalRank(segments);
  return skinnyCall(
    {
      buffers: { u: buffers.a, v: buffers.x, out: buffers.h },
      parts: segments.map(({ rank, hOffset, scale }) => ({
        rank,
        columns: m,
        terms: k,
        uStart: aOffset + hOffset * k,
        uStep: 1,
        vStart: 0,
        out: hOffset,
        outColumn: r,
        scale,
      })),
      uRow: k,
      vRow: k,
      vStep: 1,
      outRow: 1,
      scaled: true,
      adds: false,
    },
    variant ?? candidates('loraDown', { m: r, n: m, k, weightType: 'f32' }, target)[0]!,
  );
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
  const { m, segments } = shape;
  const n = columnsOf(segments);
  const r = totalRank(segments);
  const starts = columnStarts(segments);
  return skinnyCall(
    {
      buffers: { u: buffers.b, v: buffers.dy, out: buffers.g },
      parts: segments.map(({ rank, columns, hOffset, bOffset, scale }, i) => ({
        rank,
        columns: m,
        terms: columns,
        uStart: bOffset,
        uStep: rank,
        vStart: starts[i]!,
        out: hOffset,
        outColumn: r,
        scale,
      })),
      uRow: 1,
      vRow: n,
      vStep: 1,
      outRow: 1,
      scaled: true,
      adds: false,
    },
    variant ?? candidates('loraUpBackward', { m: r, n: m, k: n, weightType: 'f32' }, target)[0]!,
  );
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
  const { m, k, segments, aOffset = 0 } = shape;
  const r = totalRank(segments);
  if (r === 0) return [];
  const down = skinnyCall(
    {
      buffers: { u: buffers.g, v: buffers.x, out: buffers.da },
      parts: [{ rank: r, columns: k, terms: m, uStart: 0, uStep: r, vStart: 0, out: aOffset, outColumn: 1, scale: 1 }],
      uRow: 1,
      vRow: 1,
      vStep: k,
      outRow: k,
      scaled: false,
      adds: true,
    },
    variant ?? candidates('outer', { m: r, n: k, k: m, weightType: 'f32' }, target)[0]!,
  );
  return [down, outerUp(buffers, shape, target, variant)];
}

/** The B half of `outer`: dB of each segment at its bOffset. */
export function outerUp<T>(
  buffers: { h: T; dy: T; db: T },
  shape: { m: number; segments: readonly LoraSegment[] },
  target: KernelTarget,
  variant?: Variant,
): KernelCall<T> {
  const { m, segments } = shape;
  const r = totalRank(segments);
  const n = columnsOf(segments);
  const starts = columnStarts(segments);
  return skinnyCall(
    {
      buffers: { u: buffers.h, v: buffers.dy, out: buffers.db },
      parts: segments.map(({ rank, columns, hOffset, bOffset }, i) => ({
        rank,
        columns,
        terms: m,
        uStart: hOffset,
        uStep: r,
        vStart: starts[i]!,
        out: bOffset,
        outColumn: rank,
        scale: 1,
      })),
      uRow: 1,
      vRow: 1,
      vStep: n,
      outRow: 1,
      scaled: false,
      adds: true,
    },
    variant ?? candidates('outer', { m: r, n, k: m, weightType: 'f32' }, target)[0]!,
  );
}
