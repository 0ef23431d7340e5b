import type { Tensor } from '../../engine/tensor.ts';
import type { ModelBuilder } from '../layers/builder.ts';
import type { CacheSize, CausalLmInputs } from './causal-lm.ts';

export interface HeadShape {
  heads: number;
  kvHeads: number;
  headDim: number;
  /** What products of queries and keys are multiplied by. */
  scale: number;
}

/**
 * Attention of a layer's tokens, [tokens, heads · headDim]. qkv [tokens, (heads + 2 kvHeads) · headDim] holds queries, keys and
 * values side by side, turned already. With a cache, keys and values are written to the state `cache.${layer}` and read there.
 */
export function cachedAttention(
  b: ModelBuilder,
  layer: number,
  qkv: Tensor,
  { heads, kvHeads, headDim, scale }: HeadShape,
  inputs: CausalLmInputs,
  cache?: CacheSize,
): Tensor {
  const { graph } = b;
  const width = 2 * kvHeads * headDim;
  const kOffset = heads * headDim;
  let keys = qkv;
  let first = kOffset;
  if (inputs.cacheRows && cache) {
    keys = graph.state(`cache.${layer}`, [cache.tokens + 1, width]);
    first = 0;
    graph.emit('scatterRows', { x: qkv, indices: inputs.cacheRows }, { offset: kOffset, width }, { into: keys });
  }
  const { keyRanges, queryRanges } = inputs.ranges[layer]!;
  return graph.emit(
    'attention',
    { q: qkv, k: keys, v: keys, keyRanges, ...(queryRanges && { queryRanges }) },
    { heads, kvHeads, headDim, scale, qOffset: 0, kOffset: first, vOffset: first + kvHeads * headDim },
  ).o;
}
