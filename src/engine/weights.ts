import type { Device } from './device.ts';
import { UserError } from '../common/errors.ts';
import type { Graph, WeightSpec } from './graph.ts';
import type { BufferSlice } from './kernels/kernel.ts';
import { BYTES_PER_ELEMENT, align, byteSize, elementCount } from './tensor.ts';

/** Where the store asks for a tensor's bytes; the models layer reads files, the engine does not. */
export interface WeightSource {
  /**
   * Streams the tensor's elements in order, already in `dtype`, in pieces of whole elements. `kernel` is a convolution's, whose
   * rows the device holds as [height, width, channels].
   */
  stream(
    name: string,
    shape: readonly number[],
    dtype: WeightSpec['dtype'],
    kernel?: readonly [number, number],
  ): AsyncIterable<Uint8Array<ArrayBuffer>>;
}

/** Where a program finds the frozen weights it reads: one model's, or several together. */
export interface WeightSlices {
  /** @param key of a weight, of one of its parts, or of one of the tensors that a weight stacks */
  slice(key: string): BufferSlice;
}

/** Buffers stay below this, so that one lost allocation costs little and every device can give them. */
const SHARD_BYTES = 256 * 1024 * 1024;

interface Entry {
  spec: WeightSpec;
  slices: Map<string, BufferSlice>;
}

/** The frozen weights of one model on the device, shared by all of its programs, by weight key. */
export class WeightStore implements WeightSlices {
  readonly #device: Device;
  readonly #entries = new Map<string, Entry>();
  readonly #buffers: GPUBuffer[] = [];
  #bytes = 0;

  private constructor(device: Device) {
    this.#device = device;
  }

  /** Bytes that the weights a graph declares will take on a device, shards and alignment included. */
  static plan(graph: Graph, device: Pick<Device, 'info'>): { shards: number[]; total: number } {
    const shards: number[] = [];
    const limit = Math.min(SHARD_BYTES, device.info.limits['maxBufferSize'] ?? SHARD_BYTES);
    for (const { tensor } of graph.weights.values()) {
      for (const part of tensor.parts ?? [tensor]) {
        const size = align(byteSize(part));
        const last = shards.length - 1;
        if (last >= 0 && shards[last]! + size <= limit) shards[last]! += size;
        else shards.push(size);
      }
    }
    return { shards, total: shards.reduce((sum, size) => sum + size, 0) };
  }

  /**
   * Allocates and fills everything that `graph` declares, one piece at a time.
   * @param onProgress is given the bytes on the device so far and in all
   */
  static async load(
    device: Device,
    graph: Graph,
    source: WeightSource,
    onProgress?: (done: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<WeightStore> {
    const store = new WeightStore(device);
    try {
      const { shards, total } = WeightStore.plan(graph, device);
      await device.guarded('loading the base model', () => {
        const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
        store.#buffers.push(...shards.map((size, i) => device.createBuffer(size, usage, `weights ${i}`)));
      });
      store.#bytes = total;
      store.#place(graph, shards);
      let done = 0;
      for (const [key, entry] of store.#entries) {
        for await (const written of store.#fill(key, entry, source)) {
          signal?.throwIfAborted();
          done += written;
          onProgress?.(done, total);
        }
      }
      // Writes are queued: wait, so that memory given to them is free and failures surface here.
      await device.gpu.queue.onSubmittedWorkDone();
      device.check();
      return store;
    } catch (error) {
      store.destroy();
      throw error;
    }
  }

  #place(graph: Graph, shards: readonly number[]): void {
    let shard = 0;
    let offset = 0;
    for (const [key, { tensor, spec }] of graph.weights) {
      const slices = new Map<string, BufferSlice>();
      for (const part of tensor.parts ?? [tensor]) {
        const size = byteSize(part);
        if (offset + align(size) > shards[shard]!) {
          shard++;
          offset = 0;
        }
        slices.set(part.key!, { buffer: this.#buffers[shard]!, offset, size });
        offset += align(size);
      }
      this.#entries.set(key, { spec, slices });
    }
  }

  /** Streams the sources of one weight, one below the other, across its parts. Yields bytes written. */
  async *#fill(key: string, { spec, slices }: Entry, source: WeightSource): AsyncGenerator<number> {
    const parts = [...slices.values()];
    let part = 0;
    let at = 0;
    // writeBuffer wants multiples of four bytes; an odd bf16 or f16 element waits for its neighbour.
    let rest = new Uint8Array(0);
    const write = (bytes: Uint8Array<ArrayBuffer>): void => {
      let from = 0;
      while (from < bytes.byteLength) {
        const target = parts[part];
        if (!target) throw new Error(`more data than ${key} holds`);
        const length = Math.min(bytes.byteLength - from, target.size - at);
        this.#device.gpu.queue.writeBuffer(target.buffer, target.offset + at, bytes, from, length);
        from += length;
        at += length;
        if (at === target.size) {
          part++;
          at = 0;
        }
      }
    };
    for (const { name, shape, kernel } of spec.sources) {
      let received = 0;
      for await (const piece of source.stream(name, shape, spec.dtype, kernel)) {
        received += piece.byteLength;
        const joined = rest.byteLength === 0 ? piece : new Uint8Array(rest.byteLength + piece.byteLength);
        if (rest.byteLength > 0) {
          joined.set(rest);
          joined.set(piece, rest.byteLength);
        }
        const whole = joined.byteLength - (joined.byteLength % 4);
        write(joined.subarray(0, whole));
        rest = joined.slice(whole);
        yield piece.byteLength;
      }
      const expected = elementCount(shape) * BYTES_PER_ELEMENT[spec.dtype];
      if (received !== expected) {
        throw new UserError(
          `The tensor ${name} has ${received} bytes where ${expected} were expected. Download the model again.`,
        );
      }
    }
    if (rest.byteLength > 0) {
      const padded = new Uint8Array(4);
      padded.set(rest);
      write(padded);
    }
  }

  /** @param key of a weight, of one of its parts, or of one of the tensors that a weight stacks */
  slice(key: string): BufferSlice {
    for (const [whole, { spec, slices }] of this.#entries) {
      const slice = slices.get(key);
      if (slice) return slice;
      let offset = 0;
      for (const { name, shape } of spec.sources) {
        const size = elementCount(shape) * BYTES_PER_ELEMENT[spec.dtype];
        const stack = slices.get(whole);
        if (name === key && stack) return { buffer: stack.buffer, offset: stack.offset + offset, size };
        offset += size;
      }
    }
    throw new Error(`the weight ${key} was not loaded`);
  }

  get bytes(): number {
    return this.#bytes;
  }

  destroy(): void {
    for (const buffer of this.#buffers.splice(0)) this.#device.destroyBuffer(buffer);
    this.#entries.clear();
  }
}
