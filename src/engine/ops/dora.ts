import { linearGrid } from '../kernels/kernel.ts';
import type { Tensor } from '../tensor.ts';
import { elementCount, matrix, weightType } from '../tensor.ts';
import { weightDefines } from '../weight-formats.ts';
import type { Op, OpDefinition } from './types.ts';

declare module './types.ts' {
  interface OpTypes {
    /** norm[n] = ‖W[n] + scale B[n] A‖₂ (DoRA, arXiv:2402.09353); a constant in the gradient, as in PEFT */
    doraNorm: Op<{ weight: Tensor; a: Tensor; b: Tensor }, { rank: number; scale: number }, { norm: Tensor }>;
  }
}

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
        defines: weightDefines(weightType(weight), 1),
        params: { inputs: columns, rank, scale },
        buffers: { weight, ...(weight.scales && { weight_scales: weight.scales }), a, b, norm: outputs.norm },
        grid: linearGrid(rows),
        flops: rows * columns * (2 * rank + 3),
        bytes: 4 * rows * columns,
      },
    ];
  },
};
