import { UserError } from '../../common/errors.ts';
import type { Activation } from '../../engine/kernels/gated_activation.ts';
import type { RopeConfig } from '../layers/rope.ts';
import { parseRope } from '../layers/rope.ts';

/** A decoder-only language model as its config.json states it, under our own names. */
export interface DecoderConfig {
  modelType: string;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  vocabSize: number;
  contextLength: number;
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

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_pytorch_tanh: 'gelu_tanh',
  gelu_new: 'gelu_tanh',
};

/** Reads fields of an untrusted config.json, naming what is missing or wrong. */
export class ConfigReader {
  readonly values: Record<string, unknown>;

  constructor(values: unknown) {
    if (typeof values !== 'object' || values === null || Array.isArray(values)) {
      throw new UserError('The base’s config.json is not a JSON object. Download the model again.');
    }
    this.values = values as Record<string, unknown>;
  }

  /** A positive whole number; `fallback` where the field is missing or null. */
  size(name: string, fallback?: number): number {
    const value = this.values[name] ?? fallback;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value <= 0 || value > 2 ** 31) {
      throw new UserError(
        `The base’s config.json says ${name} is ${JSON.stringify(value)}; a positive whole number is needed.`,
      );
    }
    return value;
  }

  number(name: string, fallback: number): number {
    const value = this.values[name] ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw new UserError(`The base’s config.json says ${name} is ${JSON.stringify(value)}; a number is needed.`);
    }
    return value;
  }

  flag(name: string, fallback: boolean): boolean {
    return Boolean(this.values[name] ?? fallback);
  }

  /** What Llama, Qwen2 and Qwen3 have in common, with transformers' defaults for fields left out. */
  decoder(defaults: {
    contextLength: number;
    eps: number;
    tied: boolean;
  }): Omit<DecoderConfig, 'qkvBias' | 'outputBias' | 'mlpBias' | 'headNorm'> {
    const hiddenSize = this.size('hidden_size');
    const heads = this.size('num_attention_heads');
    const kvHeads = this.size('num_key_value_heads', heads);
    if (heads % kvHeads !== 0) {
      throw new UserError(
        `The base’s config.json has ${heads} heads for ${kvHeads} key/value heads, which do not divide.`,
      );
    }
    const name = (this.values['hidden_act'] ?? 'silu') as string;
    const activation = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
    if (!activation) throw new UserError(`The base uses the activation “${name}”, which is not supported.`);
    const headDim = this.size('head_dim', Math.floor(hiddenSize / heads));
    if (headDim > 256 || headDim % 2 !== 0) {
      throw new UserError(`The base has attention heads of size ${headDim}; even sizes up to 256 are supported.`);
    }
    if (this.flag('use_sliding_window', false)) {
      throw new UserError('The base uses sliding-window attention, which is not supported yet.');
    }
    return {
      modelType: String(this.values['model_type']),
      hiddenSize,
      intermediateSize: this.size('intermediate_size'),
      layers: this.size('num_hidden_layers'),
      heads,
      kvHeads,
      headDim,
      vocabSize: this.size('vocab_size'),
      contextLength: this.size('max_position_embeddings', defaults.contextLength),
      eps: this.number('rms_norm_eps', defaults.eps),
      rope: parseRope(this.values),
      tied: this.flag('tie_word_embeddings', defaults.tied),
      activation,
    };
  }
}
