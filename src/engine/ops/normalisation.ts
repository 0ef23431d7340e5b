import type { GroupNormShape } from '../kernels/group_norm.ts';
import { groupNorm, groupNormBackward, groupNormParts } from '../kernels/group_norm.ts';
import type { WeightType } from '../weight-formats.ts';
import { layerNorm, layerNormBackward } from '../kernels/layer_norm.ts';
import { rmsNorm, rmsNormBackward } from '../kernels/rms_norm.ts';
import type { Tensor } from '../tensor.ts';
import { elementCount, matrix, vectorType } from '../tensor.ts';
import type { Op, OpDefinition, Operand } from './types.ts';

export interface GroupNormAttributes {
  /** Rows are pixels, those of an image one after the other, as many of each. */
  images: number;
  groups: number;
  eps: number;
  /** What follows the norm in the same kernel. */
  activation: 'silu' | null;
}

declare module './types.ts' {
  interface OpTypes {
    rmsNorm: Op<{ x: Tensor; weight: Tensor }, { eps: number; offset: number }, { y: Tensor; rstd: Tensor }>;
    rmsNormBackward: Op<
      { dy: Tensor; x: Tensor; weight: Tensor; rstd: Tensor; add?: Tensor },
      { eps: number; offset: number },
      { dx: Tensor }
    >;
    /**
     * y = norm(x) weight + bias, x [images · pixels, C]; each image's pixels × (C / groups) channels have mean 0 and variance 1
     * before weight and bias (Wu and He, arXiv:1803.08494). stats [images · groups, 2]: mean and 1 / √(variance + eps).
     */
    groupNorm: Op<{ x: Tensor; weight: Tensor; bias: Tensor }, GroupNormAttributes, { y: Tensor; stats: Tensor }>;
    groupNormBackward: Op<
      { dy: Tensor; x: Tensor; weight: Tensor; bias: Tensor; stats: Tensor; add?: Tensor },
      GroupNormAttributes,
      { dx: Tensor }
    >;
    /** y = norm(x) weight + bias over each row; stats [rows, 2]: mean and 1 / √(variance + eps). */
    layerNorm: Op<{ x: Tensor; weight: Tensor; bias: Tensor }, { eps: number }, { y: Tensor; stats: Tensor }>;
    layerNormBackward: Op<
      { dy: Tensor; x: Tensor; weight: Tensor; stats: Tensor; add?: Tensor },
      { eps: number },
      { dx: Tensor }
    >;
  }
}

/** Weight and bias of a norm: a number for each column, both stored alike. */
function expectAffine(what: string, columns: number, weight: Tensor, bias: Tensor): void {
  if (elementCount(weight.shape) !== columns || elementCount(bias.shape) !== columns)
    throw new Error(`${what}: one weight and one bias for each column`);
  if (weight.dtype !== bias.dtype) throw new Error(`${what}: weight and bias of one dtype`);
}

export const rmsNormOp: OpDefinition<'rmsNorm'> = {
  outputs({ x, weight }) {
    const { rows, columns } = matrix(x);
    if (elementCount(weight.shape) !== columns) throw new Error('rmsNorm: one weight for each column');
    return { y: { shape: x.shape }, rstd: { shape: [rows] } };
  },
  // dx = rstd (w dy) - x rstd³/D Σ(w dy x)
  gradient({ graph, inputs, outputs, attributes, gradient, accumulate }) {
    const dy = gradient('y');
    if (!dy) return;
    const { x, weight } = inputs;
    accumulate(
      'x',
      (add) =>
        graph.emit(
          'rmsNormBackward',
          { dy, x, weight, rstd: outputs.rstd, ...(add && { add }) },
          { offset: attributes.offset, eps: attributes.eps },
        ).dx,
    );
  },
  kernels({ inputs, outputs, attributes, target }) {
    const { rows, columns: width } = matrix(inputs.x);
    return rmsNorm<Operand>(
      target,
      { rows, width, weightType: vectorType(inputs.weight), ...attributes },
      { ...inputs, y: outputs.y },
    );
  },
};

export const rmsNormBackwardOp: OpDefinition<'rmsNormBackward'> = {
  outputs: ({ x }) => ({ dx: { shape: x.shape } }),
  gradient: 'none',
  kernels({ inputs, outputs, attributes, target }) {
    const { rows, columns: width } = matrix(inputs.x);
    const { x, weight, dy, add } = inputs;
    return rmsNormBackward<Operand>(
      target,
      { rows, width, weightType: vectorType(weight), ...attributes },
      { x, weight, dy, dx: outputs.dx, ...(add && { add }) },
    );
  },
};

export const layerNormOp: OpDefinition<'layerNorm'> = {
  outputs({ x, weight, bias }) {
    const { rows, columns } = matrix(x);
    expectAffine('layerNorm', columns, weight, bias);
    return { y: { shape: x.shape }, stats: { shape: [rows, 2] } };
  },
  // With g = dy w and x̂ = (x - mean) rstd: dx = rstd (g - mean(g) - x̂ mean(g x̂))
  gradient({ graph, inputs, outputs, attributes, gradient, accumulate }) {
    const dy = gradient('y');
    if (!dy) return;
    const { x, weight } = inputs;
    const { stats } = outputs;
    accumulate(
      'x',
      (add) => graph.emit('layerNormBackward', { dy, x, weight, stats, ...(add && { add }) }, attributes).dx,
    );
  },
  kernels({ inputs, outputs, attributes, target }) {
    const { rows, columns: width } = matrix(inputs.x);
    const shape = { rows, width, weightType: vectorType(inputs.weight), ...attributes };
    return layerNorm<Operand>(target, shape, { ...inputs, ...outputs });
  },
};

export const layerNormBackwardOp: OpDefinition<'layerNormBackward'> = {
  outputs: ({ x }) => ({ dx: { shape: x.shape } }),
  gradient: 'none',
  kernels({ inputs, outputs, attributes, target }) {
    const { rows, columns: width } = matrix(inputs.x);
    const shape = { rows, width, weightType: vectorType(inputs.weight), ...attributes };
    return layerNormBackward<Operand>(target, shape, { ...inputs, dx: outputs.dx });
  },
};

function groupShape(x: Tensor, type: WeightType, attributes: GroupNormAttributes): GroupNormShape {
  const { rows, columns: channels } = matrix(x);
  return { pixels: rows / attributes.images, channels, weightType: type, ...attributes };
}

export const groupNormOp: OpDefinition<'groupNorm'> = {
  outputs({ x, weight, bias }, { images, groups }) {
    const { rows, columns } = matrix(x);
    if (rows % images !== 0) throw new Error(`groupNorm: ${rows} rows are not ${images} images`);
    if (columns % groups !== 0) throw new Error(`groupNorm: ${columns} channels are not ${groups} groups`);
    expectAffine('groupNorm', columns, weight, bias);
    return { y: { shape: x.shape }, stats: { shape: [images * groups, 2] } };
  },
  // With x̂ = (x - mean) rstd and g = dy act'(x̂ w + b) w: dx = rstd (g - mean(g) - x̂ mean(g x̂)), means over the group
  gradient({ graph, inputs, outputs, attributes, gradient, accumulate }) {
    const dy = gradient('y');
    if (!dy) return;
    const { stats } = outputs;
    accumulate(
      'x',
      (add) => graph.emit('groupNormBackward', { ...inputs, dy, stats, ...(add && { add }) }, attributes).dx,
    );
  },
  kernels({ inputs, outputs, attributes, target, temporary }) {
    const shape = groupShape(inputs.x, vectorType(inputs.weight), attributes);
    const parts = temporary([groupNormParts(target, shape)]);
    return groupNorm<Operand>(target, shape, { ...inputs, ...outputs, parts });
  },
};

export const groupNormBackwardOp: OpDefinition<'groupNormBackward'> = {
  outputs: ({ x }) => ({ dx: { shape: x.shape } }),
  gradient: 'none',
  kernels({ inputs, outputs, attributes, target, temporary }) {
    const shape = groupShape(inputs.x, vectorType(inputs.weight), attributes);
    const parts = temporary([groupNormParts(target, shape)]);
    const means = temporary(inputs.stats.shape);
    return groupNormBackward<Operand>(target, shape, { ...inputs, dx: outputs.dx, parts, means });
  },
};
