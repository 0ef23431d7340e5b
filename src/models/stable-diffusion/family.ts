import { isJsonObject } from '../../common/json.ts';
import type { Conditions } from '../diffusion/denoiser.ts';
import { classifierFreeGuidance } from '../diffusion/guidance.ts';
import type { PictureFamily, PictureModel } from '../diffusion/picture-model.ts';
import type { ModelFolder } from '../files/folder.ts';
import { readJson } from '../files/folder.ts';
import { DdpmProcess } from '../schedulers/ddpm.ts';
import { DiffusionCheckpoint } from './checkpoint.ts';
import { ClipConditioner } from './clip-conditioner.ts';
import { KlPictureAutoencoder } from './kl-picture-autoencoder.ts';
import { ORIGINAL_UNET } from './single-file.ts';
import { UnetDenoiser } from './unet-denoiser.ts';

/** As diffusers' SDXL pipeline: unless model_index.json says otherwise, no negative prompt is told as zeros. */
async function asksForZeros(folder: ModelFolder): Promise<boolean> {
  if (!folder.files.includes('model_index.json')) return true;
  const index = await readJson(folder, 'model_index.json');
  return !isJsonObject(index) || index['force_zeros_for_empty_prompt'] !== false;
}

function pictureModel(checkpoint: DiffusionCheckpoint, zeros: boolean): PictureModel {
  const { unet } = checkpoint;
  const isXl = unet.added !== null;
  return {
    family: checkpoint.family,
    weights: checkpoint,
    denoiser: new UnetDenoiser(unet),
    process: new DdpmProcess(checkpoint.schedulerConfig),
    conditioner: new ClipConditioner(checkpoint.textEncoders, {
      withSummary: isXl,
      zerosForEmptyPrompt: isXl && zeros,
      tokenizers: () => checkpoint.tokenizers(),
    }),
    autoencoder: new KlPictureAutoencoder(checkpoint.vae),
    guidance: classifierFreeGuidance,
    resolution: checkpoint.resolution,
    adapterNames: { layersPerBlock: unet.layersPerBlock[0]! },
    geometryConditions({ original, crop, target }): Conditions {
      if (!isXl) return {};
      const { height, width } = original;
      return { time_ids: Float32Array.of(height, width, crop.top, crop.left, target.height, target.width) };
    },
  };
}

/** Stable Diffusion 1 and 2, SDXL, and smaller ones of their kind: a UNet that hears CLIP. */
export const stableDiffusion: PictureFamily = {
  pipelines: ['StableDiffusionPipeline', 'StableDiffusionXLPipeline'],
  hasKeys: (names) => names.has(ORIGINAL_UNET),
  async open(folder) {
    return pictureModel(await DiffusionCheckpoint.open(folder), await asksForZeros(folder));
  },
};
