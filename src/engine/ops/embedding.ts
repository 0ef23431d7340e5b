import { embedding } from '../kernels/embedding.ts';
import type { Tensor } from '../tensor.ts';
import { elementCount, matrix, weightType } from '../tensor.ts';
import { weightParts } from './linear.ts';
import type { Op, OpDefinition, Operand } from './types.ts';

declare module './types.ts' {
  interface OpTypes {
    /** y[t] = scale · table[ids[t]] */
    embedding: Op<{ ids: Tensor; table: Tensor }, { scale: number }, { y: Tensor }>;
  }
}

export const embeddingOp: OpDefinition<'embedding'> = {
  outputs: ({ ids, table }) => ({ y: { shape: [elementCount(ids.shape), matrix(table).columns] } }),
  // The ids are data and the table is frozen. Gathered rows of something trained would need a scatter.
  gradient: 'none',
  kernels: ({ inputs, outputs, attributes, target }) =>
    [...weightParts(inputs.table)].flatMap(({ part, row, rows }) =>
      embedding<Operand>(
        target,
        {
          rows: elementCount(inputs.ids.shape),
          width: matrix(inputs.table).columns,
          weightType: weightType(inputs.table),
          tableRows: rows,
          firstRow: row,
          scale: attributes.scale,
        },
        { table: part, scales: part.scales, ids: inputs.ids, y: outputs.y },
      ),
    ),
};
