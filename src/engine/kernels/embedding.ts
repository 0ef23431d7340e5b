import type { KernelCall, KernelTarget } from './kernel.ts';
import type { WeightType } from '../weight-formats.ts';
import { weightBytes, weightDefines } from '../weight-formats.ts';
import { columnRowGrid, vectorWidth } from './lanes.ts';

export interface EmbeddingShape {
  /** tokens */
  rows: number;
  /** elements of an embedding */
  width: number;
  weightType: WeightType;
  /** rows of the bound table, or of the bound shard of it */
  tableRows: number;
  /** The shard's first row; tokens of other shards are left as they are. Default 0. */
  firstRow?: number;
  /** Default 1. */
  scale?: number;
}

const LANES = 64;

/** y[rows, width] = table[ids] · scale; ids are u32. `scales` are the table's, where its format has them. */
export function embedding<T>(
  _target: KernelTarget,
  shape: EmbeddingShape,
  { scales, ...buffers }: { table: T; scales?: T | undefined; ids: T; y: T },
): KernelCall<T>[] {
  const vector = vectorWidth(shape.width);
  const width = shape.width / vector;
  const elements = shape.rows * shape.width;
  return [
    {
      shader: 'embedding',
      defines: { WG: LANES, ...weightDefines(shape.weightType, vector) },
      params: {
        rows: shape.rows,
        width,
        first_row: shape.firstRow ?? 0,
        table_rows: shape.tableRows,
        scale: shape.scale ?? 1,
      },
      buffers: { ...buffers, ...(scales !== undefined && { table_scales: scales }) },
      grid: columnRowGrid(Math.ceil(width / LANES), shape.rows),
      flops: elements,
      bytes: 4 * elements + weightBytes(shape.weightType, elements),
    },
  ];
}

export interface ScatterRowsShape {
  tokens: number;
  /** columns copied */
  width: number;
  /** elements from row to row, and the first column */
  x: { stride: number; offset: number };
  y: { stride: number; offset: number };
}

/** y[rows[t], y.offset + c] = x[t, x.offset + c] for c < width; `rows` u32 [tokens], all different (a key/value cache). */
export function scatterRows<T>(
  _target: KernelTarget,
  shape: ScatterRowsShape,
  buffers: { x: T; rows: T; y: T },
): KernelCall<T>[] {
  const { x, y } = shape;
  const vector = vectorWidth(shape.width, x.stride, x.offset, y.stride, y.offset);
  const width = shape.width / vector;
  return [
    {
      shader: 'scatter_rows',
      defines: { WG: LANES, VECTOR: vector },
      params: {
        tokens: shape.tokens,
        width,
        x_stride: x.stride / vector,
        x_offset: x.offset / vector,
        y_stride: y.stride / vector,
        y_offset: y.offset / vector,
      },
      buffers,
      grid: columnRowGrid(Math.ceil(width / LANES), shape.tokens),
      flops: 0,
      bytes: 8 * shape.tokens * shape.width,
    },
  ];
}
