import type { Defines } from '../wgsl.ts';
import type { KernelChoices } from './choices.ts';

/** A contiguous piece of a GPU buffer as a kernel binds it. Offset a multiple of 256 bytes. */
export interface BufferSlice<B = GPUBuffer> {
  buffer: B;
  /** bytes */
  offset: number;
  /** bytes, a multiple of 4 */
  size: number;
}

/**
 * One dispatch as plain data. T is what stands for a buffer: a tensor while planning, a BufferSlice when it runs.
 * `shader` is a key of the shader library (the file's name without .wgsl); `buffers` holds one entry for every #buffer that
 * the expanded shader declares, under its name; `params` one number for every field of its struct Params.
 */
export interface KernelCall<T = BufferSlice> {
  shader: string;
  defines: Defines;
  params: Readonly<Record<string, number>>;
  buffers: Readonly<Record<string, T>>;
  /** workgroups, each at most 65535 */
  grid: readonly [number, number, number];
  /** Shapes compiled in as constants: faster loops, one more pipeline for each shape. */
  baked?: boolean;
  flops: number;
  /** bytes read and written, counted once a tensor */
  bytes: number;
}

/**
 * The two kernel families. `cpu`: software adapters (SwiftShader, lavapipe), where a load costs as much as ten to twenty
 * multiply-adds and workgroup memory is slow. `gpu`: real graphics cards, where lanes read neighbouring addresses and tiles
 * go through workgroup memory.
 */
export type KernelFamily = 'cpu' | 'gpu';

/** What kernel choice may depend on. */
export interface KernelTarget {
  family: KernelFamily;
  subgroups: boolean;
  subgroupSize: number;
  hasF16: boolean;
  maxInvocations: number;
  maxWorkgroupStorage: number;
  /** What was measured to be fastest, and what plans asked for; without it the likeliest variant is taken. */
  choices?: KernelChoices;
}

/** Splits a linear count of workgroups over two dimensions where one would pass 65535; the shader computes x + y * 65535. */
export function linearGrid(workgroups: number): [number, number, number] {
  const limit = 65535;
  return workgroups <= limit ? [Math.max(1, workgroups), 1, 1] : [limit, Math.ceil(workgroups / limit), 1];
}
