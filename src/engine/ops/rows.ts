import { argmaxRows } from '../kernels/argmax_rows.ts';
import { padRows } from '../kernels/pad_rows.ts';
import { matrix } from '../tensor.ts';
import type { OpDefinition, Operand } from './types.ts';

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
