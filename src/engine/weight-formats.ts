import { f32ToBf16, f32ToF16 } from '../common/half-floats.ts';
import type { Defines } from './wgsl.ts';

/** Stored weights as they come from a source: bytes alone where the format has no groups. */
export type WeightPiece = Uint8Array<ArrayBuffer> | GroupedPiece;

export interface GroupedPiece {
  bytes: Uint8Array<ArrayBuffer>;
  /** For each group its scale; with offsets its scale and its offset. */
  scales: Float32Array<ArrayBuffer>;
}

/** A piece's bytes, without its scales. */
export const codesOf = (piece: WeightPiece): Uint8Array<ArrayBuffer> =>
  piece instanceof Uint8Array ? piece : piece.bytes;

/**
 * How a frozen weight is stored on the device. Weights lie in row-major order without gaps between rows; blocks and groups are
 * counted from the first weight of a matrix (of a part of one, of a stacked one), across rows.
 */
export interface WeightFormat {
  /** So many weights … */
  block: number;
  /** … take so many bytes. */
  blockBytes: number;
  /**
   * So many weights, a multiple of 4, share a scale: w = scale · code, with `offsets` w = scale · code + offset. Scales lie in a
   * buffer of their own, f32, each with its offset beside it: a kernel that has scales needs one binding more and no second.
   */
  group?: { size: number; offsets: boolean };
  /** The format's nearest to these values, whole groups of them. */
  encode(values: Float32Array<ArrayBuffer>): WeightPiece;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>) =>
  new Uint8Array(buffer, byteOffset, byteLength);

/**
 * Every storage format of frozen weights. How kernels read the format NAME stands in shaders/weight_NAME.wgsl, which
 * shaders/stored_weight.wgsl includes for all of them.
 */
export const WEIGHT_FORMATS = {
  f32: { block: 1, blockBytes: 4, encode: bytesOf },
  bf16: { block: 1, blockBytes: 2, encode: (values) => bytesOf(f32ToBf16(values)) },
  f16: { block: 1, blockBytes: 2, encode: (values) => bytesOf(f32ToF16(values)) },
} satisfies Readonly<Record<string, WeightFormat>>;

export type WeightType = keyof typeof WEIGHT_FORMATS;

export const weightFormat = (type: WeightType): WeightFormat => WEIGHT_FORMATS[type];

export const isWeightType = (type: string): type is WeightType => Object.hasOwn(WEIGHT_FORMATS, type);

/** Bytes of `count` weights without their scales. */
export function codeBytes(type: WeightType, count: number): number {
  const { block, blockBytes } = weightFormat(type);
  return Math.ceil(count / block) * blockBytes;
}

/** The shape of the scales of `count` weights: a number for each group, or its scale and offset. Undefined without groups. */
export function scalesShape(type: WeightType, count: number): readonly number[] | undefined {
  const { group } = weightFormat(type);
  return group && [Math.ceil(count / group.size), ...(group.offsets ? [2] : [])];
}

/** Under which key the scales of a weight, of a part of one or of a stacked tensor are found. */
export const scalesKey = (key: string): string => `${key}.scales`;

/** Bytes of the scales of `count` weights; 0 where the format has none. */
export const scaleBytes = (type: WeightType, count: number): number =>
  4 * (scalesShape(type, count)?.reduce((product, size) => product * size, 1) ?? 0);

/** Bytes of `count` weights with their scales. */
export const weightBytes = (type: WeightType, count: number): number =>
  codeBytes(type, count) + scaleBytes(type, count);

/** Whether weights may begin or end after `count` others of one matrix: blocks and groups belong to one side. */
export function isWhole(type: WeightType, count: number): boolean {
  const { block, group } = weightFormat(type);
  return count % block === 0 && count % (group?.size ?? 1) === 0;
}

/** What shaders/stored_weight.wgsl asks for; `vector`: weights read at once. */
export function weightDefines(type: WeightType, vector: 1 | 4): Defines {
  const { group } = weightFormat(type);
  return { WEIGHT: type, VECTOR: vector, GROUP: group?.size ?? 0, OFFSETS: group?.offsets ?? false };
}
