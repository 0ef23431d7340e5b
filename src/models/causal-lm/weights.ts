import type { WeightSpec } from '../../engine/graph.ts';
import { elementCount } from '../../engine/tensor.ts';
import type { WeightPiece } from '../../engine/weight-formats.ts';
import type { WeightSource } from '../../engine/weights.ts';
import type { DecoderConfig } from './decoder-config.ts';
import { ropeKey } from './decoder.ts';
import type { Checkpoint } from '../files/checkpoint.ts';
import { DTYPE_BYTES, decodeFloats } from '../files/dtypes.ts';
import { ropeTable } from '../layers/rope.ts';

import { STORED, encoded } from '../files/precision.ts';
/** Streams a language model's weights from its checkpoint, and its rotary tables from the processor. */
export class CheckpointSource implements WeightSource {
  readonly #checkpoint: Checkpoint;
  readonly #config: DecoderConfig;

  constructor(checkpoint: Checkpoint, config: DecoderConfig) {
    this.#checkpoint = checkpoint;
    this.#config = config;
  }

  async *stream(name: string, shape: readonly number[], dtype: WeightSpec['dtype']): AsyncIterable<WeightPiece> {
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
