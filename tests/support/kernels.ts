import { SHADERS } from 'virtual:shaders';
import { Device } from '../../src/engine/device.ts';
import type { KernelCall, KernelFamily } from '../../src/engine/kernels/kernel.ts';
import { runKernels } from '../../src/engine/kernels/run.ts';
import { expect } from 'vitest';
import { testGpu } from './gpu.ts';

export const FAMILIES: readonly KernelFamily[] = ['cpu', 'gpu'];

const devices = new Map<KernelFamily, Promise<Device>>();

/** One device a kernel family, kept for all files. */
export function familyDevice(family: KernelFamily): Promise<Device> {
  let device = devices.get(family);
  if (!device) {
    device = testGpu().then((gpu) => Device.open(gpu, { family }));
    devices.set(family, device);
  }
  return device;
}

export type TestData = Record<string, Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Int32Array<ArrayBuffer>>;

/** Runs the calls on the family's device and gives back the named buffers. */
export async function runOn(
  family: KernelFamily,
  make: (target: Device['target']) => KernelCall<string>[],
  data: TestData,
  read: string[],
  step: NonNullable<Parameters<typeof runKernels>[5]>['step'] = {},
): Promise<Record<string, Float32Array<ArrayBuffer>>> {
  const device = await familyDevice(family);
  const { results } = await runKernels(device, SHADERS, make(device.target), data, read, { step });
  return results;
}

/** Central difference of f with respect to x[i]; f sees x changed in place. */
export function slope(f: () => number, x: Float64Array, i: number, h = 1e-5): number {
  const kept = x[i]!;
  x[i] = kept + h;
  const above = f();
  x[i] = kept - h;
  const below = f();
  x[i] = kept;
  return (above - below) / (2 * h);
}

/**
 * |got − expected| / |expected| in the Euclidean norm; NaN anywhere gives NaN, which passes no bound.
 * @param least the size of what the outputs are sums of: a few outputs may cancel to nearly nothing, their errors do not, so
 * that |expected| counts as no less
 */
export function normError(got: Float32Array, expected: Float64Array, least = 0): number {
  if (got.length !== expected.length) return NaN;
  let difference = 0;
  let size = 0;
  for (let i = 0; i < got.length; i++) {
    difference += (got[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return Math.sqrt(difference / Math.max(size, least ** 2));
}

/** The same bits; where they are not, vitest's comparison says how they differ, which takes its time. */
export function expectSame(got: ArrayBufferView | undefined, expected: ArrayBufferView, note?: string): void {
  const bytes = (of: ArrayBufferView) => Buffer.from(of.buffer, of.byteOffset, of.byteLength);
  if (!got || !bytes(got).equals(bytes(expected))) expect(got, note).toEqual(expected);
}
