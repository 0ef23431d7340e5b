import { isJsonObject } from '../../common/json.ts';
import { Checkpoint } from '../files/checkpoint.ts';
import type { ModelFolder } from '../files/folder.ts';
import { readJson } from '../files/folder.ts';
import { stableDiffusion } from '../stable-diffusion/family.ts';
import type { PictureFamily, PictureModel } from './picture-model.ts';

const FAMILIES: readonly PictureFamily[] = [stableDiffusion];

/** The kind of a folder's model; what nothing is known of is left to Stable Diffusion's refusals, which say what is supported. */
export async function pictureFamilyOf(
  folder: ModelFolder,
  families: readonly PictureFamily[] = FAMILIES,
): Promise<PictureFamily> {
  const byDefault = families[0]!;
  if (folder.files.includes('model_index.json')) {
    const index = await readJson(folder, 'model_index.json');
    const pipeline: unknown = isJsonObject(index) ? index['_class_name'] : undefined;
    return families.find(({ pipelines }) => pipelines.includes(pipeline as string)) ?? byDefault;
  }
  const files = folder.files.filter((path) => !path.includes('/') && path.endsWith('.safetensors'));
  if (families.length === 1 || files.length !== 1) return byDefault;
  const { tensors } = await Checkpoint.open(folder);
  return families.find(({ hasKeys }) => hasKeys(tensors)) ?? byDefault;
}

/** Reads headers and configurations only. Throws UserError, naming file and field, for what is missing or not supported. */
export async function openPictureModel(folder: ModelFolder): Promise<PictureModel> {
  return (await pictureFamilyOf(folder)).open(folder);
}
