import type { AttentionShape } from '../kernels/attention.ts';
import { attention, attentionBackward, attentionParts, attentionStats } from '../kernels/attention.ts';
import type { Tensor } from '../tensor.ts';
import { elementCount, matrix } from '../tensor.ts';
import type { Op, OpDefinition, Operand } from './types.ts';
import { TILED_HEAD, WIDEST_HEAD, wideAttention } from './wide-attention.ts';

export interface AttentionAttributes {
  heads: number;
  kvHeads: number;
  headDim: number;
  scale: number;
  /** First column of q, k and v in their matrices (which may be one and the same). */
  qOffset: number;
  kOffset: number;
  vOffset: number;
  /**
   * Share of all query-key pairs that are seen, for the count of operations alone. Where nothing is said: half where q and k
   * are one matrix (causal), else all.
   */
  density?: number;
}

interface KeyRanges {
  /** u32 [queries, 2]: query t sees the keys keyRanges[t, 0] … keyRanges[t, 1] - 1. */
  keyRanges: Tensor;
}

declare module './types.ts' {
  interface OpTypes {
    /**
     * o = softmax(scale q kᵀ over the seen keys) v; lse = log of the softmax's denominator, [heads, queries]. For gradients
     * queryRanges [keys, 2] says the same of each key: which queries see it. Heads of 257 to 512 elements: one head, without
     * gradient.
     */
    attention: Op<
      { q: Tensor; k: Tensor; v: Tensor; queryRanges?: Tensor } & KeyRanges,
      AttentionAttributes,
      { o: Tensor; lse: Tensor }
    >;
    /**
     * T5's attention: o = softmax(scale q kᵀ + bias[head, clamp(key - query, ±span) + span] over the seen keys) v, with a bias
     * [heads, 2 span + 1] for each distance. Queries and keys are rows of one clip or text at the same places of q and k. A query
     * without keys gives 0. Forward only.
     */
    relativeAttention: Op<
      { q: Tensor; k: Tensor; v: Tensor; bias: Tensor } & KeyRanges,
      AttentionAttributes & { span: number },
      { o: Tensor }
    >;
    /**
     * Where q, k and v are columns of one matrix, dq is shaped like it and covers all three. Else k and v are columns of one
     * matrix, and dq is shaped like q, dkv like k; `wants` says which of the two somebody reads. queryRanges go with dkv and
     * with one matrix.
     */
    attentionBackward: Op<
      { dO: Tensor; o: Tensor; lse: Tensor; q: Tensor; k: Tensor; v: Tensor; queryRanges?: Tensor } & KeyRanges,
      AttentionAttributes & { wants: 'q' | 'kv' | 'both' },
      { dq?: Tensor; dkv?: Tensor }
    >;
  }
}

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
    density: attributes.density ?? (q === k ? 0.5 : 1),
  };
}

function expectHeads(
  { q, k, v, keyRanges }: { q: Tensor; k: Tensor; v: Tensor; keyRanges: Tensor },
  { heads, kvHeads, headDim, qOffset, kOffset, vOffset }: AttentionAttributes,
): void {
  const fits = (tensor: Tensor, offset: number, count: number): boolean =>
    offset + count * headDim <= matrix(tensor).columns;
  if (heads % kvHeads !== 0 || !fits(q, qOffset, heads) || !fits(k, kOffset, kvHeads) || !fits(v, vOffset, kvHeads)) {
    throw new Error('attention: the heads do not fit the columns of q, k and v');
  }
  if (matrix(k).rows !== matrix(v).rows) throw new Error('attention: as many keys as values');
  if (elementCount(keyRanges.shape) !== 2 * matrix(q).rows)
    throw new Error('attention: keyRanges are two numbers for each query');
}

/** Tiled, so that queries × keys never exists (Dao et al., arXiv:2205.14135). */
export const attentionOp: OpDefinition<'attention'> = {
  outputs(inputs, attributes) {
    const { q, k, queryRanges } = inputs;
    const { heads, headDim } = attributes;
    const { rows } = matrix(q);
    expectHeads(inputs, attributes);
    if (headDim > TILED_HEAD && (heads > 1 || headDim > WIDEST_HEAD))
      throw new Error(`attention: of heads of ${headDim} elements only one, of at most ${WIDEST_HEAD}`);
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
    const wants = { q: needs('q'), kv: needs('k') };
    if (k !== v) throw new Error('attention: gradients need k and v in one matrix');
    if (wants.kv && !queryRanges) throw new Error('attention: gradients of k and v need queryRanges');
    if (attributes.headDim > TILED_HEAD)
      throw new Error(`attention: no gradient for heads of more than ${TILED_HEAD} elements`);
    if (!wants.q && !wants.kv) return;
    // The gradients are written head by head: columns beside the heads would keep what lay there before.
    const { heads, kvHeads, headDim } = attributes;
    const columns = { q: heads * headDim, kv: 2 * kvHeads * headDim };
    const filled = q === k ? matrix(q).columns === columns.q + columns.kv : matrix(q).columns === columns.q;
    if (!filled || (q !== k && wants.kv && matrix(k).columns !== columns.kv))
      throw new Error('attention: gradients need matrices without further columns');
    const { dq, dkv } = graph.emit(
      'attentionBackward',
      {
        dO,
        o: outputs.o,
        lse: outputs.lse,
        q,
        k,
        v,
        keyRanges,
        ...(wants.kv && queryRanges && { queryRanges }),
      },
      { ...attributes, wants: !wants.kv ? 'q' : !wants.q ? 'kv' : 'both' },
    );
    if (dq) accumulate('q', (previous) => (previous ? graph.add(previous, dq) : dq));
    if (dkv) accumulate('k', (previous) => (previous ? graph.add(previous, dkv) : dkv));
  },
  kernels({ inputs, outputs, attributes, target, temporary }) {
    const { q, k, v, keyRanges } = inputs;
    if (attributes.headDim > TILED_HEAD)
      return wideAttention(target, attributes, { q, k, v, keyRanges, ...outputs }, temporary);
    return attention<Operand>(target, shapeOf(q, k, v, attributes), { q, k, v, keyRanges, ...outputs });
  },
};

/** With a bias for each distance (Raffel et al., arXiv:1910.10683), added while the scores are in registers. */
export const relativeAttentionOp: OpDefinition<'relativeAttention'> = {
  outputs(inputs, attributes) {
    const { q, bias } = inputs;
    const { heads, headDim, span } = attributes;
    expectHeads(inputs, attributes);
    if (headDim > TILED_HEAD)
      throw new Error(`relativeAttention: heads of at most ${TILED_HEAD} elements, not ${headDim}`);
    if (!(span >= 0) || matrix(bias).rows !== heads || matrix(bias).columns !== 2 * span + 1)
      throw new Error(`relativeAttention: the bias is [${bias.shape.join()}], not [${heads},${2 * span + 1}]`);
    if (bias.dtype !== 'f32') throw new Error(`relativeAttention: the bias is ${bias.dtype}, not f32`);
    return { o: { shape: [matrix(q).rows, heads * headDim] } };
  },
  gradient: 'none',
  kernels({ inputs: { q, k, v, bias, keyRanges }, outputs: { o }, attributes, target }) {
    const shape = { ...shapeOf(q, k, v, { density: 1, ...attributes }), span: attributes.span };
    return attention<Operand>(target, shape, { q, k, v, bias, keyRanges, o });
  },
};

export const attentionBackwardOp: OpDefinition<'attentionBackward'> = {
  outputs: ({ q, k }, { wants }) =>
    q === k
      ? { dq: { shape: q.shape } }
      : { ...(wants !== 'kv' && { dq: { shape: q.shape } }), ...(wants !== 'q' && { dkv: { shape: k.shape } }) },
  gradient: 'none',
  kernels({ inputs, outputs, attributes, target, temporary }) {
    const { dO, o, lse, q, k, v, queryRanges, keyRanges } = inputs;
    const forward = shapeOf(q, k, v, attributes);
    const shape = { ...forward, dO: forward.o, dq: forward.q, dk: forward.k, dv: forward.v };
    const { dq } = outputs;
    const dkv = q === k ? dq : outputs.dkv;
    const parts = dkv && attentionParts(target, shape);
    return attentionBackward<Operand>(target, shape, {
      q,
      k,
      v,
      o,
      dO,
      lse,
      keyRanges,
      stats: temporary([attentionStats(shape)]),
      ...(dq && { dq }),
      ...(dkv && queryRanges && { queryRanges, dk: dkv, dv: dkv }),
      ...(parts && { parts: temporary([parts]) }),
    });
  },
};
