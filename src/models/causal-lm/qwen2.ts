import type { ConfigReader } from '../files/config-reader.ts';
import type { CausalLm } from './causal-lm.ts';
import { parseDecoder } from './decoder-config.ts';
import { decoderLm } from './decoder.ts';

/** Qwen2ForCausalLM: Qwen2 and Qwen2.5. Biases on q, k and v alone, whatever the config says. */
export function qwen2(reader: ConfigReader): CausalLm {
  return decoderLm({
    ...parseDecoder(reader, { contextLength: 32768, eps: 1e-6, tied: false }),
    qkvBias: true,
    outputBias: false,
    mlpBias: false,
    headNorm: false,
  });
}
