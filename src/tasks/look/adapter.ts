import type { LoraConfig } from '../../adapters/lora-config.ts';
import { parseLoraConfig } from '../../adapters/lora-config.ts';
import { UNET_TARGETS } from '../../models/stable-diffusion/unet-targets.ts';

/** What is adapted where nothing is said and no base is known yet: Stable Diffusion's usual layers. */
export const LOOK_TARGETS: readonly string[] = UNET_TARGETS;

/** The UNet's convolutions and what goes with them, by choice (LoCon): more detail and texture in a larger file. */
export const LOOK_CONVOLUTIONS: readonly string[] = [
  'conv1',
  'conv2',
  'conv_shortcut',
  'time_emb_proj',
  'downsamplers.0.conv',
  'upsamplers.0.conv',
];

/** A look's defaults: rank 16 at weight 1 holds a face without learning the photos by heart. */
const DEFAULTS = { r: 16, lora_alpha: 16, target_modules: [...LOOK_TARGETS] };

/** A look's adapter configuration from fields that differ from the defaults. Throws UserError as parseLoraConfig does. */
export function parseLookLora(fields: object, where?: string): LoraConfig {
  return parseLoraConfig({ ...DEFAULTS, ...fields }, where);
}
