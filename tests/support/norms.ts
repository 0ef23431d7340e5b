/** Float64 layer norm and group norm, and their gradients, written from the definition. */

const sigmoid = (z: number): number => 1 / (1 + Math.exp(-z));
const act = (z: number, activation: 'silu' | null): number => (activation ? z * sigmoid(z) : z);
const slopeOf = (z: number, activation: 'silu' | null): number =>
  activation ? sigmoid(z) * (1 + z * (1 - sigmoid(z))) : 1;

export interface NormCase {
  images: number;
  pixels: number;
  channels: number;
  groups: number;
  eps: number;
  activation: 'silu' | null;
}

/** Elements of each group of each image; layer norm is one image a row, of one pixel and one group. */
function* members({ images, pixels, channels, groups }: NormCase): Generator<number[]> {
  const width = channels / groups;
  for (let n = 0; n < images; n++) {
    for (let g = 0; g < groups; g++) {
      const at: number[] = [];
      for (let t = 0; t < pixels; t++)
        for (let c = 0; c < width; c++) at.push((n * pixels + t) * channels + g * width + c);
      yield at;
    }
  }
}

/**
 * y, the pairs (mean, rstd) of every group, and with dy the gradient dx. `terms`: the size of what they are sums of; x is
 * the mean and what is above it, known to the last bit of x.
 */
export function normReference(
  shape: NormCase,
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  bias: ArrayLike<number>,
  dy?: ArrayLike<number>,
) {
  const y = new Float64Array(x.length);
  const dx = new Float64Array(x.length);
  const stats: number[] = [];
  const squares = { y: 0, dx: 0, stats: 0 };
  for (const at of members(shape)) {
    const mean = at.reduce((sum, i) => sum + x[i]!, 0) / at.length;
    const variance = at.reduce((sum, i) => sum + (x[i]! - mean) ** 2, 0) / at.length;
    const rstd = 1 / Math.sqrt(variance + shape.eps);
    stats.push(mean, rstd);
    // What is above the mean is known to the last bit of x, and rstd to as large a share of the spread.
    const size = at.reduce((sum, i) => sum + Math.abs(x[i]!), 0) / at.length;
    squares.stats += size ** 2 + (rstd * (1 + rstd * size)) ** 2;
    const normal = (i: number): number => (x[i]! - mean) * rstd;
    const z = (i: number): number => normal(i) * weight[i % shape.channels]! + bias[i % shape.channels]!;
    for (const i of at) {
      y[i] = act(z(i), shape.activation);
      squares.y += (x[i]! * rstd * weight[i % shape.channels]!) ** 2 + bias[i % shape.channels]! ** 2;
    }
    if (!dy) continue;
    const g = (i: number): number => dy[i]! * slopeOf(z(i), shape.activation) * weight[i % shape.channels]!;
    const first = at.reduce((sum, i) => sum + g(i), 0) / at.length;
    const second = at.reduce((sum, i) => sum + g(i) * normal(i), 0) / at.length;
    for (const i of at) {
      dx[i] = rstd * (g(i) - first - normal(i) * second);
      squares.dx +=
        rstd ** 2 * ((dy[i]! * weight[i % shape.channels]!) ** 2 + first ** 2 + (x[i]! * rstd * second) ** 2);
    }
  }
  const terms = { y: Math.sqrt(squares.y), dx: Math.sqrt(squares.dx), stats: Math.sqrt(squares.stats) };
  return { y, dx, stats: Float64Array.from(stats), terms };
}
