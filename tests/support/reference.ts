import type { MemoryFolder } from '../../src/models/files/folder.ts';
import { parseSafetensors } from '../../src/models/files/safetensors.ts';

export type ExpectedTensors = Map<string, { shape: readonly number[]; values: Float64Array }>;

/** Every tensor of a reference's file as float64. */
export async function readExpected(folder: MemoryFolder, file = 'expected.safetensors'): Promise<ExpectedTensors> {
  const { tensors } = await parseSafetensors(folder, file);
  const result: ExpectedTensors = new Map();
  for (const [name, { dtype, shape, begin, end }] of tensors) {
    const { buffer } = await folder.read(file, begin, end);
    const values =
      dtype === 'F64'
        ? new Float64Array(buffer)
        : dtype === 'I64'
          ? Float64Array.from(new BigInt64Array(buffer), Number)
          : Float64Array.from(new Float32Array(buffer));
    result.set(name, { shape, values });
  }
  return result;
}

/** Norm of the difference over norm of the reference, over several tensors taken as one; NaN passes no bound. */
export class ErrorNorm {
  #difference = 0;
  #size = 0;

  /**
   * @param start what both began from: the reference's size is then that of its change
   * @returns the error of this tensor alone; 0 where both are zero
   */
  add(got: ArrayLike<number>, expected: ArrayLike<number>, start?: ArrayLike<number>): number {
    if (got.length !== expected.length) return NaN;
    let difference = 0;
    let size = 0;
    for (let i = 0; i < expected.length; i++) {
      difference += (got[i]! - expected[i]!) ** 2;
      size += (expected[i]! - (start?.[i] ?? 0)) ** 2;
    }
    this.#difference += difference;
    this.#size += size;
    return size === 0 && difference === 0 ? 0 : Math.sqrt(difference / size);
  }

  get value(): number {
    return Math.sqrt(this.#difference / this.#size);
  }
}
