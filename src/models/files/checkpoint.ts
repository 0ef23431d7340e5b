import type { ModelFolder } from './folder.ts';
import type { TensorEntry } from './safetensors.ts';
export declare class Checkpoint {
  readonly folder: ModelFolder;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** subfolder: e.g. 'unet' in a diffusers folder; '' for the folder itself. */
  static open(folder: ModelFolder, subfolder?: string): Promise<Checkpoint>;
  has(name: string): boolean;
  /** UserError where it is missing or has another shape (expected and found are named). */
  requireTensor(name: string, shape: readonly number[]): TensorEntry;
  /** Bytes [start, end) of the tensor's own data. */
  read(name: string, start?: number, end?: number): Promise<Uint8Array<ArrayBuffer>>;
  /** The same in pieces of at most chunkBytes (4 MiB), in order; offset counts from the tensor's first byte. */
  chunks(
    name: string,
    start?: number,
    end?: number,
    chunkBytes?: number,
  ): AsyncGenerator<{ offset: number; bytes: Uint8Array<ArrayBuffer> }>;
  /** A small floating-point tensor as float32. */
  readFloats(name: string): Promise<Float32Array<ArrayBuffer>>;
}
