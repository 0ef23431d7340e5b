import type { Pixels } from '../../datasets/pictures/types.ts';
import type { PlanReport } from '../voice/types.ts';

export type SchedulerName =
  'DDIMScheduler' | 'EulerDiscreteScheduler' | 'EulerAncestralDiscreteScheduler' | 'DPMSolverMultistepScheduler';

/** What the page shows about a loaded image base. */
export interface LookInfo {
  task: 'look';
  /** Stable Diffusion's generations share their file formats: sd1 (and its small kin), sd2, sdxl. */
  family: 'sd1' | 'sd2' | 'sdxl';
  parameters: number;
  /** Pixels a side that the base was trained for. */
  resolution: number;
  /** Pixels of one latent, a side. */
  latentFactor: number;
  predictionType: 'epsilon' | 'v_prediction';
  /** Storage dtype of the UNet on the GPU. */
  precision: string;
  /** Tokens of a prompt, start and end included. */
  promptTokens: number;
  /** Names that LoRA's target_modules may hold for the UNet. */
  targetModules: readonly string[];
}

/** Drawing as diffusers' pipelines name it. */
export interface DrawRequest {
  prompt: string;
  negative_prompt?: string;
  /** Default: DPMSolverMultistepScheduler. */
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
  /** Standard normal [1 or num_images, 4, h, w] to start from in place of the seed. */
  latents?: Float32Array;
  /** How much of the adapter is applied: 0 the base alone, 1 as trained. */
  strength?: number;
  signal?: AbortSignal;
}

export type DrawEvent =
  /** Denoising steps done of all, over all pictures. */
  | { type: 'progress'; done: number; total: number; image: number }
  | { type: 'image'; image: number; seed: number; pixels: Pixels };

export type LookTrainingEvent =
  | { type: 'ready'; plan: PlanReport; measuredBytes: number; step: number; totalSteps: number }
  /** Pictures and captions become latents and text states, class pictures are drawn: before the first step. */
  | { type: 'prepare'; what: 'latents' | 'captions' | 'class pictures'; done: number; total: number }
  | {
      type: 'step';
      /** From 1. */
      step: number;
      totalSteps: number;
      epoch: number;
      loss: number;
      gradNorm: number;
      learningRate: number;
      labelTokens: number;
      seconds: number;
    }
  | { type: 'evaluation'; step: number; loss: number; best: boolean }
  | { type: 'checkpoint'; step: number; bytes: Uint8Array<ArrayBuffer> }
  | { type: 'sample'; step: number; prompt: string; seed: number; base: Pixels; tuned: Pixels }
  | { type: 'done'; step: number; reason: 'finished' | 'stopped' | 'early-stop'; bestStep: number };
