import type { ConfigReader } from '../files/config-reader.ts';
import type { CausalLm } from './causal-lm.ts';
import { parseDecoder } from './decoder-config.ts';
import { decoderLm } from './decoder.ts';

/** Qwen3ForCausalLM: an RMS norm over each head of q and k before the rotation; head_dim is a size of its own. */
export function qwen3(reader: ConfigReader): CausalLm {
  const attentionBias = reader.flag('attention_bias', false);
  return decoderLm({
    ...parseDecoder(reader, { contextLength: 32768, eps: 1e-6, tied: false, headDim: 128 }),
    qkvBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: false,
    headNorm: true,
  });
}
