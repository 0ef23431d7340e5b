import type { KernelCall } from './kernel.ts';
import { linearGrid } from './kernel.ts';
import { vectorWidth } from './lanes.ts';

const LANES = 64;

export interface EmbeddingLoraShape {
  rows: number;
  rank: number;
  vocabulary: number;
}

/** h[rows, r] = scale · strength · A[:, ids[t]] for A [r, vocabulary]; ids are u32. */
export function embeddingLoraDown<T>(
  { rows, rank, vocabulary, scale }: EmbeddingLoraShape & { scale: number },
  buffers: { a: T; ids: T; h: T },
): KernelCall<T> {
  const count = rows * rank;
  return {
    shader: 'embedding_lora',
    defines: {},
    params: { count, rank, vocabulary, scale },
    buffers,
    grid: linearGrid(Math.ceil(count / LANES)),
    flops: count,
    bytes: 8 * count + 4 * rows,
  };
}

/** dA[r, vocabulary]: at v the sum of g[t] over the rows t with ids[t] = v; added to what was there in an accumulated step. */
export function embeddingLoraGradient<T>(
  { rows, rank, vocabulary }: EmbeddingLoraShape,
  buffers: { g: T; ids: T; da: T },
): KernelCall<T> {
  return {
    shader: 'embedding_lora_gradient',
    defines: { VECTOR: vectorWidth(rank) },
    params: { rows, rank, vocabulary },
    buffers,
    grid: [Math.ceil(vocabulary / LANES), Math.ceil(rank / 4), 1],
    flops: 2 * rows * rank * vocabulary,
    bytes: 4 * (rows * (rank + 1) + 2 * rank * vocabulary),
  };
}
