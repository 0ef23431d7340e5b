import type { ConfigReader, DecoderConfig } from './decoder-config.ts';

/** Qwen2ForCausalLM: Qwen2 and Qwen2.5. Biases on q, k and v alone, whatever the config says. */
export function qwen2Config(reader: ConfigReader): DecoderConfig {
  return {
    ...reader.decoder({ contextLength: 32768, eps: 1e-6, tied: false }),
    qkvBias: true,
    outputBias: false,
    mlpBias: false,
    headNorm: false,
  };
}
