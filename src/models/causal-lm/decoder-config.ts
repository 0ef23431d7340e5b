import { UserError } from '../../common/errors.ts';
import type { Activation } from '../../engine/kernels/gated_activation.ts';
import type { ConfigReader } from '../files/config-reader.ts';
import { parseGatedActivation } from '../layers/activations.ts';
import type { RopeConfig } from '../layers/rope.ts';
import { parseRope } from '../layers/rope.ts';
import type { CausalLmConfig } from './causal-lm.ts';

/** A language model of Llama's kind as its config.json states it. */
export interface DecoderConfig extends CausalLmConfig {
  intermediateSize: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  eps: number;
  rope: RopeConfig;
  tied: boolean;
  activation: Activation;
  /** Biases of q, k, v; of the attention's output; of the feed-forward layers. */
  qkvBias: boolean;
  outputBias: boolean;
  mlpBias: boolean;
  /** RMS norm over each head of q and k before the rotation (Qwen3). */
  headNorm: boolean;
}

/** What Llama, Qwen2 and Qwen3 have in common, with transformers' defaults for fields left out. */
export function parseDecoder(
  reader: ConfigReader,
  defaults: { contextLength: number; eps: number; tied: boolean; headDim?: number },
): Omit<DecoderConfig, 'qkvBias' | 'outputBias' | 'mlpBias' | 'headNorm'> {
  const hiddenSize = reader.size('hidden_size');
  const heads = reader.size('num_attention_heads');
  const kvHeads = reader.size('num_key_value_heads', heads);
  if (heads % kvHeads !== 0) {
    throw new UserError(`${reader.file} has ${heads} heads for ${kvHeads} key/value heads, which do not divide.`);
  }
  const headDim = reader.size('head_dim', defaults.headDim ?? Math.floor(hiddenSize / heads));
  if (headDim > 256 || headDim % 2 !== 0) {
    throw new UserError(`The base has attention heads of size ${headDim}; even sizes up to 256 are supported.`);
  }
  if (reader.flag('use_sliding_window', false)) {
    throw new UserError('The base uses sliding-window attention, which is not supported yet.');
  }
  return {
    modelType: String(reader.values['model_type']),
    hiddenSize,
    intermediateSize: reader.size('intermediate_size'),
    layers: reader.size('num_hidden_layers'),
    heads,
    kvHeads,
    headDim,
    vocabSize: reader.size('vocab_size'),
    contextLength: reader.size('max_position_embeddings', defaults.contextLength),
    eps: reader.number('rms_norm_eps', defaults.eps),
    rope: parseRope(reader),
    tied: reader.flag('tie_word_embeddings', defaults.tied),
    activation: parseGatedActivation(reader, 'hidden_act', reader.values['hidden_act'] ?? 'silu'),
  };
}
