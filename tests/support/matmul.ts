import type { WeightType } from '../../src/engine/weight-formats.ts';
import type { LoraSegment } from '../../src/engine/kernels/lora_segments.ts';

/** mulberry32: numbers that a printed seed brings back. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  uniform(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  int(from: number, to: number): number {
    return from + Math.floor(this.uniform() * (to - from + 1));
  }
  normal(count: number): Float32Array<ArrayBuffer> {
    return Float32Array.from({ length: count }, () => {
      const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
      return radius * Math.cos(2 * Math.PI * this.uniform());
    });
  }
}

const toBf16 = (value: number): number => {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
};

const fromBf16 = (code: number): number => new Float32Array(Uint32Array.of(code << 16).buffer)[0]!;

const fromF16 = (code: number): number => {
  const sign = code & 0x8000 ? -1 : 1;
  const exponent = (code >> 10) & 31;
  const fraction = code & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
};

/** Truncates: any f16 near the value will do. */
const toF16 = (value: number): number => {
  const sign = value < 0 ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size < 2 ** -14) return sign | Math.floor(size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  return sign | ((exponent + 15) << 10) | Math.floor((size / 2 ** exponent - 1) * 1024);
};

function decode(words: Uint16Array<ArrayBuffer>, type: 'bf16' | 'f16'): { values: Float32Array<ArrayBuffer> } {
  return { values: Float32Array.from(words, type === 'bf16' ? fromBf16 : fromF16) };
}

/** Weights in their storage dtype, and the values that the storage really holds. */
export function packWeights(
  values: Float32Array<ArrayBuffer>,
  type: WeightType,
): { packed: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>; values: Float32Array<ArrayBuffer> } {
  if (type === 'f32') return { packed: values, values };
  const words = new Uint16Array(values.length + (values.length % 2));
  values.forEach((value, i) => (words[i] = type === 'bf16' ? toBf16(value) : toF16(value)));
  return { packed: new Uint32Array(words.buffer), values: decode(words, type).values.slice(0, values.length) };
}
packWeights.decode = decode;

/** Float64 product with free indexing: out[row, column] = Σ_i left[at(row, i)] · right[at(i, column)]. */
export function matmul(
  left: Float32Array,
  right: Float32Array,
  rows: number,
  columns: number,
  terms: number,
  leftAt: (row: number, i: number) => number,
  rightAt: (i: number, column: number) => number,
): Float64Array {
  const out = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let i = 0; i < terms; i++) sum += left[leftAt(row, i)]! * right[rightAt(i, column)]!;
      out[row * columns + column] = sum;
    }
  }
  return out;
}

export function linearReference(
  data: Record<'x' | 'w' | 'bias' | 'residual' | 'h' | 'b', Float32Array>,
  m: number,
  n: number,
  k: number,
  segments: readonly LoraSegment[],
): Float64Array {
  const { x, w, bias, residual, h, b } = data;
  const y = matmul(
    x,
    w,
    m,
    n,
    k,
    (row, i) => row * k + i,
    (i, column) => column * k + i,
  );
  for (let i = 0; i < y.length; i++) y[i] = y[i]! + bias[i % n]! + residual[i]!;
  const r = segments.reduce((sum, segment) => sum + segment.rank, 0);
  let start = 0;
  for (const { columns, rank, hOffset, bOffset } of segments) {
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < columns; column++) {
        for (let j = 0; j < rank; j++) {
          y[row * n + start + column]! += h[row * r + hOffset + j]! * b[bOffset + column * rank + j]!;
        }
      }
    }
    start += columns;
  }
  return y;
}

/**
 * |got − expected| / |expected| in the Euclidean norm; NaN anywhere gives NaN, which passes no bound. `terms` is how many
 * products of standard normal numbers an output sums: a few outputs may cancel to nearly nothing, their errors do not, so
 * that |expected| counts as no less than what such sums have on average.
 */
export function relativeError(got: Float32Array, expected: Float64Array, terms: number): number {
  if (got.length !== expected.length) return NaN;
  let difference = 0;
  let size = 0;
  for (let i = 0; i < got.length; i++) {
    difference += (got[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return Math.sqrt(difference / Math.max(size, got.length * terms));
}
