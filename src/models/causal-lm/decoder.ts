import type { Tensor } from '../../engine/tensor.ts';
import type { ModelBuilder, Projection } from '../layers/builder.ts';
import { ropeTable } from '../layers/rope.ts';
import { cachedAttention } from './attention.ts';
import type { CacheSize, CausalLm, CausalLmInputs, Table } from './causal-lm.ts';
import { positionsOf } from './causal-lm.ts';
import type { DecoderConfig } from './decoder-config.ts';

const EMBEDDING = 'model.embed_tokens';
const HEAD = 'lm_head';

type Turn = 'cos' | 'sin';
const TURNS: readonly Turn[] = ['cos', 'sin'];
const ropeKey = (turn: Turn): string => `rope.${turn}`;

function attention(
  b: ModelBuilder,
  config: DecoderConfig,
  layer: number,
  x: Tensor,
  inputs: CausalLmInputs,
  residual: Tensor,
  cache?: CacheSize,
): Tensor {
  const { graph } = b;
  const { hiddenSize, heads, kvHeads, headDim, eps, qkvBias, outputBias } = config;
  const name = `model.layers.${layer}.self_attn`;
  const project = (part: string, outFeatures: number): Projection => ({
    name: `${name}.${part}`,
    inFeatures: hiddenSize,
    outFeatures,
    bias: qkvBias,
  });
  const packed = b.projections(x, [
    project('q_proj', heads * headDim),
    project('k_proj', kvHeads * headDim),
    project('v_proj', kvHeads * headDim),
  ]);
  const table = (turn: Turn) =>
    graph.weight(ropeKey(turn), {
      dtype: 'f32',
      sources: [{ name: ropeKey(turn), shape: [positionsOf(config), headDim / 2] }],
    });
  const norms = config.headNorm && {
    qWeight: b.vector([`${name}.q_norm.weight`], [headDim]),
    kWeight: b.vector([`${name}.k_norm.weight`], [headDim]),
  };
  const qkv = graph.emit(
    'headNormRope',
    { x: packed, positions: inputs.positions, cos: table('cos'), sin: table('sin'), ...norms },
    { heads, kvHeads, headDim, rotaryDim: headDim, eps },
  ).y;
  const heard = cachedAttention(b, layer, qkv, { heads, kvHeads, headDim, scale: headDim ** -0.5 }, inputs, cache);
  const o = { name: `${name}.o_proj`, inFeatures: heads * headDim, outFeatures: hiddenSize, bias: outputBias };
  return b.projections(heard, [o], residual);
}

function feedForward(b: ModelBuilder, config: DecoderConfig, layer: number, x: Tensor, residual: Tensor): Tensor {
  const { hiddenSize, intermediateSize, mlpBias, activation } = config;
  const project = (part: string, inFeatures: number, outFeatures: number): Projection => ({
    name: `model.layers.${layer}.mlp.${part}`,
    inFeatures,
    outFeatures,
    bias: mlpBias,
  });
  const gateUp = b.projections(x, [
    project('gate_proj', hiddenSize, intermediateSize),
    project('up_proj', hiddenSize, intermediateSize),
  ]);
  const { y } = b.graph.emit('gatedActivation', { x: gateUp }, { activation, gate: 'first' });
  return b.projections(y, [project('down_proj', intermediateSize, hiddenSize)], residual);
}

const embeddingTable = (b: ModelBuilder, { vocabSize, hiddenSize }: DecoderConfig): Tensor =>
  b.matrix([`${EMBEDDING}.weight`], [vocabSize], hiddenSize);

/** Llama's block (and its kin): x + attention(norm(x)), then x + down(act(gate) · up) of the norm of that. */
function decoder(b: ModelBuilder, config: DecoderConfig, inputs: CausalLmInputs, cache?: CacheSize): Tensor {
  const { graph } = b;
  const { hiddenSize, eps } = config;
  let x = graph.emit('embedding', { ids: inputs.ids, table: embeddingTable(b, config) }, { scale: 1 }).y;
  for (let layer = 0; layer < config.layers; layer++) {
    x = graph.inBlock(layer, () => {
      const prefix = `model.layers.${layer}`;
      const normed = b.norm(x, `${prefix}.input_layernorm.weight`, hiddenSize, eps);
      const attended = attention(b, config, layer, normed, inputs, x, cache);
      const again = b.norm(attended, `${prefix}.post_attention_layernorm.weight`, hiddenSize, eps);
      return feedForward(b, config, layer, again, attended);
    });
  }
  return b.norm(x, 'model.norm.weight', hiddenSize, eps);
}

/** A language model of Llama's kind. */
export function decoderLm(config: DecoderConfig): CausalLm {
  const table =
    (turn: Turn): Table =>
    ([positions, pairs]) =>
      ropeTable(config.rope, 2 * pairs!, positions!, turn);
  return {
    config,
    keyRanges: Array.from({ length: config.layers }, () => 'causal'),
    tables: new Map(TURNS.map((turn) => [ropeKey(turn), table(turn)])),
    embedding: EMBEDDING,
    head: HEAD,
    trace: (b, inputs, cache) => decoder(b, config, inputs, cache),
    // The embedding itself where they are tied.
    headWeight: (b) =>
      config.tied ? embeddingTable(b, config) : b.matrix([`${HEAD}.weight`], [config.vocabSize], config.hiddenSize),
  };
}
