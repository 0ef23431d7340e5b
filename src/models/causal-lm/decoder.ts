import type { Tensor } from '../../engine/tensor.ts';
import type { ModelBuilder, Projection } from '../layers/builder.ts';
import type { DecoderConfig } from './decoder-config.ts';

/** What a forward pass is told about its tokens; u32 [tokens] where nothing else is said, packed rows side by side. */
export interface DecoderInputs {
  ids: Tensor;
  positions: Tensor;
  /** u32 [tokens, 2]: the keys each token sees, from and up to but not including. */
  keyRanges: Tensor;
  /** u32 [tokens, 2]: the tokens that see each key; for gradients. */
  queryRanges?: Tensor;
  /** Row of the key/value cache that each token is written to; without it tokens see one another directly. */
  cacheRows?: Tensor;
}

/** Tokens that the key/value caches hold; one more row takes what is padding. */
export interface CacheSize {
  tokens: number;
}

/** The modules of one block, under transformers' names. */
export function blockProjections(
  config: DecoderConfig,
  layer: number,
): Record<'q' | 'k' | 'v' | 'o' | 'gate' | 'up' | 'down', Projection> {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, qkvBias, outputBias, mlpBias } = config;
  const attention = `model.layers.${layer}.self_attn`;
  const mlp = `model.layers.${layer}.mlp`;
  return {
    q: { name: `${attention}.q_proj`, inFeatures: hiddenSize, outFeatures: heads * headDim, bias: qkvBias },
    k: { name: `${attention}.k_proj`, inFeatures: hiddenSize, outFeatures: kvHeads * headDim, bias: qkvBias },
    v: { name: `${attention}.v_proj`, inFeatures: hiddenSize, outFeatures: kvHeads * headDim, bias: qkvBias },
    o: { name: `${attention}.o_proj`, inFeatures: heads * headDim, outFeatures: hiddenSize, bias: outputBias },
    gate: { name: `${mlp}.gate_proj`, inFeatures: hiddenSize, outFeatures: intermediateSize, bias: mlpBias },
    up: { name: `${mlp}.up_proj`, inFeatures: hiddenSize, outFeatures: intermediateSize, bias: mlpBias },
    down: { name: `${mlp}.down_proj`, inFeatures: intermediateSize, outFeatures: hiddenSize, bias: mlpBias },
  };
}

/** Rows of the rotary tables: more positions than anybody trains or talks here would only cost memory. */
export const MAX_POSITIONS = 8192;

export const ropeKey = (turn: 'cos' | 'sin'): string => `rope.${turn}`;

function attention(
  b: ModelBuilder,
  config: DecoderConfig,
  layer: number,
  x: Tensor,
  inputs: DecoderInputs,
  residual: Tensor,
  cache?: CacheSize,
): Tensor {
  const { graph } = b;
  const { heads, kvHeads, headDim, eps } = config;
  const { q, k, v, o } = blockProjections(config, layer);
  const positions = Math.min(config.contextLength, MAX_POSITIONS);
  const table = (turn: 'cos' | 'sin') =>
    graph.weight(ropeKey(turn), { dtype: 'f32', sources: [{ name: ropeKey(turn), shape: [positions, headDim / 2] }] });
  const norms = config.headNorm && {
    qWeight: b.vector([`model.layers.${layer}.self_attn.q_norm.weight`], [headDim]),
    kWeight: b.vector([`model.layers.${layer}.self_attn.k_norm.weight`], [headDim]),
  };
  const packed = b.projections(x, [q, k, v]);
  const qkv = graph.emit(
    'headNormRope',
    { x: packed, positions: inputs.positions, cos: table('cos'), sin: table('sin'), ...norms },
    { heads, kvHeads, headDim, rotaryDim: headDim, eps },
  ).y;
  const width = 2 * kvHeads * headDim;
  const kOffset = heads * headDim;
  let keys = qkv;
  let first = kOffset;
  if (inputs.cacheRows && cache) {
    keys = graph.state(`cache.${layer}`, [cache.tokens + 1, width]);
    first = 0;
    graph.emit('scatterRows', { x: qkv, indices: inputs.cacheRows }, { offset: kOffset, width }, { into: keys });
  }
  const { keyRanges, queryRanges } = inputs;
  const { o: heard } = graph.emit(
    'attention',
    { q: qkv, k: keys, v: keys, keyRanges, ...(queryRanges && { queryRanges }) },
    { heads, kvHeads, headDim, scale: headDim ** -0.5, qOffset: 0, kOffset: first, vOffset: first + kvHeads * headDim },
  );
  return b.projections(heard, [o], residual);
}

/**
 * Llama's block (and its kin): x + attention(norm(x)), then x + down(act(gate) · up) of the norm of that. Returns the final
 * hidden states after the last norm, [tokens, hidden]. Each block is one unit of recomputation.
 */
export function decoder(b: ModelBuilder, config: DecoderConfig, inputs: DecoderInputs, cache?: CacheSize): Tensor {
  const { graph } = b;
  const { hiddenSize, eps } = config;
  let x = graph.emit('embedding', { ids: inputs.ids, table: embeddingTable(b, config) }, { scale: 1 }).y;
  for (let layer = 0; layer < config.layers; layer++) {
    x = graph.inBlock(layer, () => {
      const prefix = `model.layers.${layer}`;
      const { gate, up, down } = blockProjections(config, layer);
      const normed = b.norm(x, `${prefix}.input_layernorm.weight`, hiddenSize, eps);
      const attended = attention(b, config, layer, normed, inputs, x, cache);
      const again = b.norm(attended, `${prefix}.post_attention_layernorm.weight`, hiddenSize, eps);
      const gateUp = b.projections(again, [gate, up]);
      const { y } = graph.emit('gatedActivation', { x: gateUp }, { activation: config.activation, gate: 'first' });
      return b.projections(y, [down], attended);
    });
  }
  return b.norm(x, 'model.norm.weight', hiddenSize, eps);
}

const embeddingTable = (b: ModelBuilder, { vocabSize, hiddenSize }: DecoderConfig): Tensor =>
  b.matrix(['model.embed_tokens.weight'], [vocabSize], hiddenSize);

/** The classifier's matrix [vocabulary, hidden]: the embedding itself where they are tied. */
export function headWeight(b: ModelBuilder, config: DecoderConfig): Tensor {
  return config.tied ? embeddingTable(b, config) : b.matrix(['lm_head.weight'], [config.vocabSize], config.hiddenSize);
}
