import type { ConfigReader } from '../files/config-reader.ts';
import type { CausalLm } from './causal-lm.ts';
import { parseDecoder } from './decoder-config.ts';
import { decoderLm } from './decoder.ts';

/** LlamaForCausalLM: Llama 2 and 3, SmolLM2, TinyLlama. */
export function llama(reader: ConfigReader): CausalLm {
  const attentionBias = reader.flag('attention_bias', false);
  return decoderLm({
    ...parseDecoder(reader, { contextLength: 2048, eps: 1e-6, tied: false }),
    qkvBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: reader.flag('mlp_bias', false),
    headNorm: false,
  });
}
