import type { PictureFamilyName } from '../models/diffusion/picture-model.ts';
import { LAYERS_PER_BLOCK, sgmPath, splitComponent } from './kohya-names.ts';

export type LookFamily = PictureFamilyName;

/** What adapter files say of one family of image models; `v`: its denoiser says v. */
export interface LookFamilyEntry {
  /** kohya's ss_base_model_version, and whether it is a Stable Diffusion 2 (ss_v2). */
  baseModelVersion: (v: boolean) => string;
  isV2: boolean;
  /** ModelSpec's architecture and implementation. */
  architecture: (v: boolean) => string;
  implementation: string;
  /** Pixels a side where nothing is said. */
  resolution: (v: boolean) => number;
  /** What a component's modules begin with in kohya's files. */
  prefixes: Readonly<Record<'unet' | 'text_encoder' | 'text_encoder_2', string>>;
  /** A module's path inside the UNet as those files spell it, before its dots become underscores. */
  kohyaPath: (path: string, layersPerBlock: number) => string;
}

const PREFIXES = { unet: 'lora_unet_', text_encoder: 'lora_te_', text_encoder_2: 'lora_te2_' };

export const LOOK_FAMILIES: Readonly<Record<LookFamily, LookFamilyEntry>> = {
  sd1: {
    baseModelVersion: (v) => (v ? 'sd_v1_v' : 'sd_v1'),
    isV2: false,
    architecture: () => 'stable-diffusion-v1',
    implementation: 'diffusers',
    resolution: () => 512,
    prefixes: PREFIXES,
    kohyaPath: (path) => path,
  },
  sd2: {
    baseModelVersion: (v) => (v ? 'sd_v2_v' : 'sd_v2'),
    isV2: true,
    architecture: (v) => (v ? 'stable-diffusion-v2-768-v' : 'stable-diffusion-v2-512'),
    implementation: 'diffusers',
    resolution: (v) => (v ? 768 : 512),
    prefixes: PREFIXES,
    kohyaPath: (path) => path,
  },
  sdxl: {
    baseModelVersion: () => 'sdxl_base_v1-0',
    isV2: false,
    architecture: () => 'stable-diffusion-xl-v1-base',
    implementation: 'https://github.com/Stability-AI/generative-models',
    resolution: () => 1024,
    prefixes: { ...PREFIXES, text_encoder: 'lora_te1_' },
    kohyaPath: sgmPath,
  },
};

/** The name that kohya's files have for an internal module name, e.g. lora_unet_mid_block_attentions_0_proj_in. */
export function kohyaName(module: string, family: LookFamily, layersPerBlock = LAYERS_PER_BLOCK): string {
  const { component, path } = splitComponent(module);
  const { prefixes, kohyaPath } = LOOK_FAMILIES[family];
  const own = component === 'unet' ? kohyaPath(path, layersPerBlock) : path;
  return prefixes[component] + own.replaceAll('.', '_');
}
