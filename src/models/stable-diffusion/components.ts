import { UserError } from '../../common/errors.ts';
import type { VaeConfig } from './autoencoder-kl.ts';
import { ClipTokenizer } from '../clip/tokenizer.ts';
import type { ComponentName } from './checkpoint.ts';
import { Checkpoint } from '../files/checkpoint.ts';
import type { ModelFolder } from '../files/folder.ts';
import { readJson, readText } from '../files/folder.ts';
import { isJsonObject, quoteValue } from '../../common/json.ts';
import type { TensorEntry } from '../files/safetensors.ts';
import type { StoredTensor } from '../files/stored-tensor.ts';
import type { UnetConfig } from './unet-2d-condition.ts';

/** What differs between a diffusers folder and a one-file checkpoint. */
export interface DiffusionParts {
  isOneFile: boolean;
  /** Untrusted. */
  configs: { unet: unknown; vae: unknown; text_encoder: unknown; text_encoder_2?: unknown; scheduler: unknown };
  checkpoints: readonly Checkpoint[];
  /** Where a tensor lies that is asked for under its component's name; it may be missing there. */
  stored(name: string, configs: { unet: UnetConfig; vae: VaeConfig }): StoredTensor;
  tokenizer(encoder: 'text_encoder' | 'text_encoder_2'): Promise<ClipTokenizer>;
  parameters(component: ComponentName): number;
}

export function splitComponent(name: string): { component: ComponentName; rest: string } {
  const at = name.indexOf('.');
  return { component: name.slice(0, at) as ComponentName, rest: name.slice(at + 1) };
}

/** Numbers in tensors that are weights: position_ids and the like are counted nowhere. */
export function countParameters(entries: Iterable<TensorEntry>): number {
  let count = 0;
  for (const { dtype, shape } of entries)
    if (/F/.test(dtype)) count += shape.reduce((product, size) => product * size, 1);
  return count;
}

/** diffusers writes an infinite lambda_min_clipped as Python does, which is no JSON. Left out it means the same. */
export async function readSchedulerConfig(folder: ModelFolder, path: string): Promise<unknown> {
  const text = (await readText(folder, path)).replace(/([:[,]\s*)(?:-?Infinity|NaN)(?=\s*[,}\]])/g, '$1null');
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new UserError(`${path} in “${folder.name}” is not valid JSON. Download the file again.`);
  }
}

/** Classes that a component may have, by what model_index.json says. */
const CLASSES: Readonly<Record<string, readonly string[]>> = {
  unet: ['UNet2DConditionModel'],
  vae: ['AutoencoderKL'],
  text_encoder: ['CLIPTextModel'],
  text_encoder_2: ['CLIPTextModelWithProjection'],
};

/** Throws UserError where model_index.json lists other classes. */
async function checkIndex(folder: ModelFolder): Promise<void> {
  if (!folder.files.includes('model_index.json')) return;
  const index = await readJson(folder, 'model_index.json');
  if (!isJsonObject(index))
    throw new UserError(`model_index.json in “${folder.name}” is not a JSON object. Download it again.`);
  const pipeline = quoteValue(index['_class_name'] ?? 'a pipeline');
  for (const [component, classes] of Object.entries(CLASSES)) {
    const entry = index[component];
    if (!Array.isArray(entry)) continue;
    const name: unknown = entry[1];
    if (name !== null && name !== undefined && !classes.includes(name as string)) {
      throw new UserError(
        `“${folder.name}” (${pipeline}) has a ${component} of the class ${quoteValue(name)}; supported is ${classes.join(', ')}, as in Stable Diffusion 1, 2 and XL.`,
      );
    }
  }
  if (!Array.isArray(index['unet'])) {
    throw new UserError(
      `“${folder.name}” (${pipeline}) has no unet. Supported are models of Stable Diffusion's class: 1.x, 2.x and XL.`,
    );
  }
}

/** Names of the autoencoder's attention in folders of 2022. */
const OLD_VAE: readonly (readonly [string, string])[] = [
  ['.to_q.', '.query.'],
  ['.to_k.', '.key.'],
  ['.to_v.', '.value.'],
  ['.to_out.0.', '.proj_attn.'],
];

/** Names that a tensor may have in its component's file, the likeliest first. */
function aliases(component: ComponentName, rest: string): string[] {
  if (component === 'vae') {
    const old = OLD_VAE.find(([now]) => rest.includes(now));
    return old ? [rest, rest.replace(old[0], old[1])] : [rest];
  }
  // transformers 5 leaves the level out where the class has no projection.
  return component === 'unet' ? [rest] : [rest, rest.replace(/^text_model\./, '')];
}

/** A diffusers folder: a sub-folder with config.json and weights for each component. */
export async function folderParts(folder: ModelFolder): Promise<DiffusionParts> {
  await checkIndex(folder);
  const has = (path: string): boolean => folder.files.includes(path);
  const components: ComponentName[] = ['unet', 'vae', 'text_encoder'];
  if (has('text_encoder_2/config.json')) components.push('text_encoder_2');
  const missing = [...components.map((name) => `${name}/config.json`), 'scheduler/scheduler_config.json'].filter(
    (path) => !has(path),
  );
  if (missing.length > 0) {
    throw new UserError(
      `“${folder.name}” is not a whole diffusers folder: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing. ` +
        'Choose the folder that holds unet, vae, text_encoder, tokenizer and scheduler, or one with a single .safetensors file.',
    );
  }
  const configs: Partial<Record<ComponentName, unknown>> = {};
  const checkpoints = new Map<ComponentName, Checkpoint>();
  for (const name of components) {
    configs[name] = await readJson(folder, `${name}/config.json`);
    checkpoints.set(name, await Checkpoint.open(folder, name));
  }
  const scheduler = await readSchedulerConfig(folder, 'scheduler/scheduler_config.json');
  const { unet, vae, text_encoder, text_encoder_2 } = configs;
  return {
    isOneFile: false,
    configs: { unet, vae, text_encoder, ...(text_encoder_2 !== undefined && { text_encoder_2 }), scheduler },
    checkpoints: [...checkpoints.values()],
    stored(name) {
      const { component, rest } = splitComponent(name);
      const checkpoint = checkpoints.get(component);
      if (!checkpoint) throw new Error(`${name} is of no component of this model`);
      const names = aliases(component, rest);
      return { checkpoint, name: names.find((alias) => checkpoint.has(alias)) ?? names[0]! };
    },
    tokenizer: (encoder) => ClipTokenizer.load(folder, encoder === 'text_encoder' ? 'tokenizer' : 'tokenizer_2'),
    parameters: (component) => countParameters(checkpoints.get(component)?.tensors.values() ?? []),
  };
}
