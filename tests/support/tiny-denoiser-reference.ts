/** The tiny denoiser and its training in float64, by itself: gradients are finite differences, the update is torch's AdamW. */
import type { LoraTensors } from '../../src/adapters/peft.ts';
import type { Projection } from '../../src/models/layers/builder.ts';
import type { Batch } from '../../src/training/trainer.ts';
import { slope } from './kernels.ts';
import { CHANNELS, HIDDEN, PROJECTIONS, STYLE, TABLE, TIME, WORD, WORDS, weightValues } from './tiny-denoiser.ts';

export interface Lora {
  A: Float64Array;
  B: Float64Array;
  r: number;
  scale: number;
}

export type Adapter64 = Map<string, Lora>;

export const wideAdapter = (tensors: ReadonlyMap<string, LoraTensors>, alpha: number): Adapter64 =>
  new Map(
    [...tensors].map(([name, { A, B, r }]) => [
      name,
      { A: Float64Array.from(A), B: Float64Array.from(B), r, scale: alpha / r },
    ]),
  );

const kept = new Map<string, Float32Array>();

/** A weight's numbers, made once. */
function weight(name: string, shape: readonly number[]): Float32Array {
  let values = kept.get(name);
  if (!values) kept.set(name, (values = weightValues(name, shape)));
  return values;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const silu = (x: number): number => x * sigmoid(x);

/** W + scale B A, a convolution's as [out, taps, in]. */
function matrixOf({ name, inFeatures, outFeatures, kernel }: Projection, adapter: Adapter64): Float64Array {
  const taps = kernel ? kernel[0] * kernel[1] : 1;
  const columns = inFeatures * taps;
  const matrix = Float64Array.from(weight(`${name}.weight`, [outFeatures, columns]));
  const lora = adapter.get(name);
  if (!lora) return matrix;
  const { A, B, r, scale } = lora;
  for (let o = 0; o < outFeatures; o++) {
    for (let tap = 0; tap < taps; tap++) {
      for (let c = 0; c < inFeatures; c++) {
        for (let k = 0; k < r; k++) {
          // Files have a convolution's channels before its taps.
          matrix[o * columns + tap * inFeatures + c]! += scale * B[o * r + k]! * A[(k * inFeatures + c) * taps + tap]!;
        }
      }
    }
  }
  return matrix;
}

function linear(x: readonly number[], projection: Projection, adapter: Adapter64): number[] {
  const { name, outFeatures } = projection;
  const matrix = matrixOf(projection, adapter);
  const bias = weight(`${name}.bias`, [outFeatures]);
  return Array.from(bias, (b, o) => x.reduce((sum, value, i) => sum + value * matrix[o * x.length + i]!, b));
}

export function styleOf(word: number, adapter: Adapter64): number[] {
  const table = weight(TABLE, [WORDS, WORD]);
  return linear(Array.from(table.subarray(word * WORD, (word + 1) * WORD)), PROJECTIONS.speak, adapter);
}

/** @param frames rows of channels @returns the prediction, row by row */
export function predict(
  frames: readonly (readonly number[])[],
  time: readonly number[],
  style: readonly number[],
  adapter: Adapter64,
): number[][] {
  const told = linear([...time, ...style], PROJECTIONS.condition, adapter);
  const hidden = frames.map((frame) =>
    linear(frame, PROJECTIONS.in, adapter).map((value, i) => silu(value + told[i]!)),
  );
  const none = new Array<number>(HIDDEN).fill(0);
  return frames.map((_, t) => {
    const seen = [hidden[t - 1] ?? none, hidden[t]!, hidden[t + 1] ?? none].flat();
    return linear(linear(seen, PROJECTIONS.mix, adapter).map(silu), PROJECTIONS.out, adapter);
  });
}

const rowsOf = (values: ArrayLike<number>, width: number): number[][] =>
  Array.from({ length: values.length / width }, (_, i) => Array.from(values).slice(i * width, (i + 1) * width));

/** Σ weight (prediction - target)² of a batch. */
export function lossOf({ inputs }: Batch, adapter: Adapter64): number {
  const [sample, target] = [rowsOf(inputs['sample']!, CHANNELS), rowsOf(inputs['target']!, CHANNELS)];
  const times = rowsOf(inputs['time']!, TIME);
  const { ids, style, weight } = inputs;
  const styles = ids ? Array.from(ids, (word) => styleOf(word, adapter)) : rowsOf(style!, STYLE);
  const frames = sample.length / times.length;
  return times.reduce((sum, time, row) => {
    const own = sample.slice(row * frames, (row + 1) * frames);
    return predict(own, time, styles[row]!, adapter).reduce((inner, said, t) => {
      const at = row * frames + t;
      return inner + weight![at]! * said.reduce((square, value, c) => square + (value - target[at]![c]!) ** 2, 0);
    }, sum);
  }, 0);
}

const partsOf = (adapter: Adapter64): { key: string; values: Float64Array }[] =>
  [...adapter].flatMap(([name, { A, B }]) => [
    { key: `${name} A`, values: A },
    { key: `${name} B`, values: B },
  ]);

/** The loss's gradient by every adapter number, in the order of `partsOf`. */
export function gradientsOf(batch: Batch, adapter: Adapter64): Map<string, Float64Array> {
  return new Map(
    partsOf(adapter).map(({ key, values }) => [
      key,
      values.map((_, i) => slope(() => lossOf(batch, adapter), values, i)),
    ]),
  );
}

/** AdamW without decay or clipping, as torch has it; changes the adapter. @param rateOf by tensor */
export class Adam64 {
  readonly #moments = new Map<string, { m: Float64Array; v: Float64Array }>();
  #step = 0;

  update(adapter: Adapter64, gradients: ReadonlyMap<string, Float64Array>, rateOf: (key: string) => number): void {
    this.#step++;
    for (const { key, values } of partsOf(adapter)) {
      const gradient = gradients.get(key)!;
      const { m, v } = this.#moments.get(key) ?? { m: values.map(() => 0), v: values.map(() => 0) };
      this.#moments.set(key, { m, v });
      values.forEach((_, i) => {
        m[i] = 0.9 * m[i]! + 0.1 * gradient[i]!;
        v[i] = 0.999 * v[i]! + 0.001 * gradient[i]! ** 2;
        const mean = m[i]! / (1 - 0.9 ** this.#step);
        values[i]! -= (rateOf(key) * mean) / (Math.sqrt(v[i]! / (1 - 0.999 ** this.#step)) + 1e-8);
      });
    }
  }
}
