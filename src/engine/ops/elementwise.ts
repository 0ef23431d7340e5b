import { columnSum } from '../kernels/column_sum.ts';
import type { KernelCall } from '../kernels/kernel.ts';
import { linearGrid } from '../kernels/kernel.ts';
import { reduceSum } from '../kernels/optimizer.ts';
import type { Tensor } from '../tensor.ts';
import { elementCount, matrix } from '../tensor.ts';
import type { Expression } from './expression.ts';
import { binary, derivative, operand, operations, toWgsl, uses, usesStrength } from './expression.ts';
import type { Inputs, Op, OpDefinition, Operand } from './types.ts';

declare module './types.ts' {
  interface OpTypes {
    /**
     * y = an elementwise expression over up to six operands, each full-sized, one row ([C]), one number ([1]) or one row for
     * each group of rows ([G, C], where G divides the rows: row r reads row ⌊r / (rows / G)⌋)
     */
    map: Op<
      { x0: Tensor; x1?: Tensor; x2?: Tensor; x3?: Tensor; x4?: Tensor; x5?: Tensor },
      { expression: Expression },
      { y: Tensor }
    >;
    /** y = x0 | x1 | x2, side by side */
    concat: Op<{ x0: Tensor; x1?: Tensor; x2?: Tensor }, object, { y: Tensor }>;
    /** y = columns [offset, offset + width) of x */
    slice: Op<{ x: Tensor }, { offset: number; width: number }, { y: Tensor }>;
    /**
     * y[g, c] = Σ_t x[t, c] · z[t, c] (z = 1 where absent) over the rows of each of `groups` equal groups (default 1: y [C]),
     * added to or put into a gradient where the output is one
     */
    columnSum: Op<{ x: Tensor; z?: Tensor }, { groups?: number }, { y: Tensor }>;
    /** y = x · keep / (1 - p), keep drawn from (step seed, salt, element) */
    dropout: Op<{ x: Tensor }, { p: number; salt: number }, { y: Tensor }>;
    /** y = Σ x */
    sum: Op<{ x: Tensor }, object, { y: Tensor }>;
  }
}

const LANES = 64;

export const operandsOf = (inputs: Inputs<'map'>): [Tensor, ...Tensor[]] =>
  (Object.values(inputs) as (Tensor | undefined)[]).filter((t) => t !== undefined) as [Tensor, ...Tensor[]];

type Extent = 'full' | 'row' | 'number' | 'group';

function extent(tensor: Tensor, shape: readonly number[]): Extent {
  const count = elementCount(tensor.shape);
  const all = elementCount(shape);
  if (count === all) return 'full';
  if (count === shape.at(-1)) return 'row';
  if (count === 1) return 'number';
  if (tensor.shape.at(-1) === shape.at(-1) && all % count === 0) return 'group';
  throw new Error(`map: ${tensor.label} [${tensor.shape.join()}] does not stretch to [${shape.join()}]`);
}

const largest = (tensors: readonly Tensor[]): Tensor =>
  tensors.reduce((a, b) => (elementCount(b.shape) > elementCount(a.shape) ? b : a));

export const mapOp: OpDefinition<'map'> = {
  outputs(inputs) {
    const tensors = operandsOf(inputs);
    const { shape } = largest(tensors);
    for (const tensor of tensors) extent(tensor, shape);
    return { y: { shape } };
  },

  gradient({ graph, inputs, outputs, attributes, gradient, needs, accumulate }) {
    const dy = gradient('y');
    if (!dy) return;
    const tensors = operandsOf(inputs);
    tensors.forEach((tensor, i) => {
      const name = `x${i}` as keyof Inputs<'map'>;
      if (!needs(name)) return;
      const kind = extent(tensor, outputs.y.shape);
      if (kind === 'number') throw new Error('map: a single number cannot be trained');
      // dx = dy ∂y/∂x; towards a row, summed over the rows that read it
      const local = derivative(attributes.expression, i);
      const isOne = local.kind === 'constant' && local.value === 1;
      const full = isOne ? dy : graph.map(binary('mul', operand(tensors.length), local), [...tensors, dy]);
      if (tensor.role === 'parameter') {
        if (elementCount(tensor.shape) !== outputs.y.shape.at(-1))
          throw new Error(`map: ${tensor.label} is trained, and is not one row`);
        graph.emit('columnSum', { x: full }, {}, { y: graph.gradientOf(tensor) });
      } else if (kind === 'full') {
        accumulate(name, (previous) => (previous ? graph.add(previous, full) : full));
      } else {
        const groups = matrix(tensor).rows;
        const { y } = graph.emit('columnSum', { x: full }, kind === 'group' ? { groups } : {});
        accumulate(name, (previous) => (previous ? graph.add(previous, y) : y));
      }
    });
  },

  kernels({ inputs, outputs, attributes }) {
    const tensors = operandsOf(inputs);
    const { y } = outputs;
    const { columns } = matrix(y);
    const vector = columns % 4 === 0 ? 4 : 1;
    const count = elementCount(y.shape) / vector;
    const extents = tensors.map((tensor) => extent(tensor, y.shape));
    const defines: Record<string, string | number | boolean> = {
      V: vector === 4 ? 'vec4<f32>' : 'f32',
      OPERANDS: tensors.length,
      ROWS: extents.includes('row') || extents.includes('group'),
      // Vectors of y that read one row of a group operand, for each such operand.
      FIELDS: extents.map((kind, i) => (kind === 'group' ? `, group${i}: u32` : '')).join(''),
      EXPRESSION: toWgsl(attributes.expression),
      ERF: uses(attributes.expression, 'erf'),
      EXPM1: uses(attributes.expression, 'expm1'),
      STRENGTH: usesStrength(attributes.expression),
    };
    const reads: Record<Extent, (i: number) => string> = {
      full: (i) => `b${i}[i]`,
      row: (i) => `b${i}[c]`,
      number: (i) => `V(b${i}[0])`,
      group: (i) => `b${i}[i / p.group${i} * p.columns + c]`,
    };
    const params: Record<string, number> = { count, columns: columns / vector };
    extents.forEach((kind, i) => {
      defines[`T${i}`] = kind === 'number' ? 'f32' : String(defines['V']);
      defines[`LOAD${i}`] = reads[kind](i);
      if (kind === 'group') params[`group${i}`] = count / matrix(tensors[i]!).rows;
    });
    return [
      {
        shader: 'map',
        defines,
        params,
        buffers: { ...Object.fromEntries(tensors.map((tensor, i) => [`b${i}`, tensor])), y },
        grid: linearGrid(Math.ceil(count / LANES)),
        flops: elementCount(y.shape) * operations(attributes.expression),
        bytes: 4 * (elementCount(y.shape) + tensors.reduce((sum, tensor) => sum + elementCount(tensor.shape), 0)),
      },
    ];
  },
};

/** Copies columns of one matrix into columns of another; all in elements. */
export function copyColumns(x: Tensor, y: Tensor, from: number, to: number, width: number): KernelCall<Operand> {
  const { rows, columns: xStride } = matrix(x);
  const { columns: yStride } = matrix(y);
  const vector = [xStride, yStride, from, to, width].every((value) => value % 4 === 0) ? 4 : 1;
  const count = (rows * width) / vector;
  return {
    shader: 'copy_columns',
    defines: { V: vector === 4 ? 'vec4<f32>' : 'f32' },
    params: {
      count,
      width: width / vector,
      x_stride: xStride / vector,
      x_offset: from / vector,
      y_stride: yStride / vector,
      y_offset: to / vector,
    },
    buffers: { x, y },
    grid: linearGrid(Math.ceil(count / LANES)),
    flops: 0,
    bytes: 8 * rows * width,
  };
}

const concatenated = ({ x0, x1, x2 }: Inputs<'concat'>): Tensor[] => [x0, x1, x2].filter((t) => t !== undefined);

export const concatOp: OpDefinition<'concat'> = {
  outputs(inputs) {
    const tensors = concatenated(inputs);
    const { rows } = matrix(inputs.x0);
    if (tensors.some((tensor) => matrix(tensor).rows !== rows)) throw new Error('concat: different numbers of rows');
    return { y: { shape: [rows, tensors.reduce((sum, tensor) => sum + matrix(tensor).columns, 0)] } };
  },
  // Each input's gradient is its columns of dy.
  gradient({ graph, inputs, gradient, needs, accumulate }) {
    const dy = gradient('y');
    if (!dy) return;
    let offset = 0;
    concatenated(inputs).forEach((tensor, i) => {
      const name = `x${i}` as keyof Inputs<'concat'>;
      const attributes = { offset, width: matrix(tensor).columns };
      offset += attributes.width;
      if (!needs(name)) return;
      const { y } = graph.emit('slice', { x: dy }, attributes);
      accumulate(name, (previous) => (previous ? graph.add(previous, y) : y));
    });
  },
  kernels({ inputs, outputs }) {
    let offset = 0;
    return concatenated(inputs).map((tensor) => {
      const { columns } = matrix(tensor);
      const call = copyColumns(tensor, outputs.y, 0, offset, columns);
      offset += columns;
      return call;
    });
  },
};

export const sliceOp: OpDefinition<'slice'> = {
  outputs({ x }, { offset, width }) {
    const { rows, columns } = matrix(x);
    if (offset < 0 || offset + width > columns) throw new Error('slice: columns outside of the matrix');
    return { y: { shape: [rows, width] } };
  },
  gradient: 'none',
  kernels: ({ inputs, outputs, attributes: { offset, width } }) => [copyColumns(inputs.x, outputs.y, offset, 0, width)],
};

/** Rows that one invocation adds up where there are not far more; longer columns are summed in two passes. */
const SUM_ROWS = 128;

export const columnSumOp: OpDefinition<'columnSum'> = {
  outputs({ x, z }, { groups }) {
    const { rows, columns } = matrix(x);
    if (z && elementCount(z.shape) !== elementCount(x.shape)) throw new Error('columnSum: x and z of one size');
    if (groups === undefined) return { y: { shape: [columns] } };
    if (rows % groups !== 0) throw new Error(`columnSum: ${rows} rows are not ${groups} equal groups`);
    return { y: { shape: [groups, columns] } };
  },
  gradient: 'none',
  kernels({ inputs: { x, z }, outputs: { y }, attributes: { groups = 1 }, temporary }) {
    const { rows, columns } = matrix(x);
    const shape = { groups, groupRows: rows / groups, columns };
    const chunks = Math.ceil(shape.groupRows / Math.max(SUM_ROWS, Math.sqrt(shape.groupRows)));
    const isGradient = y.role === 'gradient';
    if (chunks === 1) return [columnSum<Operand>({ ...shape, isGradient }, { x, z, y })];
    const parts = temporary([groups * chunks, columns]);
    return [
      columnSum<Operand>({ ...shape, chunks }, { x, z, y: parts }),
      columnSum<Operand>({ groups, groupRows: chunks, columns, isGradient }, { x: parts, y }),
    ];
  },
};

export const dropoutOp: OpDefinition<'dropout'> = {
  outputs({ x }, { p }) {
    if (!(p >= 0 && p < 1)) throw new Error(`dropout: a probability from 0 to below 1, not ${p}`);
    return { y: { shape: x.shape } };
  },
  // dx = the same mask on dy
  gradient({ graph, attributes, gradient, accumulate }) {
    const dy = gradient('y');
    if (!dy) return;
    accumulate('x', (previous) => {
      const { y } = graph.emit('dropout', { x: dy }, attributes);
      return previous ? graph.add(previous, y) : y;
    });
  },
  kernels({ inputs, outputs, attributes: { p, salt } }) {
    const count = elementCount(inputs.x.shape);
    return [
      {
        shader: 'dropout',
        defines: {},
        params: { count, salt, threshold: Math.min(0xffffffff, Math.round(p * 2 ** 32)), scale: 1 / (1 - p) },
        buffers: { x: inputs.x, y: outputs.y },
        grid: linearGrid(Math.ceil(count / LANES)),
        flops: count * 12,
        bytes: 8 * count,
      },
    ];
  },
};

export const sumOp: OpDefinition<'sum'> = {
  outputs: () => ({ y: { shape: [1] } }),
  gradient: 'none',
  kernels: ({ inputs, outputs, target }) =>
    reduceSum<Operand>(target, { count: elementCount(inputs.x.shape) }, { x: inputs.x, y: outputs.y }),
};
