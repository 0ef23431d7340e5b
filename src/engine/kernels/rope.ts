import type { KernelCall, KernelTarget } from './kernel.ts';
import type { WeightType } from '../weight-formats.ts';
import { weightBytes, weightDefines } from '../weight-formats.ts';
import { linearGrid } from './kernel.ts';

export interface HeadNormRopeShape {
  tokens: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  /** Elements of a head that turn, even, at most headDim; 0 without rotary embedding. The tables have rotaryDim / 2 columns. */
  rotaryDim: number;
  /** Whether q and k turn; both by default. Layers without positions turn neither. */
  rotates?: { q: boolean; k: boolean };
  /** RMS norm over each q and k head before the rotation (Qwen3); `offset` is added to its weights, default 0. */
  norm?: { eps: number; weightType: WeightType; offset?: number };
}

/** `cos`, `sin` f32 [positions, rotaryDim / 2], `positions` u32 [tokens]; the weights [headDim] go with `norm`. */
export interface HeadNormRopeTables<T> {
  cos?: T;
  sin?: T;
  positions?: T;
  qWeight?: T;
  kWeight?: T;
}

function common<T>(target: KernelTarget, shape: HeadNormRopeShape, tables: HeadNormRopeTables<T>) {
  const { tokens, heads, kvHeads, headDim, rotaryDim, norm } = shape;
  const rotates = shape.rotates ?? { q: true, k: true };
  const turns = rotaryDim > 0 && (rotates.q || rotates.k);
  const columns = (heads + 2 * kvHeads) * headDim;
  const lanes = target.family === 'cpu' ? 1 : 32;
  const group = target.family === 'cpu' ? 32 : 128;
  const buffers: Record<string, T> = {};
  const bind = (name: string, buffer: T | undefined) => {
    if (buffer === undefined) throw new Error(`headNormRope needs the buffer ${name}`);
    buffers[name] = buffer;
  };
  if (norm) {
    bind('q_weight', tables.qWeight);
    bind('k_weight', tables.kWeight);
  }
  if (turns) {
    bind('cosines', tables.cos);
    bind('sines', tables.sin);
    bind('positions', tables.positions);
  }
  const half = rotaryDim / 2;
  return {
    elements: tokens * columns,
    tableBytes: (turns ? tokens * (4 * rotaryDim + 4) : 0) + (norm ? 2 * weightBytes(norm.weightType, headDim) : 0),
    buffers,
    defines: {
      WG: group,
      LANES: lanes,
      HEAD_NORM: norm !== undefined,
      ROPE: turns,
      ...weightDefines(norm?.weightType ?? 'f32', 1),
    },
    params: {
      tokens,
      heads,
      kv_heads: kvHeads,
      head_dim: headDim,
      half,
      half_q: turns && rotates.q ? half : 0,
      half_k: turns && rotates.k ? half : 0,
      eps: norm?.eps ?? 0,
      offset: norm?.offset ?? 0,
    },
    grid: linearGrid(Math.ceil((tokens * columns) / headDim / (group / lanes))),
  };
}

/** y = rope(norm(q)) | rope(norm(k)) | v, for x and y packed [tokens, (heads + 2 kvHeads) · headDim]. */
export function headNormRope<T>(
  target: KernelTarget,
  shape: HeadNormRopeShape,
  buffers: HeadNormRopeTables<T> & { x: T; y: T },
): KernelCall<T>[] {
  const { defines, params, grid, elements, tableBytes, ...made } = common(target, shape, buffers);
  return [
    {
      shader: 'rope',
      defines,
      params,
      buffers: { ...made.buffers, x: buffers.x, y: buffers.y },
      grid,
      flops: (shape.norm ? 7 : 3) * elements,
      bytes: 8 * elements + tableBytes,
    },
  ];
}

/** dx from dy, both packed; `x`, the forward input, is needed where there is a norm, and otherwise ignored. */
export function headNormRopeBackward<T>(
  target: KernelTarget,
  shape: HeadNormRopeShape,
  buffers: HeadNormRopeTables<T> & { x?: T; dy: T; dx: T },
): KernelCall<T>[] {
  const { defines, params, grid, elements, tableBytes, ...made } = common(target, shape, buffers);
  const { x, dy, dx } = buffers;
  if (shape.norm && x === undefined) throw new Error('headNormRopeBackward with a norm needs its forward input x');
  return [
    {
      shader: 'rope_backward',
      defines,
      params,
      buffers: shape.norm && x !== undefined ? { ...made.buffers, x, dy, dx } : { ...made.buffers, x: dy, dx },
      grid,
      flops: (shape.norm ? 15 : 3) * elements,
      bytes: (shape.norm ? 12 : 8) * elements + tableBytes,
    },
  ];
}
