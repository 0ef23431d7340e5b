import { UserError } from '../common/errors.ts';
import { decodeFloats, decodeIntegers } from '../models/files/dtypes.ts';
import type { ModelFolder } from '../models/files/folder.ts';
import { parseSafetensors } from '../models/files/safetensors.ts';
import type { TensorEntry } from '../models/files/safetensors.ts';

/** A file of tensors as a reference model is called with, read by name and checked by shape. */
export class TensorFile {
  readonly #folder: ModelFolder;
  readonly #file: string;
  readonly #tensors: ReadonlyMap<string, TensorEntry>;

  private constructor(folder: ModelFolder, file: string, tensors: ReadonlyMap<string, TensorEntry>) {
    this.#folder = folder;
    this.#file = file;
    this.#tensors = tensors;
  }

  static async open(folder: ModelFolder, file: string): Promise<TensorFile> {
    return new TensorFile(folder, file, (await parseSafetensors(folder, file)).tensors);
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** @param shape sizes that the tensor must have; undefined where any will do */
  #entry(name: string, shape: readonly (number | undefined)[]): TensorEntry {
    const entry = this.#tensors.get(name);
    if (!entry) throw new UserError(`${this.#file} has no tensor ${name}.`);
    const fits =
      entry.shape.length === shape.length && shape.every((size, i) => size === undefined || size === entry.shape[i]);
    if (!fits) {
      const needed = shape.map((size) => size ?? 'any').join(', ');
      throw new UserError(`${name} in ${this.#file} has the shape [${entry.shape.join(', ')}]; [${needed}] is needed.`);
    }
    return entry;
  }

  async floats(
    name: string,
    shape: readonly (number | undefined)[],
  ): Promise<{ values: Float32Array<ArrayBuffer>; shape: readonly number[] }> {
    const entry = this.#entry(name, shape);
    const bytes = await this.#folder.read(this.#file, entry.begin, entry.end);
    return { values: Float32Array.from(decodeFloats(bytes, entry.dtype, name)), shape: entry.shape };
  }

  async integers(
    name: string,
    shape: readonly (number | undefined)[],
  ): Promise<{ values: Int32Array; shape: readonly number[] }> {
    const entry = this.#entry(name, shape);
    const bytes = await this.#folder.read(this.#file, entry.begin, entry.end);
    return { values: decodeIntegers(bytes, entry.dtype, name), shape: entry.shape };
  }

  /** Whole or fractional numbers, as timesteps may be. */
  async numbers(name: string, shape: readonly (number | undefined)[]): Promise<number[]> {
    const { dtype } = this.#entry(name, shape);
    const { values } = dtype.startsWith('I') ? await this.integers(name, shape) : await this.floats(name, shape);
    return Array.from(values);
  }
}
