import type { KernelCall } from '../kernels/kernel.ts';
import type { LoraSegment } from '../kernels/lora_segments.ts';
import { totalRank } from '../kernels/lora_segments.ts';
import { linear, linearBackward } from '../kernels/matmul.ts';
import { loraDown, loraUpBackward, outer } from '../kernels/matmul_lora.ts';
import type { Tensor } from '../tensor.ts';
import { elementCount, matrix, weightType } from '../tensor.ts';
import type { Op, OpDefinition, Operand } from './types.ts';

declare module './types.ts' {
  interface OpTypes {
    /** y = x Wᵀ + bias + residual + Σ segments scale (x' Aᵀ) Bᵀ, with x' = loraInput or x */
    linear: Op<
      { x: Tensor; weight: Tensor; bias?: Tensor; residual?: Tensor; a?: Tensor; b?: Tensor; loraInput?: Tensor },
      { segments: readonly LoraSegment[] },
      { y: Tensor; h?: Tensor }
    >;
    /** dx = dy W + g A + residual */
    linearBackward: Op<
      { dy: Tensor; weight: Tensor; g?: Tensor; a?: Tensor; residual?: Tensor },
      object,
      { dx: Tensor }
    >;
    /** g = scale dy B, segment by segment */
    loraUpBackward: Op<{ dy: Tensor; b: Tensor }, { segments: readonly LoraSegment[] }, { g: Tensor }>;
    /** dA = gᵀ x, dB = dyᵀ h, added to or put into the flat gradient buffer */
    loraGradient: Op<
      { g: Tensor; x: Tensor; dy: Tensor; h: Tensor },
      { segments: readonly LoraSegment[] },
      { da: Tensor; db: Tensor }
    >;
  }
}

/**
 * The segments of a group as the rows [start, end) of its weight see them. Those outside stay, without columns: h has a column
 * for each of their ranks all the same.
 */
export function clippedSegments(segments: readonly LoraSegment[], start: number, end: number): LoraSegment[] {
  let column = 0;
  return segments.map((segment) => {
    const first = column;
    column += segment.columns;
    const from = Math.max(start, first);
    const columns = Math.max(0, Math.min(end, column) - from);
    return { ...segment, columns, bOffset: segment.bOffset + (columns > 0 ? (from - first) * segment.rank : 0) };
  });
}

/** Consecutive parts of a weight with the first row of each. */
export function* weightParts(weight: Tensor): Generator<{ part: Tensor; row: number; rows: number }> {
  let row = 0;
  for (const part of weight.parts ?? [weight]) {
    const { rows } = matrix(part);
    yield { part, row, rows };
    row += rows;
  }
}

export const expectColumns = (what: string, tensor: Tensor, columns: number): void => {
  if (matrix(tensor).columns !== columns) {
    throw new Error(`${what}: ${tensor.label} has ${matrix(tensor).columns} columns where ${columns} were expected`);
  }
};

const expectRows = (what: string, tensor: Tensor, rows: number): void => {
  if (matrix(tensor).rows !== rows) {
    throw new Error(`${what}: ${tensor.label} has ${matrix(tensor).rows} rows where ${rows} were expected`);
  }
};

/** A [Σ r, k], B's one after the other, and segments that cover the n columns of the output. */
function expectLora(what: string, a: Tensor, b: Tensor, segments: readonly LoraSegment[], n: number, k: number): void {
  expectRows(what, a, totalRank(segments));
  expectColumns(what, a, k);
  const columns = segments.reduce((sum, segment) => sum + segment.columns, 0);
  if (columns !== n) throw new Error(`${what}: the segments have ${columns} columns, the weight ${n} rows`);
  const elements = segments.reduce((sum, segment) => sum + segment.columns * segment.rank, 0);
  if (elementCount(b.shape) < elements) throw new Error(`${what}: ${b.label} is smaller than the segments' B's`);
}

export const linearOp: OpDefinition<'linear'> = {
  outputs({ x, weight, bias, residual, a, b, loraInput }, { segments }) {
    const { rows } = matrix(x);
    const { rows: n, columns: k } = matrix(weight);
    expectColumns('linear', x, k);
    if (bias && elementCount(bias.shape) !== n)
      throw new Error(`linear: the bias has ${elementCount(bias.shape)} numbers for ${n} columns`);
    for (const [tensor, columns] of [
      [residual, n],
      [loraInput, k],
    ] as const) {
      if (!tensor) continue;
      expectColumns('linear', tensor, columns);
      expectRows('linear', tensor, rows);
    }
    const r = totalRank(segments);
    if (Boolean(a) !== r > 0 || Boolean(b) !== r > 0) throw new Error('linear: A and B go with segments of some rank');
    if (a && b) expectLora('linear', a, b, segments, n, k);
    return { y: { shape: [rows, n] }, ...(r > 0 ? { h: { shape: [rows, r] } } : {}) };
  },

  gradient({ graph, inputs, outputs, attributes, gradient, needs, accumulate }) {
    const { x, weight, a, b, loraInput } = inputs;
    const { segments } = attributes;
    const dy = gradient('y');
    if (!dy) return;
    // d residual = dy
    accumulate('residual', (previous) => (previous ? graph.add(previous, dy) : dy));
    if (!a || !b) {
      // dx = dy W
      accumulate('x', (residual) => graph.emit('linearBackward', { dy, weight, ...(residual && { residual }) }, {}).dx);
      return;
    }
    // g = scale dy B; dA = gᵀ x'; dB = dyᵀ h, h carrying the scale
    const { g } = graph.emit('loraUpBackward', { dy, b }, { segments });
    graph.emit(
      'loraGradient',
      { g, x: loraInput ?? x, dy, h: outputs.h! },
      { segments },
      { da: graph.gradientOf(a), db: graph.gradientOf(b) },
    );
    if (loraInput) {
      // dx = dy W; dx' = g A
      if (needs('x'))
        accumulate(
          'x',
          (residual) => graph.emit('linearBackward', { dy, weight, ...(residual && { residual }) }, {}).dx,
        );
      accumulate(
        'loraInput',
        (residual) => graph.emit('linearBackward', { dy: g, weight: a, ...(residual && { residual }) }, {}).dx,
      );
    } else {
      // dx = dy W + g A
      accumulate(
        'x',
        (residual) => graph.emit('linearBackward', { dy, weight, g, a, ...(residual && { residual }) }, {}).dx,
      );
    }
  },

  kernels({ inputs, outputs, attributes, target }) {
    const { x, weight, bias, residual, a, b, loraInput } = inputs;
    const { segments } = attributes;
    const { rows: m } = matrix(x);
    const { rows: n, columns: k } = matrix(weight);
    const { y, h } = outputs;
    const calls: KernelCall<Operand>[] = [];
    if (a && h) calls.push(loraDown<Operand>({ x: loraInput ?? x, a, h }, { m, k, segments }, target));
    const whole = !weight.parts;
    for (const { part, row, rows } of weightParts(weight)) {
      const lora =
        b && h ? { h, b, segments: whole ? segments : clippedSegments(segments, row, row + rows) } : undefined;
      const partBias = bias && !whole ? { tensor: bias, offset: row * 4, size: rows * 4 } : bias;
      calls.push(
        linear<Operand>(
          { x, w: part, scales: part.scales, y, bias: partBias, residual, lora },
          { m, n: rows, k, weightType: weightType(weight), yOffset: row, yStride: n },
          target,
        ),
      );
    }
    return calls;
  },
};

export const linearBackwardOp: OpDefinition<'linearBackward'> = {
  outputs({ dy, weight, residual, g, a }) {
    const { rows: n, columns: k } = matrix(weight);
    expectColumns('linearBackward', dy, n);
    if (residual) expectColumns('linearBackward', residual, k);
    if (g && a) expectColumns('linearBackward', a, k);
    return { dx: { shape: [matrix(dy).rows, k] } };
  },
  gradient: 'none',
  kernels({ inputs, outputs, target }) {
    const { dy, weight, g, a, residual } = inputs;
    const { rows: m, columns: n } = matrix(dy);
    const { columns: k } = matrix(weight);
    return [...weightParts(weight)].map(({ part, row, rows }, i) =>
      linearBackward<Operand>(
        {
          dy,
          w: part,
          scales: part.scales,
          dx: outputs.dx,
          ...(i === 0 && { residual, lora: g && a ? { g, a, r: matrix(g).columns } : undefined }),
        },
        { m, n: rows, k, weightType: weightType(weight), dyOffset: row, dyStride: n, accumulate: i > 0 },
        target,
      ),
    );
  },
};

export const loraUpBackwardOp: OpDefinition<'loraUpBackward'> = {
  outputs: ({ dy }, { segments }) => ({ g: { shape: [matrix(dy).rows, totalRank(segments)] } }),
  gradient: 'none',
  kernels: ({ inputs, outputs, attributes, target }) => [
    loraUpBackward<Operand>(
      { dy: inputs.dy, b: inputs.b, g: outputs.g },
      { m: matrix(inputs.dy).rows, segments: attributes.segments },
      target,
    ),
  ],
};

export const loraGradientOp: OpDefinition<'loraGradient'> = {
  outputs: ({ x }, { segments }) => ({
    da: { shape: [totalRank(segments), matrix(x).columns] },
    db: { shape: [segments.reduce((sum, { columns, rank }) => sum + columns * rank, 0)] },
  }),
  gradient: 'none',
  hasEffect: true,
  kernels({ inputs, outputs, attributes, target }) {
    const { rows: m, columns: k } = matrix(inputs.x);
    return outer<Operand>({ ...inputs, ...outputs }, { m, k, segments: attributes.segments }, target);
  },
};
