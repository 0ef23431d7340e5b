import type { WeightType } from './weight-formats.ts';
import { codeBytes, isWeightType, weightFormat } from './weight-formats.ts';

export type DType = WeightType | 'i32' | 'u32';

/**
 * Where a tensor's bytes live.
 * - `intermediate`: in an arena laid out by the planner, alive between its first and last dispatch
 * - `input`: written before every run
 * - `weight`: a frozen weight, shared by all programs of a model
 * - `parameter`, `gradient`: a range of the adapter's flat buffers
 * - `flat`: one of those flat buffers as a whole
 * - `state`: kept from run to run (key/value caches)
 */
export type Role = 'intermediate' | 'input' | 'weight' | 'parameter' | 'gradient' | 'flat' | 'state';

export interface Tensor {
  readonly id: number;
  readonly label: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly role: Role;
  /** Name of an input, weight, parameter or state; unique within its role. */
  readonly key?: string;
  /** Rows of a weight that is larger than one binding: consecutive parts over the first dimension, each with its scales. */
  readonly parts?: readonly Tensor[];
  /** Of a weight in a format with groups: `scalesShape` of its elements, f32. */
  readonly scales?: Tensor;
}

export interface TensorSpec {
  shape: readonly number[];
  dtype?: DType;
  label?: string;
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Bytes of so many elements, without the scales that a weight may have beside it. */
export function elementBytes(dtype: DType, count: number): number {
  return isWeightType(dtype) ? codeBytes(dtype, count) : 4 * count;
}

/** Bytes of the tensor's own data, rounded up to whole u32 words as kernels read them. */
export function byteSize(tensor: Pick<Tensor, 'shape' | 'dtype'>): number {
  return Math.ceil(elementBytes(tensor.dtype, elementCount(tensor.shape)) / 4) * 4;
}

/** Offsets of storage bindings are multiples of this on every device (minStorageBufferOffsetAlignment's default). */
export const BINDING_ALIGNMENT = 256;

export function align(bytes: number, alignment = BINDING_ALIGNMENT): number {
  return Math.ceil(bytes / alignment) * alignment;
}

/** Rows and columns of a tensor seen as a matrix: everything but the last dimension, and the last. */
export function matrix(tensor: Tensor): { rows: number; columns: number } {
  const columns = tensor.shape.at(-1) ?? 1;
  return { rows: columns === 0 ? 0 : elementCount(tensor.shape) / columns, columns };
}

/** The dtype of a weight that a kernel unpacks itself. */
export function weightType(tensor: Tensor): WeightType {
  if (!isWeightType(tensor.dtype)) throw new Error(`${tensor.label} holds integers, not weights`);
  return tensor.dtype;
}

/** Likewise for kernels that bind no scales: norms, whose few numbers no format with groups is for. */
export function vectorType(tensor: Tensor): WeightType {
  const type = weightType(tensor);
  if (weightFormat(type).group) throw new Error(`${tensor.label} is stored as ${type}, which is for matrices`);
  return type;
}
