import type { AttentionShape } from '../kernels/attention.ts';
import { attention, attentionBackward, attentionStats } from '../kernels/attention.ts';
import type { Tensor } from '../tensor.ts';
import { elementCount, matrix } from '../tensor.ts';
import type { AttentionAttributes, OpDefinition, Operand } from './types.ts';

function shapeOf(q: Tensor, k: Tensor, v: Tensor, attributes: AttentionAttributes): AttentionShape {
  const { heads, kvHeads, headDim, scale, qOffset, kOffset, vOffset } = attributes;
  return {
    queries: matrix(q).rows,
    keys: matrix(k).rows,
    heads,
    kvHeads,
    headDim,
    scale,
    q: { stride: matrix(q).columns, offset: qOffset },
    k: { stride: matrix(k).columns, offset: kOffset },
    v: { stride: matrix(v).columns, offset: vOffset },
    o: { stride: heads * headDim, offset: 0 },
    density: 0.5,
  };
}

/** Tiled, so that queries × keys never exists (Dao et al., arXiv:2205.14135). */
export const attentionOp: OpDefinition<'attention'> = {
  outputs({ q, k, v, keyRanges, queryRanges }, { heads, kvHeads, headDim, qOffset, kOffset, vOffset }) {
    const { rows } = matrix(q);
    const fits = (tensor: Tensor, offset: number, count: number): boolean =>
      offset + count * headDim <= matrix(tensor).columns;
    if (heads % kvHeads !== 0 || !fits(q, qOffset, heads) || !fits(k, kOffset, kvHeads) || !fits(v, vOffset, kvHeads)) {
      throw new Error('attention: the heads do not fit the columns of q, k and v');
    }
    if (matrix(k).rows !== matrix(v).rows) throw new Error('attention: as many keys as values');
    if (elementCount(keyRanges.shape) !== 2 * rows)
      throw new Error('attention: keyRanges are two numbers for each query');
    if (queryRanges && elementCount(queryRanges.shape) !== 2 * matrix(k).rows) {
      throw new Error('attention: queryRanges are two numbers for each key');
    }
    return { o: { shape: [rows, heads * headDim] }, lse: { shape: [heads, rows] } };
  },
  // With P = exp(scale q kᵀ - lse), dP = dO vᵀ, D = Σ dO·O, dS = P (dP - D): dq = scale dS k, dk = scale dSᵀ q, dv = Pᵀ dO
  gradient({ graph, inputs, outputs, attributes, gradient, needs, accumulate }) {
    const dO = gradient('o');
    if (!dO) return;
    const { q, k, v, queryRanges, keyRanges } = inputs;
    if (q !== k || k !== v || !queryRanges)
      throw new Error('attention: gradients need q, k and v in one matrix, and queryRanges');
    if (!needs('q')) return;
    accumulate('q', (previous) => {
      const backward = { dO, o: outputs.o, lse: outputs.lse, qkv: q, queryRanges, keyRanges };
      const { d } = graph.emit('attentionBackward', backward, attributes);
      return previous ? graph.add(previous, d) : d;
    });
  },
  kernels({ inputs, outputs, attributes, target }) {
    const { q, k, v, keyRanges } = inputs;
    return attention<Operand>(target, shapeOf(q, k, v, attributes), { q, k, v, keyRanges, ...outputs });
  },
};

export const attentionBackwardOp: OpDefinition<'attentionBackward'> = {
  outputs: ({ qkv }) => ({ d: { shape: qkv.shape } }),
  gradient: 'none',
  kernels({ inputs, outputs, attributes, target, temporary }) {
    const { dO, o, lse, qkv, queryRanges, keyRanges } = inputs;
    const shape = shapeOf(qkv, qkv, qkv, attributes);
    const { q, k, v } = shape;
    const { d } = outputs;
    return attentionBackward<Operand>(
      target,
      { ...shape, dO: shape.o, dq: q, dk: k, dv: v },
      {
        q: qkv,
        k: qkv,
        v: qkv,
        o,
        dO,
        lse,
        keyRanges,
        queryRanges,
        stats: temporary([attentionStats(shape)]),
        dq: d,
        dk: d,
        dv: d,
      },
    );
  },
};
