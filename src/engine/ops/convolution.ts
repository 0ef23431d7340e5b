import { conv2d, conv2dBackward } from '../kernels/conv2d.ts';
import { expectUndilated, outputSize, tapsOf } from '../kernels/conv2d_geometry.ts';
import { fold, unfold, upsampleNearest, upsampleNearestBackward } from '../kernels/conv2d_pixels.ts';
import type { Tensor } from '../tensor.ts';
import { elementCount, matrix, weightType } from '../tensor.ts';
import { expectColumns, weightParts } from './linear.ts';
import type { Op, OpDefinition, Operand } from './types.ts';

/** Pictures are matrices: a row for each pixel, those of an image one after the other, row by row. */
export interface PictureAttributes {
  images: number;
  height: number;
  width: number;
}

export interface Conv2dAttributes extends PictureAttributes {
  kernel: readonly [height: number, width: number];
  stride: number;
  /** Pixels from one tap to the next, default 1; both ways. conv2d alone takes more: convolutions of sound are not trained. */
  dilation?: number;
  /** zeros around the picture */
  padding: readonly [top: number, left: number, bottom: number, right: number];
}

declare module './types.ts' {
  interface OpTypes {
    /**
     * y[(n, oy, ox), o] = bias[o] + imageBias[n, o] + Σ x[(n, oy·s - top + ky·d, ox·s - left + kx·d), c]
     * W[o, (ky, kx, c)] + residual, s and d being stride and dilation; height and width are those of x, W [O, kh · kw · C].
     */
    conv2d: Op<
      { x: Tensor; weight: Tensor; bias?: Tensor; imageBias?: Tensor; residual?: Tensor },
      Conv2dAttributes,
      { y: Tensor }
    >;
    /** dx = dy through the taps of the forward convolution with these attributes, + residual */
    conv2dBackward: Op<{ dy: Tensor; weight: Tensor; residual?: Tensor }, Conv2dAttributes, { dx: Tensor }>;
    /** y [output pixels, kh · kw · C]: what conv2d multiplies with W */
    unfold: Op<{ x: Tensor }, Conv2dAttributes, { y: Tensor }>;
    fold: Op<{ dy: Tensor; add?: Tensor }, Conv2dAttributes, { dx: Tensor }>;
    /** y: every pixel of x four times, twice as high and wide. height and width are those of x. */
    upsampleNearest: Op<{ x: Tensor }, PictureAttributes, { y: Tensor }>;
    upsampleNearestBackward: Op<{ dy: Tensor; add?: Tensor }, PictureAttributes, { dx: Tensor }>;
  }
}

/** One row of the matrix for each pixel of each image. */
function expectPixels(what: string, tensor: Tensor, { images, height, width }: PictureAttributes): void {
  if (matrix(tensor).rows !== images * height * width) {
    throw new Error(
      `${what}: ${tensor.label} has ${matrix(tensor).rows} rows, not ${images} × ${height} × ${width} pixels`,
    );
  }
}

/** Pixels of what comes out of a convolution. */
const produced = (attributes: Conv2dAttributes): PictureAttributes => ({
  images: attributes.images,
  ...outputSize(attributes),
});

const outputRows = (attributes: Conv2dAttributes): number => {
  const { images, height, width } = produced(attributes);
  return images * height * width;
};

/** The input channels that a weight [O, taps · C] has. */
function channelsOf(what: string, weight: Tensor, attributes: Conv2dAttributes): number {
  const { columns } = matrix(weight);
  const taps = tapsOf(attributes);
  if (columns % taps !== 0)
    throw new Error(`${what}: ${weight.label} has ${columns} columns, no multiple of ${taps} taps`);
  return columns / taps;
}

export const conv2dOp: OpDefinition<'conv2d'> = {
  outputs({ x, weight, bias, imageBias, residual }, attributes) {
    const { rows: n } = matrix(weight);
    expectPixels('conv2d', x, attributes);
    expectColumns('conv2d', x, channelsOf('conv2d', weight, attributes));
    if (bias && elementCount(bias.shape) !== n)
      throw new Error(`conv2d: the bias has ${elementCount(bias.shape)} numbers for ${n} channels`);
    if (imageBias && elementCount(imageBias.shape) !== attributes.images * n)
      throw new Error(`conv2d: the images' bias is [${imageBias.shape.join()}], not [${attributes.images},${n}]`);
    if (residual) {
      expectPixels('conv2d', residual, produced(attributes));
      expectColumns('conv2d', residual, n);
    }
    return { y: { shape: [outputRows(attributes), n] } };
  },

  gradient({ graph, inputs, attributes, gradient, needs, accumulate }) {
    const { weight } = inputs;
    if (needs('weight') || needs('bias')) throw new Error('conv2d: weight and bias are frozen');
    const dy = gradient('y');
    if (!dy) return;
    // d residual = dy
    accumulate('residual', (previous) => (previous ? graph.add(previous, dy) : dy));
    // d imageBias[n] = Σ dy over the pixels of image n
    accumulate('imageBias', (previous) => {
      const { y } = graph.emit('columnSum', { x: dy }, { groups: attributes.images });
      return previous ? graph.add(previous, y) : y;
    });
    // dx = dy taken back through every tap that read x
    accumulate(
      'x',
      (residual) => graph.emit('conv2dBackward', { dy, weight, ...(residual && { residual }) }, attributes).dx,
    );
  },

  kernels({ inputs, outputs: { y }, attributes, target }) {
    const { x, weight, bias, imageBias, residual } = inputs;
    const { rows: n } = matrix(weight);
    const whole = !weight.parts;
    return [...weightParts(weight)].map(({ part, row, rows }) =>
      conv2d<Operand>(
        {
          x,
          w: part,
          scales: part.scales,
          y,
          bias: bias && !whole ? { tensor: bias, offset: row * 4, size: rows * 4 } : bias,
          imageBias,
          residual,
        },
        {
          ...attributes,
          channels: matrix(x).columns,
          outChannels: rows,
          weightType: weightType(weight),
          yOffset: row,
          yStride: n,
        },
        target,
      ),
    );
  },
};

export const conv2dBackwardOp: OpDefinition<'conv2dBackward'> = {
  outputs({ dy, weight, residual }, attributes) {
    expectUndilated('conv2dBackward', attributes);
    const channels = channelsOf('conv2dBackward', weight, attributes);
    expectPixels('conv2dBackward', dy, produced(attributes));
    expectColumns('conv2dBackward', dy, matrix(weight).rows);
    if (residual) {
      expectPixels('conv2dBackward', residual, attributes);
      expectColumns('conv2dBackward', residual, channels);
    }
    return { dx: { shape: [attributes.images * attributes.height * attributes.width, channels] } };
  },
  gradient: 'none',
  kernels({ inputs, outputs: { dx }, attributes, target }) {
    const { dy, weight, residual } = inputs;
    const { rows: n } = matrix(weight);
    return [...weightParts(weight)].map(({ part, row, rows }, i) =>
      conv2dBackward<Operand>(
        { dy, w: part, scales: part.scales, dx, ...(i === 0 && { residual }) },
        {
          ...attributes,
          channels: matrix(dx).columns,
          outChannels: rows,
          weightType: weightType(weight),
          dyOffset: row,
          dyStride: n,
          accumulate: i > 0,
        },
        target,
      ),
    );
  },
};

export const unfoldOp: OpDefinition<'unfold'> = {
  outputs({ x }, attributes) {
    expectUndilated('unfold', attributes);
    expectPixels('unfold', x, attributes);
    return { y: { shape: [outputRows(attributes), tapsOf(attributes) * matrix(x).columns] } };
  },
  // dx[pixel] = Σ dy over the taps that read the pixel
  gradient({ graph, attributes, gradient, accumulate }) {
    const dy = gradient('y');
    if (!dy) return;
    accumulate('x', (add) => graph.emit('fold', { dy, ...(add && { add }) }, attributes).dx);
  },
  kernels: ({ inputs, outputs: { y }, attributes }) => [
    unfold<Operand>({ ...attributes, channels: matrix(inputs.x).columns }, { x: inputs.x, y }),
  ],
};

export const foldOp: OpDefinition<'fold'> = {
  outputs({ dy, add }, attributes) {
    expectUndilated('fold', attributes);
    const channels = matrix(dy).columns / tapsOf(attributes);
    if (!Number.isInteger(channels)) throw new Error(`fold: ${matrix(dy).columns} columns are not whole taps`);
    expectPixels('fold', dy, produced(attributes));
    if (add) {
      expectPixels('fold', add, attributes);
      expectColumns('fold', add, channels);
    }
    return { dx: { shape: [attributes.images * attributes.height * attributes.width, channels] } };
  },
  gradient: 'none',
  kernels: ({ inputs, outputs: { dx }, attributes }) => [
    fold<Operand>({ ...attributes, channels: matrix(dx).columns }, { ...inputs, dx }),
  ],
};

export const upsampleNearestOp: OpDefinition<'upsampleNearest'> = {
  outputs({ x }, attributes) {
    expectPixels('upsampleNearest', x, attributes);
    const { rows, columns } = matrix(x);
    return { y: { shape: [4 * rows, columns] } };
  },
  // dx = the sum of the four pixels that were copied from it
  gradient({ graph, attributes, gradient, accumulate }) {
    const dy = gradient('y');
    if (!dy) return;
    accumulate('x', (add) => graph.emit('upsampleNearestBackward', { dy, ...(add && { add }) }, attributes).dx);
  },
  kernels: ({ inputs, outputs: { y }, attributes }) => [
    upsampleNearest<Operand>({ ...attributes, channels: matrix(y).columns }, { x: inputs.x, y }),
  ],
};

export const upsampleNearestBackwardOp: OpDefinition<'upsampleNearestBackward'> = {
  outputs({ dy, add }, { images, height, width }) {
    const { columns } = matrix(dy);
    expectPixels('upsampleNearestBackward', dy, { images, height: 2 * height, width: 2 * width });
    if (add) {
      expectPixels('upsampleNearestBackward', add, { images, height, width });
      expectColumns('upsampleNearestBackward', add, columns);
    }
    return { dx: { shape: [images * height * width, columns] } };
  },
  gradient: 'none',
  kernels: ({ inputs, outputs: { dx }, attributes }) => [
    upsampleNearestBackward<Operand>({ ...attributes, channels: matrix(dx).columns }, { ...inputs, dx }),
  ],
};
