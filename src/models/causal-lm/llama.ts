import type { ConfigReader, DecoderConfig } from './decoder-config.ts';

/** LlamaForCausalLM: Llama 2 and 3, SmolLM2, TinyLlama. */
export function llamaConfig(reader: ConfigReader): DecoderConfig {
  const attentionBias = reader.flag('attention_bias', false);
  return {
    ...reader.decoder({ contextLength: 2048, eps: 1e-6, tied: false }),
    qkvBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: reader.flag('mlp_bias', false),
    headNorm: false,
  };
}
