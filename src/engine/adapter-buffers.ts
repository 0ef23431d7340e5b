import type { Device } from './device.ts';
import type { BufferSlice } from './kernels/kernel.ts';
import { BINDING_ALIGNMENT, align } from './tensor.ts';

export interface FlatRange {
  /** elements from the start of the flat buffer */
  offset: number;
  length: number;
}

/** Places named ranges one after the other in a flat f32 buffer, each aligned as a binding must be. */
export class FlatLayout {
  readonly ranges = new Map<string, FlatRange>();
  #length = 0;

  add(key: string, length: number): void {
    if (this.ranges.has(key)) throw new Error(`${key} is laid out twice`);
    this.ranges.set(key, { offset: this.#length, length });
    this.#length += align(length * 4) / 4;
  }

  /** Elements, gaps included. Gaps stay zero: their gradient is never written and decay leaves zero alone. */
  get length(): number {
    return this.#length;
  }
}

/** Reading back goes through a buffer of at most this size, held from the start so that it is part of the plan. */
const STAGING_BYTES = 4 * 1024 * 1024;

export type FlatName = 'parameters' | 'gradients' | 'moment1' | 'moment2';

const flatBytes = (layout: FlatLayout): number => Math.max(BINDING_ALIGNMENT, layout.length * 4);

/** The adapter, its gradient and both moments of AdamW: one flat f32 buffer each. */
export class AdapterBuffers {
  readonly layout: FlatLayout;
  readonly #device: Device;
  readonly #buffers = new Map<FlatName, GPUBuffer>();
  #staging: GPUBuffer | undefined;

  private constructor(device: Device, layout: FlatLayout) {
    this.#device = device;
    this.layout = layout;
  }

  /** Bytes that `create` will take. */
  static plan(layout: FlatLayout, forTraining: boolean): number {
    const each = flatBytes(layout);
    return each * (forTraining ? 4 : 1) + Math.min(each, STAGING_BYTES);
  }

  /** @param forTraining also the gradient and the moments */
  static async create(device: Device, layout: FlatLayout, forTraining: boolean): Promise<AdapterBuffers> {
    const buffers = new AdapterBuffers(device, layout);
    await device.guarded('the adapter', () => {
      const names: FlatName[] = forTraining ? ['parameters', 'gradients', 'moment1', 'moment2'] : ['parameters'];
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
      for (const name of names)
        buffers.#buffers.set(name, device.createBuffer(buffers.bytesEach, usage, `adapter ${name}`));
      const staging = Math.min(buffers.bytesEach, STAGING_BYTES);
      buffers.#staging = device.createBuffer(
        staging,
        GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
        'adapter read-back',
      );
    });
    return buffers;
  }

  get bytesEach(): number {
    return flatBytes(this.layout);
  }

  buffer(name: FlatName): GPUBuffer {
    const buffer = this.#buffers.get(name);
    if (!buffer) throw new Error(`this adapter has no ${name}: it was not made for training`);
    return buffer;
  }

  slice(name: FlatName, key: string): BufferSlice {
    const range = this.layout.ranges.get(key);
    if (!range) throw new Error(`the adapter has no ${key}`);
    return { buffer: this.buffer(name), offset: range.offset * 4, size: Math.max(4, range.length * 4) };
  }

  whole(name: FlatName): BufferSlice {
    return { buffer: this.buffer(name), offset: 0, size: this.bytesEach };
  }

  write(name: FlatName, data: Float32Array<ArrayBuffer>): void {
    if (data.length !== this.layout.length)
      throw new Error(`expected ${this.layout.length} values, got ${data.length}`);
    this.#device.gpu.queue.writeBuffer(this.buffer(name), 0, data);
  }

  /** Copies a flat buffer back to the processor. Waits for the work queued before. */
  async read(name: FlatName): Promise<Float32Array<ArrayBuffer>> {
    const { gpu } = this.#device;
    const staging = this.#staging;
    if (!staging) throw new Error('the adapter was destroyed');
    const result = new Float32Array(this.layout.length);
    for (let done = 0; done < result.length;) {
      const count = Math.min(staging.size / 4, result.length - done);
      const encoder = gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(this.buffer(name), done * 4, staging, 0, count * 4);
      gpu.queue.submit([encoder.finish()]);
      result.set(new Float32Array(await this.#device.map(staging, count * 4)), done);
      done += count;
    }
    return result;
  }

  destroy(): void {
    for (const buffer of this.#buffers.values()) this.#device.destroyBuffer(buffer);
    this.#buffers.clear();
    if (this.#staging) this.#device.destroyBuffer(this.#staging);
    this.#staging = undefined;
  }
}
