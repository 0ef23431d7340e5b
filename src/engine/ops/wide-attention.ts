import type { KernelCall, KernelTarget } from '../kernels/kernel.ts';
import { linear, linearBackward } from '../kernels/matmul.ts';
import { softmaxRows } from '../kernels/softmax_rows.ts';
import type { Tensor } from '../tensor.ts';
import { matrix } from '../tensor.ts';
import { copyColumns } from './elementwise.ts';
import type { AttentionAttributes } from './attention.ts';
import type { Operand } from './types.ts';

/** The largest head that the tiled kernels hold in registers, and the largest there is. */
export const TILED_HEAD = 256;
export const WIDEST_HEAD = 512;

/** Bytes of one chunk of scores, as for the classifier's logits. */
const CHUNK_BYTES = { cpu: 2 ** 21, gpu: 2 ** 27 };

/**
 * Attention of one head that is too wide for the tiled kernels (an autoencoder's middle block: one head of all channels), in
 * chunks of queries: scores q kᵀ, their softmax, and the product with v. Forward only.
 */
export function wideAttention(
  target: KernelTarget,
  attributes: AttentionAttributes,
  tensors: { q: Tensor; k: Tensor; v: Tensor; keyRanges: Tensor; o: Tensor; lse: Tensor },
  temporary: (shape: readonly number[]) => Tensor,
): KernelCall<Operand>[] {
  const { headDim: width, scale } = attributes;
  const { keyRanges, o, lse } = tensors;
  const calls: KernelCall<Operand>[] = [];
  /** The head's columns as a matrix of their own, where they are columns of a larger one. */
  const alone = (tensor: Tensor, offset: number): Tensor => {
    const { rows, columns } = matrix(tensor);
    if (columns === width) return tensor;
    const copy = temporary([rows, width]);
    calls.push(copyColumns(tensor, copy, offset, 0, width));
    return copy;
  };
  const q = alone(tensors.q, attributes.qOffset);
  const k = alone(tensors.k, attributes.kOffset);
  const v = alone(tensors.v, attributes.vOffset);
  const { rows: queries } = matrix(q);
  const { rows: keys } = matrix(k);
  const chunk = Math.min(queries, Math.max(64, Math.floor(CHUNK_BYTES[target.family] / (4 * keys) / 64) * 64));
  const scores = temporary([chunk, keys]);
  for (let firstRow = 0; firstRow < queries; firstRow += chunk) {
    const m = Math.min(chunk, queries - firstRow);
    const rowsOf = (tensor: Tensor): Operand => ({ tensor, offset: firstRow * width * 4, size: m * width * 4 });
    const weight = { n: keys, k: width, weightType: 'f32' } as const;
    calls.push(
      linear<Operand>({ x: rowsOf(q), w: k, y: scores }, { m, ...weight }, target),
      softmaxRows<Operand>(target, { rows: m, keys, firstRow, scale }, { scores, keyRanges, lse }),
      linearBackward<Operand>({ dy: scores, w: v, dx: rowsOf(o) }, { m, ...weight }, target),
    );
  }
  return calls;
}
