import type { LoraConfig } from '../../adapters/lora-config.ts';
import { parseLoraConfig } from '../../adapters/lora-config.ts';

/** Attention and feed-forward layers of the UNet's transformers: what kohya's networks.lora adapts. */
export const LOOK_TARGETS: readonly string[] = [
  'to_q',
  'to_k',
  'to_v',
  'to_out.0',
  'ff.net.0.proj',
  'ff.net.2',
  'proj_in',
  'proj_out',
];

/** The UNet's convolutions and what goes with them, by choice (LoCon): more detail and texture in a larger file. */
export const LOOK_CONVOLUTIONS: readonly string[] = [
  'conv1',
  'conv2',
  'conv_shortcut',
  'time_emb_proj',
  'downsamplers.0.conv',
  'upsamplers.0.conv',
];

/** The text encoder's layers where the words are taught too and target_modules names none of them, as kohya adapts them. */
export const TEXT_TARGETS: readonly string[] = ['q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc1', 'fc2'];

/** A look's defaults: rank 16 at weight 1 holds a face without learning the photos by heart. */
const DEFAULTS = { r: 16, lora_alpha: 16, target_modules: [...LOOK_TARGETS] };

/** A look's adapter configuration from fields that differ from the defaults. Throws UserError as parseLoraConfig does. */
export function parseLookLora(fields: object, where?: string): LoraConfig {
  return parseLoraConfig({ ...DEFAULTS, ...fields }, where);
}
