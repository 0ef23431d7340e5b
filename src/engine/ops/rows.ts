import { argmaxRows } from '../kernels/argmax_rows.ts';
import { scatterRows } from '../kernels/embedding.ts';
import { padRows } from '../kernels/pad_rows.ts';
import type { Tensor } from '../tensor.ts';
import { elementCount, matrix } from '../tensor.ts';
import type { Op, OpDefinition, Operand } from './types.ts';

declare module './types.ts' {
  interface OpTypes {
    /**
     * y: the rows of each clip with `left` and `right` rows of zeros around them.
     * x [clips · length, C], y [clips · (left + length + right), C]. A negative number cuts rows off instead.
     */
    padRows: Op<{ x: Tensor }, { clips: number; length: number; left: number; right: number }, { y: Tensor }>;
    /** y u32 [rows]: the column of each row's largest element, the first of equals */
    argmaxRows: Op<{ x: Tensor }, object, { y: Tensor }>;
    /** Writes columns [offset, offset + width) of each row of x into row `indices[t]` of `into`. */
    scatterRows: Op<{ x: Tensor; indices: Tensor }, { offset: number; width: number }, { into: Tensor }>;
  }
}

/** Columns that argmaxRows can tell apart: it compares their numbers as f32. */
const MOST_COLUMNS = 2 ** 24;

export const padRowsOp: OpDefinition<'padRows'> = {
  outputs({ x }, { clips, length, left, right }) {
    const { rows, columns } = matrix(x);
    if (rows !== clips * length)
      throw new Error(`padRows: ${x.label} has ${rows} rows, not ${clips} clips of ${length}`);
    if (left + length + right < 1) throw new Error(`padRows: nothing is left of ${length} rows`);
    return { y: { shape: [clips * (left + length + right), columns] } };
  },
  gradient: 'none',
  kernels: ({ inputs: { x }, outputs: { y }, attributes }) => [
    padRows<Operand>({ ...attributes, columns: matrix(x).columns }, { x, y }),
  ],
};

export const argmaxRowsOp: OpDefinition<'argmaxRows'> = {
  outputs({ x }) {
    const { rows, columns } = matrix(x);
    if (columns > MOST_COLUMNS) throw new Error(`argmaxRows: at most ${MOST_COLUMNS} columns, not ${columns}`);
    return { y: { shape: [rows], dtype: 'u32' } };
  },
  gradient: 'none',
  kernels: ({ inputs: { x }, outputs: { y }, target }) => [argmaxRows<Operand>(target, matrix(x), { x, y })],
};

export const scatterRowsOp: OpDefinition<'scatterRows'> = {
  outputs({ x, indices }, { offset, width }) {
    const { rows, columns } = matrix(x);
    if (offset < 0 || offset + width > columns) throw new Error('scatterRows: columns outside of the matrix');
    if (elementCount(indices.shape) !== rows) throw new Error('scatterRows: one index for each row');
    return { into: { shape: [rows, width] } };
  },
  gradient: 'none',
  hasEffect: true,
  kernels({ inputs, outputs, attributes: { offset, width }, target }) {
    const { rows: tokens, columns: stride } = matrix(inputs.x);
    return scatterRows<Operand>(
      target,
      { tokens, width, x: { stride, offset }, y: { stride: width, offset: 0 } },
      { x: inputs.x, rows: inputs.indices, y: outputs.into },
    );
  },
};
