import type { LoraLayout } from '../../adapters/layout.ts';
import type { ProgramPlan } from '../../engine/program.ts';
import { ioBytes } from '../../engine/program.ts';
import { SharedArenas } from '../../engine/shared-arenas.ts';
import type { ExampleShape } from '../../models/diffusion/denoiser.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { RunPlan } from '../../training/run-plan.ts';
import { generationHook } from '../adapter-slot.ts';
import { denoiserShape } from '../denoising/denoise.ts';
import type { DenoisingRunFacts } from '../denoising/plan.ts';
import { planDenoising } from '../denoising/plan.ts';
import type { LookBase, PictureComponent } from './base.ts';
import { denoiserPlan } from './image-pipeline.ts';
import { LookCodec } from './encoders.ts';

export interface LookRunFacts extends Omit<DenoisingRunFacts, 'others' | 'frozenBytes' | 'bytesBefore'> {
  /** Pictures and captions are encoded first. */
  encodes: boolean;
  /** Pictures are drawn along the way. */
  samples: boolean;
}

/** The components of the base that stay on the device while a run trains. */
export function trainingComponents(samples: boolean, trainsText: boolean): PictureComponent[] {
  return [
    'denoiser',
    ...(samples ? (['vae'] as const) : []),
    ...(samples || trainsText ? (['text_encoder'] as const) : []),
  ];
}

/** Programs that turn captions and pictures of these samples' sizes into conditions and latents. */
export function encodingPlans(base: LookBase, shapes: readonly ExampleShape[]): ProgramPlan[] {
  const codec = new LookCodec(base);
  return [
    codec.textPlan(base.conditioner.lengths),
    ...shapes.map(({ sample }) => codec.encoderPlan(codec.tileSize(base.autoencoder.pictureSize(sample)))),
  ];
}

/** Programs that draw a picture of the base's own size, with guidance. */
function drawingPlans(base: LookBase, layout: LoraLayout): ProgramPlan[] {
  const codec = new LookCodec(base);
  const { resolution } = base.model;
  const size = { height: resolution, width: resolution };
  return [
    codec.textPlan(base.conditioner.lengths),
    denoiserPlan(base, { hook: generationHook(layout) }, denoiserShape(base.shapeOf(size), true)),
    codec.decoderPlan(base.autoencoder.latentSize(codec.tileSize(size))),
  ];
}

/** What the device holds before the first step: while pictures are encoded, and while class pictures are drawn. */
function bytesBefore(base: LookBase, layout: LoraLayout, recipe: Recipe, { shapes, encodes }: LookRunFacts): number {
  if (!encodes) return 0;
  const plans = encodingPlans(base, shapes);
  const encoding = new SharedArenas(plans).bytes + ioBytes(plans);
  const drawing = recipe.with_prior_preservation
    ? drawingPlans(base, layout).reduce((sum, plan) => sum + plan.totalBytes, 0)
    : 0;
  return base.bytesOf(['denoiser', 'vae', 'text_encoder']) + Math.max(encoding, drawing);
}

/** Plans a look's programs and memory without allocating. */
export function planLook(base: LookBase, layout: LoraLayout, recipe: Recipe, facts: LookRunFacts): RunPlan {
  const trainsText = base.conditionerOf(layout.modules) !== undefined;
  return planDenoising(base, layout, recipe, {
    ...facts,
    others: facts.samples ? drawingPlans(base, layout) : [],
    frozenBytes: base.bytesOf(trainingComponents(facts.samples, trainsText)),
    bytesBefore: bytesBefore(base, layout, recipe, facts),
  });
}
