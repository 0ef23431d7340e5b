import type { Device } from './device.ts';
import { UserError } from '../common/errors.ts';
import type { Graph, WeightSpec } from './graph.ts';
import type { BufferSlice } from './kernels/kernel.ts';
import type { DType, Tensor } from './tensor.ts';
import { align, byteSize, elementBytes, elementCount } from './tensor.ts';
import type { WeightPiece } from './weight-formats.ts';
import { codesOf, isWeightType, scaleBytes, scalesKey } from './weight-formats.ts';

/** Where the store asks for a tensor's bytes; the models layer reads files, the engine does not. */
export interface WeightSource {
  /**
   * Streams the tensor's elements in order, already in `dtype`, in pieces of whole elements (whole groups, where the format has
   * groups). `kernel` is a convolution's, whose rows the device holds as [height, width, channels].
   */
  stream(
    name: string,
    shape: readonly number[],
    dtype: WeightSpec['dtype'],
    kernel?: readonly [number, number],
  ): AsyncIterable<WeightPiece>;
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
  /** Of the weight or its parts, and of the scales of each, by key. */
  codes: Map<string, BufferSlice>;
  scales: Map<string, BufferSlice>;
}

/** The tensors that lie in memory for a weight: itself or its parts, each with its scales. */
const held = (weight: Tensor): Tensor[] =>
  (weight.parts ?? [weight]).flatMap((part) => (part.scales ? [part, part.scales] : [part]));

const scalesOf = (dtype: DType, count: number): number => (isWeightType(dtype) ? scaleBytes(dtype, count) : 0);

/** Writes one stream of bytes across several pieces of memory. */
class Writer {
  readonly #device: Device;
  readonly #targets: readonly BufferSlice[];
  #target = 0;
  #at = 0;
  // writeBuffer wants multiples of four bytes; an odd bf16 or f16 element waits for its neighbour.
  #rest = new Uint8Array(0);

  constructor(device: Device, targets: Iterable<BufferSlice>) {
    this.#device = device;
    this.#targets = [...targets];
  }

  write(piece: Uint8Array<ArrayBuffer>): void {
    const rest = this.#rest;
    const joined = rest.byteLength === 0 ? piece : new Uint8Array(rest.byteLength + piece.byteLength);
    if (rest.byteLength > 0) {
      joined.set(rest);
      joined.set(piece, rest.byteLength);
    }
    const whole = joined.byteLength - (joined.byteLength % 4);
    this.#put(joined.subarray(0, whole));
    this.#rest = joined.slice(whole);
  }

  /** Writes what still waits, padded with zeros. */
  end(): void {
    if (this.#rest.byteLength === 0) return;
    const padded = new Uint8Array(4);
    padded.set(this.#rest);
    this.#put(padded);
  }

  #put(bytes: Uint8Array<ArrayBuffer>): void {
    let from = 0;
    while (from < bytes.byteLength) {
      const target = this.#targets[this.#target];
      if (!target) throw new Error('more data than the weight holds');
      const length = Math.min(bytes.byteLength - from, target.size - this.#at);
      this.#device.gpu.queue.writeBuffer(target.buffer, target.offset + this.#at, bytes, from, length);
      from += length;
      this.#at += length;
      if (this.#at === target.size) {
        this.#target++;
        this.#at = 0;
      }
    }
  }
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
      for (const part of held(tensor)) {
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
      for (const entry of store.#entries.values()) {
        for await (const written of store.#fill(entry, source)) {
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
      const entry: Entry = { spec, codes: new Map(), scales: new Map() };
      const scales = new Set((tensor.parts ?? [tensor]).map((part) => part.scales));
      for (const part of held(tensor)) {
        const size = byteSize(part);
        if (offset + align(size) > shards[shard]!) {
          shard++;
          offset = 0;
        }
        entry[scales.has(part) ? 'scales' : 'codes'].set(part.key!, { buffer: this.#buffers[shard]!, offset, size });
        offset += align(size);
      }
      this.#entries.set(key, entry);
    }
  }

  /** Streams the sources of one weight, one below the other, across its parts. Yields bytes written. */
  async *#fill({ spec, ...slices }: Entry, source: WeightSource): AsyncGenerator<number> {
    const { dtype } = spec;
    const codes = new Writer(this.#device, slices.codes.values());
    const scales = new Writer(this.#device, slices.scales.values());
    for (const { name, shape, kernel } of spec.sources) {
      let received = 0;
      for await (const piece of source.stream(name, shape, dtype, kernel)) {
        const bytes = codesOf(piece);
        codes.write(bytes);
        let written = bytes.byteLength;
        if (!(piece instanceof Uint8Array)) {
          const { buffer, byteOffset, byteLength } = piece.scales;
          scales.write(new Uint8Array(buffer, byteOffset, byteLength));
          written += byteLength;
        }
        received += written;
        yield written;
      }
      const expected = elementBytes(dtype, elementCount(shape)) + scalesOf(dtype, elementCount(shape));
      if (received !== expected) {
        throw new UserError(
          `The tensor ${name} has ${received} bytes where ${expected} were expected. Download the model again.`,
        );
      }
    }
    codes.end();
    scales.end();
  }

  /** @param key of a weight, of one of its parts, of one of the tensors that a weight stacks, or the `scalesKey` of these */
  slice(key: string): BufferSlice {
    for (const [whole, { spec, codes, scales }] of this.#entries) {
      const slice = codes.get(key) ?? scales.get(key);
      if (slice) return slice;
      const stack = { codes: codes.get(whole), scales: scales.get(scalesKey(whole)) };
      const offset = { codes: 0, scales: 0 };
      for (const { name, shape } of spec.sources) {
        const count = elementCount(shape);
        const size = { codes: elementBytes(spec.dtype, count), scales: scalesOf(spec.dtype, count) };
        for (const kind of ['codes', 'scales'] as const) {
          const found = stack[kind];
          if (found && key === (kind === 'codes' ? name : scalesKey(name)))
            return { buffer: found.buffer, offset: found.offset + offset[kind], size: size[kind] };
          offset[kind] += size[kind];
        }
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
