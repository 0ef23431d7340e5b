import { UserError } from '../../common/errors.ts';
import type { Checkpoint } from '../files/checkpoint.ts';
import { quoteValue } from '../../common/json.ts';

/** A layer's magnitudes and directions, as torch's two forms of weight normalisation store them. */
const FORMS = [
  { g: '.weight_g', v: '.weight_v' },
  { g: '.parametrizations.weight.original0', v: '.parametrizations.weight.original1' },
] as const;

export interface NormedWeight {
  g: string;
  v: string;
}

/** The two tensors behind `layer`.weight, or undefined where it is stored as it is used. */
export function normedWeight(checkpoint: Checkpoint, layer: string): NormedWeight | undefined {
  const form = FORMS.find(({ v }) => checkpoint.has(layer + v));
  return form && { g: layer + form.g, v: layer + form.v };
}

/**
 * Weight normalisation (Salimans and Kingma, arXiv:1602.07868): each row of v [rows, channels, taps] with the length g[row],
 * its taps before its channels, as the device holds a convolution. Sums in float64.
 */
export function foldWeightNorm(
  g: ArrayLike<number> | undefined,
  v: ArrayLike<number>,
  { rows, channels, taps }: { rows: number; channels: number; taps: number },
): Float32Array<ArrayBuffer> {
  const size = channels * taps;
  const out = new Float32Array(rows * size);
  for (let row = 0; row < rows; row++) {
    const start = row * size;
    let factor = 1;
    if (g) {
      let squares = 0;
      for (let i = 0; i < size; i++) squares += v[start + i]! ** 2;
      factor = g[row]! / Math.sqrt(squares);
    }
    for (let c = 0; c < channels; c++) {
      for (let t = 0; t < taps; t++) out[start + t * channels + c] = v[start + c * taps + t]! * factor;
    }
  }
  return out;
}

/** Throws UserError where a tensor is missing or of another shape. */
export function requireShape(checkpoint: Checkpoint, name: string, shape: readonly number[]): void {
  const entry = checkpoint.tensors.get(name);
  const folder = checkpoint.folder.name;
  if (!entry)
    throw new UserError(`“${folder}” has no tensor ${quoteValue(name)}, which the model needs. Is a file missing?`);
  if (entry.shape.length !== shape.length || entry.shape.some((size, i) => size !== shape[i])) {
    throw new UserError(
      `Tensor ${quoteValue(name)} in ${entry.file} of “${folder}” has the shape [${entry.shape.join(', ')}]; ` +
        `the model's configuration asks for [${shape.join(', ')}]. The two do not belong together.`,
    );
  }
}
