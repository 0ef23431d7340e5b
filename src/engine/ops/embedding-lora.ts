import { embeddingLoraDown, embeddingLoraGradient } from '../kernels/embedding_lora.ts';
import type { LoraSegment } from '../kernels/lora_segments.ts';
import { linear } from '../kernels/matmul.ts';
import { outerUp } from '../kernels/matmul_lora.ts';
import type { Tensor } from '../tensor.ts';
import { elementCount, matrix } from '../tensor.ts';
import type { Op, OpDefinition, Operand } from './types.ts';

declare module './types.ts' {
  interface OpTypes {
    /**
     * LoRA of an embedding, as PEFT has it: y = x + h Bᵀ with h[t] = scale · strength · A[:, ids[t]], A [r, vocabulary] and
     * B [out, r]. x is what the frozen table gave.
     */
    embeddingLora: Op<
      { x: Tensor; ids: Tensor; a: Tensor; b: Tensor },
      { rank: number; scale: number },
      { y: Tensor; h: Tensor }
    >;
    /** dA[:, v] = Σ g[t] over the rows t with ids[t] = v; dB = dyᵀ h. Added to or put into the flat gradient buffer. */
    embeddingLoraGradient: Op<
      { g: Tensor; ids: Tensor; dy: Tensor; h: Tensor },
      { rank: number; vocabulary: number },
      { da: Tensor; db: Tensor }
    >;
  }
}

/** The one layer that an embedding's adapter is, as the products with a rank see it. */
const segmentOf = (columns: number, rank: number, scale: number): LoraSegment => ({
  ...{ columns, rank, scale },
  ...{ hOffset: 0, bOffset: 0 },
});

const expectElements = (tensor: Tensor, rows: number, columns: number): void => {
  if (elementCount(tensor.shape) !== rows * columns)
    throw new Error(`embeddingLora: ${tensor.label} is [${tensor.shape.join()}], not [${rows},${columns}]`);
};

/** The low-rank path of an embedding (Hu et al., arXiv:2106.09685): a row of Aᵀ is gathered, then multiplied with Bᵀ. */
export const embeddingLoraOp: OpDefinition<'embeddingLora'> = {
  outputs({ x, ids, a, b }, { rank }) {
    const { rows, columns } = matrix(x);
    if (elementCount(ids.shape) !== rows) throw new Error('embeddingLora: one id for each row');
    if (!(rank > 0)) throw new Error(`embeddingLora: a rank above 0, not ${rank}`);
    expectElements(a, rank, matrix(a).columns);
    expectElements(b, columns, rank);
    return { y: { shape: x.shape }, h: { shape: [rows, rank] } };
  },
  // g = scale · strength · dy B; dA = its rows put where their ids are; dB = dyᵀ h, h carrying the scale; dx = dy
  gradient({ graph, inputs: { x, ids, a, b }, outputs, attributes: { rank, scale }, gradient, accumulate }) {
    const dy = gradient('y');
    if (!dy) return;
    const { g } = graph.emit('loraUpBackward', { dy, b }, { segments: [segmentOf(matrix(x).columns, rank, scale)] });
    graph.emit(
      'embeddingLoraGradient',
      { g, ids, dy, h: outputs.h },
      { rank, vocabulary: matrix(a).columns },
      { da: graph.gradientOf(a), db: graph.gradientOf(b) },
    );
    accumulate('x', (previous) => (previous ? graph.add(previous, dy) : dy));
  },
  kernels({ inputs: { x, ids, a, b }, outputs: { y, h }, attributes: { rank, scale }, target }) {
    const { rows, columns } = matrix(x);
    return [
      embeddingLoraDown<Operand>({ rows, rank, vocabulary: matrix(a).columns, scale }, { a, ids, h }),
      linear<Operand>({ x: h, w: b, y, residual: x }, { m: rows, n: columns, k: rank, weightType: 'f32' }, target),
    ];
  },
};

export const embeddingLoraGradientOp: OpDefinition<'embeddingLoraGradient'> = {
  outputs: ({ dy }, { rank, vocabulary }) => ({
    da: { shape: [rank, vocabulary] },
    db: { shape: [matrix(dy).columns, rank] },
  }),
  gradient: 'none',
  hasEffect: true,
  kernels({ inputs: { g, ids, dy, h }, outputs: { da, db }, attributes: { rank, vocabulary }, target }) {
    const { rows, columns } = matrix(dy);
    return [
      embeddingLoraGradient<Operand>({ rows, rank, vocabulary }, { g, ids, da }),
      outerUp<Operand>({ h, dy, db }, { m: rows, segments: [segmentOf(columns, rank, 1)] }, target),
    ];
  },
};
