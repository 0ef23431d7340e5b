/** Single operations for both sides: convolutions and attention with the same numbers on either. */
import { generator } from './work.ts';

export interface ConvCase {
  kind: 'conv';
  images: number;
  height: number;
  width: number;
  channels: number;
  outChannels: number;
  kernel: number;
  stride: number;
}

export interface AttentionCase {
  kind: 'attention';
  queries: number;
  keys: number;
  /** Whether queries and keys are of the same rows, so that one matrix holds q, k and v. */
  isCross: boolean;
  heads: number;
  headDim: number;
}

export type OpCase = ConvCase | AttentionCase;

/** `forward`, or the gradient: of a convolution towards its input alone, of attention its forward pass with all three gradients. */
export type Direction = 'forward' | 'gradient';

const NUMBERS = {
  conv: /^conv(\d+)x(\d+)x(\d+)x(\d+)-(\d+)k(\d+)s(\d+)$/,
  attention: /^attention(\d+)(?:x(\d+))?h(\d+)x(\d+)$/,
};

/**
 * conv1x64x64x320-320k3s1: images x height x width x channels - output channels, kernel, stride; padded by half the kernel.
 * attention4096h8x40: tokens, heads x head size; attention4096x77h8x40: with so many keys of their own.
 */
export function parseCase(text: string): OpCase {
  const conv = NUMBERS.conv.exec(text)?.slice(1).map(Number);
  if (conv) {
    const [images, height, width, channels, outChannels, kernel, stride] = conv as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    return { kind: 'conv', images, height, width, channels, outChannels, kernel, stride };
  }
  const attention = NUMBERS.attention.exec(text);
  if (!attention) throw new Error(`${text} names no operation: see bench/ops-work.ts.`);
  const [queries, heads, headDim] = [1, 3, 4].map((i) => Number(attention[i])) as [number, number, number];
  const isCross = attention[2] !== undefined;
  return { kind: 'attention', queries, keys: isCross ? Number(attention[2]) : queries, isCross, heads, headDim };
}

export type Values = Float32Array<ArrayBuffer>;

/** The same numbers for the same seed: from -bound to bound. */
export function uniform(count: number, seed: number, bound = 1): Values {
  const random = generator(seed);
  return Float32Array.from({ length: count }, () => (2 * random() - 1) * bound);
}

/** `blocks` times a matrix [rows, columns], each turned over. */
export function turned(values: Values, blocks: number, rows: number, columns: number): Values {
  const out = new Float32Array(values.length);
  const size = rows * columns;
  for (let block = 0; block < blocks; block++) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) out[block * size + c * rows + r] = values[block * size + r * columns + c]!;
    }
  }
  return out;
}

export interface ConvData {
  /** Rows are pixels: [images · height · width, channels]. */
  x: Values;
  /** [out, kernel · kernel, channels] */
  weight: Values;
  /** [images · out pixels, out] */
  dy: Values;
}

/** Pixels a side after half the kernel's zeros around and a stride. */
export const sideAfter = (side: number, { kernel, stride }: ConvCase): number =>
  Math.floor((side + 2 * ((kernel - 1) >> 1) - kernel) / stride) + 1;

export function convData(work: ConvCase): ConvData {
  const { images, height, width, channels, outChannels, kernel } = work;
  const terms = channels * kernel * kernel;
  return {
    x: uniform(images * height * width * channels, 1),
    weight: uniform(outChannels * terms, 2, Math.sqrt(3 / terms)),
    dy: uniform(images * sideAfter(height, work) * sideAfter(width, work) * outChannels, 3),
  };
}

export interface AttentionData {
  /** [queries, heads · headDim] */
  q: Values;
  dO: Values;
  /** [keys, heads · headDim] */
  k: Values;
  v: Values;
}

export function attentionData({ queries, keys, heads, headDim }: AttentionCase): AttentionData {
  const width = heads * headDim;
  const [q, dO] = [1, 2].map((seed) => uniform(queries * width, seed)) as [Values, Values];
  const [k, v] = [3, 4].map((seed) => uniform(keys * width, seed)) as [Values, Values];
  return { q, k, v, dO };
}

/** One operation, its operands on the device. */
export interface OpSide {
  device: GPUDevice;
  /** Computes once; resolves when the device has finished. */
  run(): Promise<void>;
  /** What the last run gave, as rows: y or dx; o, or dq | dk | dv one after the other. */
  result(): Promise<Values>;
  /** Operations and bytes of one run, where the side counts them. */
  cost?: { flops: number; bytes: number };
  destroy(): void;
}

export type CreateOp = (work: OpCase, direction: Direction) => Promise<OpSide>;
