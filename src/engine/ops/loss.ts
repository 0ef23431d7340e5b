import { crossEntropy } from '../kernels/cross_entropy.ts';
import type { KernelCall } from '../kernels/kernel.ts';
import { linear, linearBackward } from '../kernels/matmul.ts';
import { squaredError } from '../kernels/squared_error.ts';
import type { Tensor } from '../tensor.ts';
import { elementCount, matrix, weightType } from '../tensor.ts';
import { expectColumns, weightParts } from './linear.ts';
import type { Op, OpDefinition, Operand } from './types.ts';

declare module './types.ts' {
  interface OpTypes {
    /**
     * loss[t] = -log softmax(x[t] Wᵀ)[label], 0 where the label is -100; dx is the gradient of loss_scale · Σ loss.
     * Logits exist for a chunk of rows at a time.
     */
    crossEntropyHead: Op<
      { x: Tensor; weight: Tensor; labels: Tensor },
      { withGradient: boolean; chunkRows: number },
      { loss: Tensor; dx?: Tensor }
    >;
    /**
     * loss[t] = weight[t] · -log softmax(x[t])[label], x [rows, V] being logits, 0 where the label is -100 (or negative at all);
     * dx is the gradient of loss_scale · Σ loss.
     */
    crossEntropy: Op<
      { x: Tensor; labels: Tensor; weight: Tensor },
      { withGradient: boolean },
      { loss: Tensor; dx?: Tensor }
    >;
    /** loss[r] = weight[r] Σ_c (x[r, c] - target[r, c])²; dx is the gradient of loss_scale · Σ loss. */
    squaredError: Op<
      { x: Tensor; target: Tensor; weight: Tensor },
      { withGradient: boolean },
      { loss: Tensor; dx?: Tensor }
    >;
  }
}

export const crossEntropyHeadOp: OpDefinition<'crossEntropyHead'> = {
  outputs({ x, weight, labels }, { withGradient, chunkRows }) {
    const { rows } = matrix(x);
    expectColumns('crossEntropyHead', x, matrix(weight).columns);
    if (elementCount(labels.shape) !== rows) throw new Error('crossEntropyHead: one label for each row');
    if (chunkRows < rows && chunkRows % 64 !== 0) throw new Error('crossEntropyHead: chunks are multiples of 64 rows');
    return { loss: { shape: [rows] }, ...(withGradient && { dx: { shape: x.shape } }) };
  },
  isLoss: true,
  // dx was computed on the way: it is the gradient of loss_scale · Σ loss.
  gradient({ graph, outputs, accumulate }) {
    const { dx } = outputs;
    if (!dx) throw new Error('crossEntropyHead was built without gradient');
    accumulate('x', (previous) => (previous ? graph.add(previous, dx) : dx));
  },
  kernels({ inputs, outputs, attributes, target, temporary }) {
    const { x, weight, labels } = inputs;
    const { rows, columns: k } = matrix(x);
    const { rows: vocabulary } = matrix(weight);
    const type = weightType(weight);
    const chunk = Math.min(rows, attributes.chunkRows);
    const logits = temporary([chunk, vocabulary]);
    const calls: KernelCall<Operand>[] = [];
    const rowsOf = (tensor: Tensor, first: number, count: number): Operand => ({
      tensor,
      offset: first * k * 4,
      size: count * k * 4,
    });
    for (let first = 0; first < rows; first += chunk) {
      const m = Math.min(chunk, rows - first);
      for (const part of weightParts(weight)) {
        calls.push(
          linear<Operand>(
            { x: rowsOf(x, first, m), w: part.part, scales: part.part.scales, y: logits },
            { m, n: part.rows, k, weightType: type, yOffset: part.row, yStride: vocabulary },
            target,
          ),
        );
      }
      const { dx } = outputs;
      calls.push(
        ...crossEntropy<Operand>(
          target,
          { rows: m, vocabulary, withGradient: dx !== undefined, firstRow: first },
          { logits, labels, loss: outputs.loss },
        ),
      );
      if (!dx) continue;
      for (const part of weightParts(weight)) {
        calls.push(
          linearBackward<Operand>(
            { dy: logits, w: part.part, scales: part.part.scales, dx: rowsOf(dx, first, m) },
            {
              m,
              n: part.rows,
              k,
              weightType: type,
              dyOffset: part.row,
              dyStride: vocabulary,
              accumulate: part.row > 0,
            },
            target,
          ),
        );
      }
    }
    return calls;
  },
};

export const crossEntropyOp: OpDefinition<'crossEntropy'> = {
  outputs({ x, labels, weight }, { withGradient }) {
    const { rows } = matrix(x);
    if (elementCount(labels.shape) !== rows) throw new Error('crossEntropy: one label for each row');
    if (elementCount(weight.shape) !== rows) throw new Error('crossEntropy: one weight for each row');
    return { loss: { shape: [rows] }, ...(withGradient && { dx: { shape: x.shape } }) };
  },
  isLoss: true,
  // dx was computed on the way: loss_scale · weight (softmax(x) - onehot).
  gradient({ graph, outputs, needs, accumulate }) {
    const { dx } = outputs;
    if (!dx) throw new Error('crossEntropy was built without gradient');
    if (needs('weight')) throw new Error('crossEntropy: only x can be trained');
    accumulate('x', (previous) => (previous ? graph.add(previous, dx) : dx));
  },
  kernels({ inputs: { x, labels, weight }, outputs: { loss, dx }, target }) {
    const { rows, columns } = matrix(x);
    return crossEntropy<Operand>(
      target,
      { rows, vocabulary: columns, withGradient: dx !== undefined },
      { logits: x, labels, loss, weights: weight, dx },
    );
  },
};

export const squaredErrorOp: OpDefinition<'squaredError'> = {
  outputs({ x, target, weight }, { withGradient }) {
    const { rows } = matrix(x);
    expectColumns('squaredError', target, matrix(x).columns);
    if (matrix(target).rows !== rows) throw new Error('squaredError: a target for each row');
    if (elementCount(weight.shape) !== rows) throw new Error('squaredError: one weight for each row');
    return { loss: { shape: [rows] }, ...(withGradient && { dx: { shape: x.shape } }) };
  },
  isLoss: true,
  // dx was computed on the way: loss_scale · 2 weight (x - target).
  gradient({ graph, outputs, needs, accumulate }) {
    const { dx } = outputs;
    if (!dx) throw new Error('squaredError was built without gradient');
    if (needs('target') || needs('weight')) throw new Error('squaredError: only x can be trained');
    accumulate('x', (previous) => (previous ? graph.add(previous, dx) : dx));
  },
  kernels({ inputs, outputs, target }) {
    const { rows, columns } = matrix(inputs.x);
    return squaredError<Operand>(target, { rows, width: columns }, { ...inputs, ...outputs });
  },
};
