import { UserError } from '../../common/errors.ts';
import type { WeightSpec } from '../../engine/graph.ts';
import type { DType } from '../../engine/tensor.ts';
import { elementCount } from '../../engine/tensor.ts';
import type { WeightSource } from '../../engine/weights.ts';
import type { DecoderConfig } from './decoder-config.ts';
import { ropeKey } from './decoder.ts';
import type { Checkpoint } from '../files/checkpoint.ts';
import { DTYPE_BYTES, decodeFloats, f32ToBf16, f32ToF16 } from '../files/dtypes.ts';
import { ropeTable } from '../layers/rope.ts';

/** How the frozen base is kept on the device; `stored` is as in the file. */
export const PRECISIONS = ['stored', 'f32', 'bf16', 'f16'] as const;
export type Precision = (typeof PRECISIONS)[number];

export function parsePrecision(value: unknown): Precision {
  const found = PRECISIONS.find((precision) => precision === (value ?? 'stored'));
  if (!found)
    throw new UserError(`The precision “${String(value)}” is not supported. Choose one of ${PRECISIONS.join(', ')}.`);
  return found;
}

/** Device dtypes that are bit for bit what files hold. */
export const STORED: Readonly<Record<string, DType>> = { F32: 'f32', BF16: 'bf16', F16: 'f16' };

/** The dtype that a checkpoint's matrix has on the device. f64 is rounded to f32. */
export function deviceDtype(checkpoint: Checkpoint, precision: Precision, name: string): DType {
  if (precision !== 'stored') return precision;
  const entry = checkpoint.tensors.get(name);
  if (!entry)
    throw new UserError(
      `“${checkpoint.folder.name}” has no tensor ${name}, which its config.json asks for. Is a file missing?`,
    );
  return STORED[entry.dtype] ?? 'f32';
}

/** Values in a weight's storage dtype. */
export function encoded(values: Float32Array<ArrayBuffer>, dtype: WeightSpec['dtype']): Uint8Array<ArrayBuffer> {
  if (dtype === 'f32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bits = dtype === 'bf16' ? f32ToBf16(values) : f32ToF16(values);
  return new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
}

/** Streams a language model's weights from its checkpoint, and its rotary tables from the processor. */
export class CheckpointSource implements WeightSource {
  readonly #checkpoint: Checkpoint;
  readonly #config: DecoderConfig;

  constructor(checkpoint: Checkpoint, config: DecoderConfig) {
    this.#checkpoint = checkpoint;
    this.#config = config;
  }

  async *stream(
    name: string,
    shape: readonly number[],
    dtype: WeightSpec['dtype'],
  ): AsyncIterable<Uint8Array<ArrayBuffer>> {
    for (const turn of ['cos', 'sin'] as const) {
      if (name === ropeKey(turn)) {
        yield encoded(ropeTable(this.#config.rope, this.#config.headDim, shape[0]!, turn), 'f32');
        return;
      }
    }
    const entry = this.#checkpoint.requireTensor(name, shape);
    if (elementCount(shape) === 0) return;
    const bytesEach = DTYPE_BYTES[entry.dtype];
    for await (const { bytes } of this.#checkpoint.chunks(name, 0, undefined, 1024 * 1024 * bytesEach)) {
      if (STORED[entry.dtype] === dtype) yield bytes;
      else yield encoded(decodeFloats(bytes, entry.dtype, `Tensor ${name} in ${entry.file}`), dtype);
    }
  }
}
