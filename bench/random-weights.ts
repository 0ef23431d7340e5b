/** Random weights in place of a model's own: shapes and bytes are what a benchmark needs of it. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { elementCount } from '../src/engine/tensor.ts';
import { f32ToF16 } from '../src/common/half-floats.ts';
import { generator } from './work.ts';

/** Every matrix is this block over and over: 4 MiB of numbers from -0.03 to 0.03, so that sums of 3,000 keep their size. */
function randomBlock(): Uint8Array<ArrayBuffer> {
  const random = generator(1);
  return new Uint8Array(f32ToF16(Float32Array.from({ length: 2 ** 21 }, () => 0.06 * random() - 0.03)).buffer);
}

let block: Uint8Array<ArrayBuffer> | undefined;

/** A tensor's bytes in f16 in pieces. Norms scale by 1, biases are 0. */
export function* randomBytes(name: string, shape: readonly number[]): Generator<Uint8Array<ArrayBuffer>> {
  const bytes = 2 * elementCount(shape);
  if (shape.length === 1) {
    yield new Uint8Array(f32ToF16(new Float32Array(shape[0]!).fill(name.endsWith('.bias') ? 0 : 1)).buffer);
    return;
  }
  block ??= randomBlock();
  for (let done = 0; done < bytes; done += block.length) yield block.subarray(0, Math.min(block.length, bytes - done));
}

/** A safetensors file in f16: the header, and after it each tensor's bytes, nothing larger than a block in memory. */
export function writeRandomWeights(path: string, tensors: readonly { name: string; shape: readonly number[] }[]): void {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const { name, shape } of tensors) {
    const begin = end;
    end += 2 * elementCount(shape);
    header[name] = { dtype: 'F16', shape, data_offsets: [begin, end] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(start.buffer).setBigUint64(0, BigInt(start.length - 8), true);
  start.set(text, 8);
  const file = openSync(path, 'w');
  writeSync(file, start);
  for (const { name, shape } of tensors) {
    for (const bytes of randomBytes(name, shape)) writeSync(file, bytes);
  }
  closeSync(file);
}
