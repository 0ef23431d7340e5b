import type { ConfigReader, DecoderConfig } from './decoder-config.ts';

/** Qwen3ForCausalLM: an RMS norm over each head of q and k before the rotation; head_dim is a size of its own. */
export function qwen3Config(reader: ConfigReader): DecoderConfig {
  const attentionBias = reader.flag('attention_bias', false);
  const config = reader.decoder({ contextLength: 32768, eps: 1e-6, tied: false });
  return {
    ...config,
    headDim: reader.size('head_dim', 128),
    qkvBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: false,
    headNorm: true,
  };
}
