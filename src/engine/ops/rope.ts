import { headNormRope, headNormRopeBackward } from '../kernels/rope.ts';
import type { Tensor } from '../tensor.ts';
import { matrix, vectorType } from '../tensor.ts';
import type { Op, OpDefinition, Operand } from './types.ts';

export interface RopeAttributes {
  heads: number;
  kvHeads: number;
  headDim: number;
  /** How many leading dimensions of a head turn; 0 for none. */
  rotaryDim: number;
  eps: number;
}

declare module './types.ts' {
  interface OpTypes {
    /** Per-head RMS norm (where weights are given) and rotary embedding of the q and k heads of a packed q | k | v matrix. */
    headNormRope: Op<
      { x: Tensor; positions: Tensor; cos?: Tensor; sin?: Tensor; qWeight?: Tensor; kWeight?: Tensor },
      RopeAttributes,
      { y: Tensor }
    >;
    headNormRopeBackward: Op<
      { dy: Tensor; x: Tensor; positions: Tensor; cos?: Tensor; sin?: Tensor; qWeight?: Tensor; kWeight?: Tensor },
      RopeAttributes,
      { dx: Tensor }
    >;
  }
}

function ropeShape(x: Tensor, attributes: RopeAttributes, weight: Tensor | undefined) {
  const { heads, kvHeads, headDim, rotaryDim, eps } = attributes;
  return {
    tokens: matrix(x).rows,
    heads,
    kvHeads,
    headDim,
    rotaryDim,
    ...(weight && { norm: { eps, weightType: vectorType(weight) } }),
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
