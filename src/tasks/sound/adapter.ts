import type { LoraConfig } from '../../adapters/lora-config.ts';
import { isAllLinear, parseLoraConfig } from '../../adapters/lora-config.ts';
import { UserError } from '../../common/errors.ts';

/** Attention to the music so far and to the words, and feed-forward, of every layer of the decoder. */
export const SOUND_TARGETS: readonly string[] = ['q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc1', 'fc2'];

/**
 * What musicgen-dreamboothing adapts beside: how words are heard, which codes follow, and what codes mean. For a sound far
 * from all that the base knows; a larger file that forgets other music sooner.
 */
export function soundExtras(codebooks: number): string[] {
  const each = (name: string): string[] => Array.from({ length: codebooks }, (_, k) => `${name}.${k}`);
  return ['enc_to_dec_proj', ...each('lm_heads'), ...each('embed_tokens')];
}

/** A sound's defaults: rank 16 at weight 1, as musicgen-dreamboothing has it. */
const DEFAULTS = { r: 16, lora_alpha: 16, target_modules: [...SOUND_TARGETS] };

/**
 * A sound's adapter configuration from fields that differ from the defaults. Throws UserError as parseLoraConfig does, and for
 * all-linear, which in PEFT would change text encoder and codec too.
 */
export function parseSoundLora(fields: object, where?: string): LoraConfig {
  const config = parseLoraConfig({ ...DEFAULTS, ...fields }, where);
  if (typeof config.target_modules === 'string' && isAllLinear(config.target_modules)) {
    throw new UserError(
      `target_modules “all-linear” would also change the text encoder and the audio codec of a music model, which are not trained here. Name the layers: ${SOUND_TARGETS.join(', ')}.`,
    );
  }
  return config;
}
