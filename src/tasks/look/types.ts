import type { PictureRow, Pixels } from '../../datasets/look/types.ts';
import type { PrepareEvent, TaskEvent, TaskInfo } from '../task-model.ts';
import type { PictureFamilyName } from '../../models/diffusion/picture-model.ts';
import type { Prediction } from '../../models/schedulers/process.ts';
import type { SamplerName } from '../../models/schedulers/sampler.ts';

export type { TaskCache as LookCache } from '../cache.ts';

export type SchedulerName = SamplerName;

/** What the page shows about a loaded image base. */
export interface LookInfo extends TaskInfo {
  task: 'look';
  /** Stable Diffusion's generations share their file formats: sd1 (and its small kin), sd2, sdxl. */
  family: PictureFamilyName;
  /** Pixels a side that the base was trained for. */
  resolution: number;
  /** Pixels of one position of what is denoised, a side. */
  latentFactor: number;
  predictionType: Prediction;
  /** Tokens of a prompt, start and end included. */
  promptTokens: number;
}

/** What can be told of a base that is not loaded. */
export type LookBaseFacts = Pick<LookInfo, 'family' | 'resolution' | 'predictionType'>;

/** Drawing as diffusers' pipelines name it. */
export interface DrawRequest {
  prompt: string;
  negative_prompt?: string;
  /** Default: the usual one of the base's process. */
  scheduler?: SchedulerName;
  use_karras_sigmas?: boolean;
  num_inference_steps: number;
  guidance_scale: number;
  /** Pixels, multiples of 8; default: the base's own resolution. */
  width?: number;
  height?: number;
  num_images?: number;
  /** Picture i of a request is that of seed + i alone. */
  seed?: number;
  /** Standard normal [1 or num_images, …sample] to start from in place of the seed. */
  latents?: Float32Array;
  /** How much of the adapter is applied: 0 the base alone, 1 as trained. */
  strength?: number;
  signal?: AbortSignal;
}

export type DrawEvent =
  /** Denoising steps done of all, over all pictures. */
  | { type: 'progress'; done: number; total: number; image: number }
  | { type: 'image'; image: number; seed: number; pixels: Pixels };

/** Pictures and captions become latents and text states, and class pictures are drawn, before the first step. */
export type LookPrepareEvent = PrepareEvent<'latents' | 'captions' | 'class pictures'>;

export type LookTrainingEvent = TaskEvent<Pixels>;

/** A picture of a data set: its row, and its pixels when they are asked for. */
export interface PictureSource {
  row: PictureRow;
  /** Turned, at the row's size or scaled down. */
  pixels(): Promise<Pixels>;
  /** A grey picture over the whole picture, white where it is learnt; null without one. */
  mask(): Promise<Pixels | null>;
}
