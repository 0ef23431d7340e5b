import type { Tensor } from '../../../engine/tensor.ts';
import type { ModelBuilder, Projection } from '../../layers/builder.ts';
import type { Pictures } from '../../layers/resnet.ts';
import { conv1 } from '../../layers/resnet.ts';
import type { LevelRanges } from './inputs.ts';

export interface TransformerOptions {
  channels: number;
  heads: number;
  /** Blocks one after the other. */
  depth: number;
  onlyCrossAttention: boolean;
  linearProjection: boolean;
  pictures: Pictures;
  groups: number;
  /** [images · tokens, contextDim] */
  context: Tensor;
  contextDim: number;
  ranges: LevelRanges;
}

/** diffusers takes other epsilons here than in its residual blocks. */
const GROUP_NORM_EPS = 1e-6;
const LAYER_NORM_EPS = 1e-5;

/** A linear layer without bias. */
const plain = (name: string, inFeatures: number, outFeatures: number): Projection => ({
  name,
  inFeatures,
  outFeatures,
});

const biased = (name: string, inFeatures: number, outFeatures: number): Projection => ({
  ...plain(name, inFeatures, outFeatures),
  bias: true,
});

/** x + attention of x's norm to its own image's pixels. */
function selfAttention(b: ModelBuilder, x: Tensor, name: string, norm: string, options: TransformerOptions): Tensor {
  const { channels, heads, ranges, pictures } = options;
  const normed = b.layerNorm(x, norm, channels, LAYER_NORM_EPS);
  const qkv = b.projections(
    normed,
    ['to_q', 'to_k', 'to_v'].map((part) => plain(`${name}.${part}`, channels, channels)),
  );
  const headDim = channels / heads;
  const { o } = b.graph.emit(
    'attention',
    { q: qkv, k: qkv, v: qkv, keyRanges: ranges.own, queryRanges: ranges.own },
    {
      heads,
      kvHeads: heads,
      headDim,
      scale: headDim ** -0.5,
      qOffset: 0,
      kOffset: channels,
      vOffset: 2 * channels,
      density: 1 / pictures.images,
    },
  );
  return b.projections(o, [biased(`${name}.to_out.0`, channels, channels)], x);
}

/** x + attention of x's norm to its image's text. */
function crossAttention(b: ModelBuilder, x: Tensor, name: string, norm: string, options: TransformerOptions): Tensor {
  const { channels, heads, ranges, context, contextDim, pictures } = options;
  const normed = b.layerNorm(x, norm, channels, LAYER_NORM_EPS);
  const q = b.projections(normed, [plain(`${name}.to_q`, channels, channels)]);
  const kv = b.projections(
    context,
    ['to_k', 'to_v'].map((part) => plain(`${name}.${part}`, contextDim, channels)),
  );
  const headDim = channels / heads;
  const { o } = b.graph.emit(
    'attention',
    { q, k: kv, v: kv, keyRanges: ranges.text, ...(ranges.textQueries && { queryRanges: ranges.textQueries }) },
    {
      heads,
      kvHeads: heads,
      headDim,
      scale: headDim ** -0.5,
      qOffset: 0,
      kOffset: 0,
      vOffset: channels,
      density: 1 / pictures.images,
    },
  );
  return b.projections(o, [biased(`${name}.to_out.0`, channels, channels)], x);
}

/** diffusers' BasicTransformerBlock: self-attention, cross-attention, feed-forward with GEGLU (Shazeer, arXiv:2002.05202). */
function transformerBlock(b: ModelBuilder, x: Tensor, name: string, options: TransformerOptions): Tensor {
  const { channels, onlyCrossAttention } = options;
  const first = onlyCrossAttention ? crossAttention : selfAttention;
  const own = first(b, x, `${name}.attn1`, `${name}.norm1`, options);
  const heard = crossAttention(b, own, `${name}.attn2`, `${name}.norm2`, options);
  const normed = b.layerNorm(heard, `${name}.norm3`, channels, LAYER_NORM_EPS);
  const inner = 4 * channels;
  const wide = b.projections(normed, [biased(`${name}.ff.net.0.proj`, channels, 2 * inner)]);
  const { y } = b.graph.emit('gatedActivation', { x: wide }, { activation: 'gelu', gate: 'second' });
  return b.projections(y, [biased(`${name}.ff.net.2`, inner, channels)], heard);
}

/** diffusers' Transformer2DModel over pixels. Each of its blocks is one unit of recomputation. */
export function transformer(b: ModelBuilder, x: Tensor, name: string, options: TransformerOptions): Tensor {
  const { channels, depth, linearProjection, pictures, groups } = options;
  const around = linearProjection ? biased : conv1;
  let hidden = x;
  for (let i = 0; i < depth; i++) {
    hidden = b.block(() => {
      if (i === 0) {
        const norm = { images: pictures.images, groups, eps: GROUP_NORM_EPS, activation: null };
        const normed = b.groupNorm(x, `${name}.norm`, channels, norm);
        hidden = b.projections(normed, [around(`${name}.proj_in`, channels, channels)]);
      }
      const y = transformerBlock(b, hidden, `${name}.transformer_blocks.${i}`, options);
      return i === depth - 1 ? b.projections(y, [around(`${name}.proj_out`, channels, channels)], x) : y;
    });
  }
  return hidden;
}
