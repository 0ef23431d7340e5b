import { UserError } from '../common/errors.ts';
import { writeSafetensors } from '../models/files/safetensors.ts';
import type { TensorData } from '../models/files/safetensors.ts';
import { checkedForDtype } from './diffusers-lora.ts';
import type { LoraFileOptions } from './diffusers-lora.ts';
import { modelSpec, ssMetadata } from './kohya-metadata.ts';
import type { LookFacts, NetworkSizes } from './kohya-metadata.ts';
import { kohyaName } from './look-families.ts';
import type { LookFamily } from './look-families.ts';
import { rankAndAlpha } from './look-config.ts';
import { loraShapes } from './peft.ts';
import type { Adapter } from './peft.ts';
import { kernelArea, loraScale } from './targets.ts';

export interface KohyaOptions extends LoraFileOptions {
  facts?: LookFacts;
  /** ResNet blocks of a level of the UNet, for XL's names; default 2, as in XL. */
  layersPerBlock?: number;
}

/** What kohya calls network_dim and network_alpha, and those of convolutions, where each is one number for most layers. */
function networkSizes({ config, tensors }: Adapter): NetworkSizes {
  const sizes = (conv: boolean) =>
    new Map(
      [...tensors].flatMap(([module, { r, kernel }]) =>
        kernelArea({ kernel }) > 1 === conv
          ? [[module, { r, alpha: loraScale(config, module).scale * r }] as const]
          : [],
      ),
    );
  const [linear, convolutions] = [sizes(false), sizes(true)];
  const common = (modules: typeof linear) => {
    const { r, lora_alpha } = rankAndAlpha(modules);
    return { rank: r, alpha: lora_alpha };
  };
  if (linear.size === 0) return { ...common(convolutions), conv: common(convolutions) };
  return { ...common(linear), ...(convolutions.size > 0 && { conv: common(convolutions) }) };
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Where the older of the two hashes looks. */
const LEGACY_START = 0x100000;
const LEGACY_LENGTH = 0x10000;

/**
 * The hashes by which A1111 and its kin know a file, over a copy whose metadata is the ss_ fields alone: of its tensors'
 * bytes, and, older, of 64 KiB a megabyte into it.
 */
async function hashes(tensors: readonly TensorData[], ss: Record<string, string>): Promise<Record<string, string>> {
  const copy = writeSafetensors(tensors, ss);
  const start = 8 + Number(new DataView(copy.buffer).getBigUint64(0, true));
  const legacy = copy.subarray(LEGACY_START, LEGACY_START + LEGACY_LENGTH);
  return { sshs_model_hash: await sha256(copy.subarray(start)), sshs_legacy_hash: (await sha256(legacy)).slice(0, 8) };
}

/**
 * The file that kohya's sd-scripts writes and that ComfyUI, A1111, Forge and diffusers load: lora_down, lora_up and alpha of
 * every module. rsLoRA and patterns are folded into the alphas. (diffusers 0.42 takes one alpha for all attention layers of a
 * component from such a file; where theirs differ its own format serves it better.) Throws UserError for DoRA, which the tools that read this
 * format compute each in their own way.
 */
export async function writeKohyaLora(
  adapter: Adapter,
  family: LookFamily,
  { dtype = 'F32', facts = {}, layersPerBlock }: KohyaOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  if (adapter.config.use_dora) {
    throw new UserError(
      'A DoRA cannot be saved in kohya’s format: the tools that read it disagree about what DoRA means there. Save it for diffusers, or train without DoRA.',
    );
  }
  const tensors = [...adapter.tensors].flatMap(([module, parts]): TensorData[] => {
    const name = kohyaName(module, family, layersPerBlock);
    const shapes = loraShapes(parts);
    const alpha = Float32Array.of(loraScale(adapter.config, module).scale * parts.r);
    const tensor = (ending: string, shape: readonly number[], data: Float32Array): TensorData => ({
      name: `${name}.${ending}`,
      dtype,
      shape,
      data: checkedForDtype(module, data, dtype),
    });
    return [
      tensor('lora_down.weight', shapes.A, parts.A),
      tensor('lora_up.weight', shapes.B, parts.B),
      tensor('alpha', [], alpha),
    ];
  });
  const ss = ssMetadata(family, networkSizes(adapter), facts);
  return writeSafetensors(tensors, { ...ss, ...(await hashes(tensors, ss)), ...modelSpec(family, facts) });
}
