import type { ModelFolder } from './folder.ts';
import type { SafetensorsDtype } from './dtypes.ts';
export type { SafetensorsDtype };
export interface TensorEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Path of the file inside its folder. */
  readonly file: string;
  /** Bytes [begin, end) from the start of the file. */
  readonly begin: number;
  readonly end: number;
}
export interface SafetensorsHeader {
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}
export interface TensorData {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Little-endian contents; a Float32Array is converted where dtype is F16 or BF16. */
  readonly data: ArrayBufferView;
}
export declare function parseSafetensors(folder: ModelFolder, path: string): Promise<SafetensorsHeader>;
export declare function writeSafetensors(
  tensors: readonly TensorData[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer>;
