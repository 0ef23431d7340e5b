import type { KernelCall, KernelTarget } from './kernel.ts';
import { linearGrid } from './kernel.ts';
import { rowLanes, vectorWidth } from './lanes.ts';

export interface CrossEntropyShape {
  /** rows of the bound chunk of logits */
  rows: number;
  vocabulary: number;
  /** Overwrites the logits with their gradient, (softmax − onehot) · step.loss_scale (or writes it to dx, see there). */
  withGradient: boolean;
  /** The chunk's first row in `labels` and `loss`; default 0. */
  firstRow?: number;
}

/**
 * loss[firstRow + r] = logsumexp(logits[r]) − logits[r, labels[firstRow + r]] for logits f32 [rows, vocabulary]. labels i32;
 * −100 is ignored: loss 0, gradient row 0. With `weights` (f32, as labels) losses and gradients are multiplied by them, and
 * the gradient is written to dx, shaped like the logits, which stay.
 */
export function crossEntropy<T>(
  target: KernelTarget,
  shape: CrossEntropyShape,
  buffers: { logits: T; labels: T; loss: T; weights?: T | undefined; dx?: T | undefined },
): KernelCall<T>[] {
  const { rows, vocabulary, withGradient } = shape;
  const { logits, labels, loss, weights, dx } = buffers;
  const isWeighted = weights !== undefined;
  if ((dx !== undefined) !== (isWeighted && withGradient)) throw new Error('crossEntropy: dx goes with weights');
  const vector = vectorWidth(vocabulary);
  const blocks = Math.ceil(vocabulary / 4);
  const elements = rows * vocabulary;
  return [
    {
      shader: 'cross_entropy',
      defines: {
        ...rowLanes(target, blocks),
        VECTOR: vector,
        ELEMENT: vector === 4 ? 'vec4<f32>' : 'f32',
        GRADIENT: withGradient,
        WEIGHTED: isWeighted,
        INTO: isWeighted ? 'dx' : 'logits',
      },
      params: { rows, vocabulary, blocks, first: shape.firstRow ?? 0 },
      buffers: { logits, labels, loss, ...(isWeighted && { weights }), ...(dx !== undefined && { dx }) },
      grid: linearGrid(rows),
      flops: (withGradient ? 8 : 5) * elements,
      bytes: (withGradient ? 8 : 4) * elements + 8 * rows,
    },
  ];
}
