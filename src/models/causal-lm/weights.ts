import type { Graph, WeightSpec } from '../../engine/graph.ts';
import { elementCount } from '../../engine/tensor.ts';
import type { WeightPiece } from '../../engine/weight-formats.ts';
import type { WeightSource } from '../../engine/weights.ts';
import type { Checkpoint } from '../files/checkpoint.ts';
import { DTYPE_BYTES, decodeFloats } from '../files/dtypes.ts';
import { STORED, encoded } from '../files/precision.ts';
import type { CausalLm, ReadStored, Table } from './causal-lm.ts';

/** Streams a language model's weights from its checkpoint, and its tables from the processor. */
export class CheckpointSource implements WeightSource {
  readonly #checkpoint: Checkpoint;
  readonly #tables: ReadonlyMap<string, Table>;

  constructor(checkpoint: Checkpoint, { tables }: Pick<CausalLm, 'tables'>) {
    this.#checkpoint = checkpoint;
    this.#tables = tables;
  }

  /** Throws UserError where a weight that the graph declares is missing or of another shape. */
  requireWeights(graph: Graph): void {
    for (const { spec } of graph.weights.values()) {
      for (const { name, shape } of spec.sources)
        if (!this.#tables.has(name)) this.#checkpoint.requireTensor(name, shape);
    }
  }

  readonly #stored: ReadStored = (name, shape) => {
    this.#checkpoint.requireTensor(name, shape);
    return this.#checkpoint.readFloats(name);
  };

  async *stream(name: string, shape: readonly number[], dtype: WeightSpec['dtype']): AsyncIterable<WeightPiece> {
    const table = this.#tables.get(name);
    if (table) {
      yield encoded(await table(shape, this.#stored), dtype);
      return;
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
