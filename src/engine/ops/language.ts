import { embedding, scatterRows } from '../kernels/embedding.ts';
import { gatedActivation, gatedActivationBackward } from '../kernels/gated_activation.ts';
import { linearGrid } from '../kernels/kernel.ts';
import { headNormRope, headNormRopeBackward } from '../kernels/rope.ts';
import type { Tensor } from '../tensor.ts';
import { elementCount, matrix, weightType } from '../tensor.ts';
import { weightParts } from './linear.ts';
import type { OpDefinition, Operand, RopeAttributes } from './types.ts';

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
        { table: part, ids: inputs.ids, y: outputs.y },
      ),
    ),
};

function ropeShape(x: Tensor, attributes: RopeAttributes, weight: Tensor | undefined) {
  const { heads, kvHeads, headDim, rotaryDim, eps } = attributes;
  return {
    tokens: matrix(x).rows,
    heads,
    kvHeads,
    headDim,
    rotaryDim,
    ...(weight && { norm: { eps, weightType: weightType(weight) } }),
  };
}

/** The buffers that a call may leave out, without the undefined ones. */
const given = <R extends object>(record: R): { [N in keyof R]: NonNullable<R[N]> } =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as {
    [N in keyof R]: NonNullable<R[N]>;
  };

export const headNormRopeOp: OpDefinition<'headNormRope'> = {
  outputs({ x }, { heads, kvHeads, headDim }) {
    if (matrix(x).columns !== (heads + 2 * kvHeads) * headDim) throw new Error('headNormRope: x is not q | k | v');
    return { y: { shape: x.shape } };
  },
  // The rotation's transpose, then the norm's rule on each head.
  gradient({ graph, inputs, attributes, gradient, accumulate }) {
    const dy = gradient('y');
    if (!dy) return;
    accumulate('x', (previous) => {
      const { dx } = graph.emit('headNormRopeBackward', { ...inputs, dy }, attributes);
      return previous ? graph.add(previous, dx) : dx;
    });
  },
  kernels: ({ inputs, outputs, attributes, target }) =>
    headNormRope<Operand>(target, ropeShape(inputs.x, attributes, inputs.qWeight), { ...given(inputs), y: outputs.y }),
};

export const headNormRopeBackwardOp: OpDefinition<'headNormRopeBackward'> = {
  outputs: ({ dy }) => ({ dx: { shape: dy.shape } }),
  gradient: 'none',
  kernels: ({ inputs, outputs, attributes, target }) =>
    headNormRopeBackward<Operand>(target, ropeShape(inputs.x, attributes, inputs.qWeight), {
      ...given(inputs),
      dx: outputs.dx,
    }),
};

export const gatedActivationOp: OpDefinition<'gatedActivation'> = {
  outputs({ x }) {
    const { rows, columns } = matrix(x);
    if (columns % 2 !== 0) throw new Error(`gatedActivation: an even number of columns, not ${columns}`);
    return { y: { shape: [rows, columns / 2] } };
  },
  // d gate = dy up act'(gate); d up = dy act(gate)
  gradient({ graph, inputs, attributes, gradient, accumulate }) {
    const dy = gradient('y');
    if (!dy) return;
    accumulate('x', (previous) => {
      const { dx } = graph.emit('gatedActivationBackward', { dy, x: inputs.x }, attributes);
      return previous ? graph.add(previous, dx) : dx;
    });
  },
  kernels({ inputs, outputs, attributes, target }) {
    const { rows, columns } = matrix(inputs.x);
    return gatedActivation<Operand>(target, { rows, width: columns / 2, ...attributes }, { x: inputs.x, y: outputs.y });
  },
};

export const gatedActivationBackwardOp: OpDefinition<'gatedActivationBackward'> = {
  outputs: ({ x }) => ({ dx: { shape: x.shape } }),
  gradient: 'none',
  kernels({ inputs, outputs, attributes, target }) {
    const { rows, columns } = matrix(inputs.x);
    return gatedActivationBackward<Operand>(
      target,
      { rows, width: columns / 2, ...attributes },
      { ...inputs, dx: outputs.dx },
    );
  },
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

export const doraNormOp: OpDefinition<'doraNorm'> = {
  outputs({ weight, a, b }, { rank }) {
    const { rows, columns } = matrix(weight);
    if (elementCount(a.shape) !== rank * columns || elementCount(b.shape) !== rows * rank) {
      throw new Error(`doraNorm: A and B of rank ${rank} for a weight of ${rows} x ${columns}`);
    }
    return { norm: { shape: [rows] } };
  },
  // PEFT detaches the norm: a constant.
  gradient: () => undefined,
  kernels({ inputs, outputs, attributes: { rank, scale } }) {
    const { weight, a, b } = inputs;
    const { rows, columns } = matrix(weight);
    if (weight.parts) throw new Error('DoRA on a weight larger than one binding is not supported');
    return [
      {
        shader: 'dora_norm',
        defines: { WEIGHT: weightType(weight), VECTOR: 1 },
        params: { inputs: columns, rank, scale },
        buffers: { weight, a, b, norm: outputs.norm },
        grid: linearGrid(rows),
        flops: rows * columns * (2 * rank + 3),
        bytes: 4 * rows * columns,
      },
    ];
  },
};
