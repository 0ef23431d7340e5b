import { UserError } from '../common/errors.ts';
import { isJsonObject, quoteValue } from '../common/json.ts';
import { writeSafetensors } from '../models/files/safetensors.ts';
import type { TensorData } from '../models/files/safetensors.ts';
import { parseLoraConfig } from './lora-config.ts';
import type { LoraConfig } from './lora-config.ts';
import { LOOK_COMPONENTS, splitComponent, unetPathOf } from './kohya-names.ts';
import type { LookComponent } from './kohya-names.ts';
import { rankAndAlpha } from './look-config.ts';
import { loraShapes, partSuffix } from './peft.ts';
import type { Adapter, LoraPart, LoraTensors } from './peft.ts';
import { loraScale } from './targets.ts';

export const DIFFUSERS_FILE = 'pytorch_lora_weights.safetensors';
/** Where diffusers keeps PEFT's configuration in a file's metadata, as JSON. */
const METADATA_KEY = 'lora_adapter_metadata';

/** Name of a tensor in diffusers' file: the internal module name, which begins with the component, and PEFT's ending. */
export function lookTensorName(module: string, part: LoraPart): string {
  return module + partSuffix(part);
}

export interface LoraFileOptions {
  /** Default F32: A and B as trained. */
  dtype?: 'F32' | 'F16';
}

/** Throws UserError where a value would become infinite in half precision. */
export function checkedForDtype(name: string, data: Float32Array, dtype: 'F32' | 'F16'): Float32Array {
  if (dtype === 'F16' && data.some((value) => Math.abs(value) >= 65_520)) {
    throw new UserError(`${name} holds values beyond 65,504, the largest of float16. Save the adapter as float32.`);
  }
  return data;
}

/** A module's tensors under their names in diffusers' file, e.g. an adapter's or its gradient's. */
export function lookTensorData(module: string, tensors: LoraTensors, dtype: 'F32' | 'F16' = 'F32'): TensorData[] {
  const shapes = loraShapes(tensors);
  return (['A', 'B', 'magnitude'] as const).flatMap((part) => {
    const data = tensors[part];
    if (!data) return [];
    const name = lookTensorName(module, part);
    return [{ name, dtype, shape: shapes[part], data: checkedForDtype(name, data, dtype) }];
  });
}

/** Older transformers have CLIP's text_model level, newer ones do not: without it a name's ending fits both. */
function targetName(component: LookComponent, path: string): string {
  return component === 'unet' ? path : path.replace(/^text_model\./, '');
}

/**
 * diffusers' pytorch_lora_weights.safetensors: the component and PEFT's names for every tensor. (The attention layers under
 * older names, as training scripts write them, are dropped by diffusers 0.42 where other layers stand beside them.) The
 * metadata holds what PEFT needs to know of each component; rsLoRA is folded into alpha.
 */
export function writeDiffusersLora(
  { config, tensors }: Adapter,
  { dtype = 'F32' }: LoraFileOptions = {},
): Uint8Array<ArrayBuffer> {
  const sizes = new Map<LookComponent, Map<string, { r: number; alpha: number }>>();
  for (const [module, { r }] of tensors) {
    const { component, path } = splitComponent(module);
    const modules = sizes.get(component) ?? new Map<string, { r: number; alpha: number }>();
    sizes.set(component, modules.set(targetName(component, path), { r, alpha: loraScale(config, module).scale * r }));
  }
  const fields: Record<string, unknown> = {};
  for (const [component, modules] of sizes) {
    const { rank_pattern, alpha_pattern, ...common } = rankAndAlpha(modules);
    const settings = {
      ...common,
      target_modules: [...modules.keys()],
      ...(Object.keys(rank_pattern).length > 0 && { rank_pattern }),
      ...(Object.keys(alpha_pattern).length > 0 && { alpha_pattern }),
      ...(config.use_dora && { use_dora: true }),
    };
    for (const [name, value] of Object.entries(settings)) fields[`${component}.${name}`] = value;
  }
  const sorted = Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
  return writeSafetensors(
    [...tensors].flatMap(([module, parts]) => lookTensorData(module, parts, dtype)),
    { format: 'pt', [METADATA_KEY]: JSON.stringify(sorted, null, 2) },
  );
}

/** PEFT's configuration of each component from a file's metadata; those of a file of one component alone stand under null. */
export function componentConfigs(
  metadata: Readonly<Record<string, string>>,
  source: string,
): Map<LookComponent | null, LoraConfig> {
  const text = metadata[METADATA_KEY];
  const configs = new Map<LookComponent | null, LoraConfig>();
  if (text === undefined) return configs;
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    throw new UserError(`${source} has ${METADATA_KEY} in its metadata that is not valid JSON.`);
  }
  if (!isJsonObject(fields)) throw new UserError(`${source} has ${METADATA_KEY} in its metadata that is no object.`);
  const parts = new Map<LookComponent | null, Record<string, unknown>>();
  for (const [key, value] of Object.entries(fields)) {
    const component = LOOK_COMPONENTS.find((name) => key.startsWith(`${name}.`)) ?? null;
    const name = component === null ? key : key.slice(component.length + 1);
    parts.set(component, { ...parts.get(component), [name]: value });
  }
  for (const [component, part] of parts) {
    if (!('r' in part) && !('lora_alpha' in part)) continue;
    // What the targets were does not matter: the tensors say it.
    const settings = { ...part, target_modules: ['any'], exclude_modules: null, layers_to_transform: null };
    const where = `${source} (its ${METADATA_KEY}${component === null ? '' : ` for ${component}`})`;
    configs.set(component, parseLoraConfig({ ...settings, layers_pattern: null }, where, { trained: true }));
  }
  return configs;
}

export type FilePart = LoraPart | 'alpha' | 'dora_scale';

/** Endings of tensor names as diffusers, PEFT and kohya have written them: no name ends in two of them. */
const ENDINGS: readonly (readonly [string, FilePart])[] = [
  ['.lora_A.weight', 'A'],
  ['.lora_B.weight', 'B'],
  ['.lora_A.default.weight', 'A'],
  ['.lora_B.default.weight', 'B'],
  ['.lora_A', 'A'],
  ['.lora_B', 'B'],
  ['.lora.down.weight', 'A'],
  ['.lora.up.weight', 'B'],
  ['_lora.down.weight', 'A'],
  ['_lora.up.weight', 'B'],
  ['.lora_down.weight', 'A'],
  ['.lora_up.weight', 'B'],
  ['.lora_linear_layer.down.weight', 'A'],
  ['.lora_linear_layer.up.weight', 'B'],
  ['.lora_magnitude_vector', 'magnitude'],
  ['.lora_magnitude_vector.weight', 'magnitude'],
  ['.lora_magnitude_vector.default.weight', 'magnitude'],
  ['.dora_scale', 'dora_scale'],
  ['.alpha', 'alpha'],
];

/** The module and the part that a tensor's name means, as they are written; undefined where it ends in none that is known. */
export function splitEnding(name: string): { owner: string; part: FilePart } | undefined {
  const ending = ENDINGS.find(([text]) => name.endsWith(text));
  return ending && { owner: name.slice(0, -ending[0].length), part: ending[1] };
}

const UNET_START = /^(down_blocks|up_blocks|mid_block|conv_in|conv_out|time_embedding|add_embedding)\b/;

/**
 * The internal name of a module as diffusers, PEFT or ComfyUI write it: with or without the component before it, with the
 * attention processors of 2023, or as a path in Stability's own code under diffusion_model. Undefined where it is no look's.
 */
export function moduleOfDiffusersName(written: string, layersPerBlock?: number): string | undefined {
  const name = written.replace(/(^|\.)base_model\.model\./, '$1');
  const native = /^(?:unet\.)?(?:model\.)?diffusion_model\.(.+)$/.exec(name);
  if (native) {
    const path = unetPathOf(native[1]!.replaceAll('.', '_'), layersPerBlock);
    return path === undefined ? undefined : `unet.${path}`;
  }
  const given = LOOK_COMPONENTS.find((component) => name.startsWith(`${component}.`));
  const path = given === undefined ? name : name.slice(given.length + 1);
  if ((given ?? 'unet') === 'unet' && UNET_START.test(path)) {
    return `unet.${path.replace(/\.processor(?=\.)/, '').replace(/\.to_out$/, '.to_out.0')}`;
  }
  const text = /^(?:text_model\.)?(encoder\.layers\.\d+\..+)$/.exec(path);
  if (given === 'unet' || (!text && path !== 'text_projection')) return undefined;
  const own = text?.[1]!.replace(/\.to_([qkv])$/, '.$1_proj').replace(/\.to_out(\.0)?$/, '.out_proj');
  return `${given ?? 'text_encoder'}.${own === undefined ? path : `text_model.${own}`}`;
}

/** Alpha of a module from its component's configuration in the metadata. Throws UserError where the rank is another one. */
export function alphaFromConfig(config: LoraConfig, module: string, r: number, source: string): number {
  const { component, path } = splitComponent(module);
  // Patterns are written for either of transformers' spellings of a text encoder.
  const names = component === 'unet' ? [path] : [path, path.replace(/^text_model\./, '')];
  const scales = names.map((name) => loraScale(config, name));
  const scale = scales.find((each) => each.r !== config.r || each.alpha !== config.lora_alpha) ?? scales[0]!;
  if (scale.r !== r) {
    throw new UserError(
      `${source} says that ${quoteValue(module)} has rank ${scale.r}, but its tensors have ${r}. The file is not sound.`,
    );
  }
  return scale.scale * r;
}
