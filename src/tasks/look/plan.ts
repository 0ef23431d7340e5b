import type { LoraLayout } from '../../adapters/layout.ts';
import type { ProgramPlan } from '../../engine/program.ts';
import { SharedArenas } from '../../engine/shared-arenas.ts';
import { Optimizer } from '../../training/optimizer.ts';
import type { Recipe } from '../../training/recipe.ts';
import { totalSteps } from '../../training/recipe.ts';
import type { RunPlan } from '../../training/run-plan.ts';
import { planRun } from '../../training/run-plan.ts';
import { generationHook } from '../adapter-slot.ts';
import { LookBase } from './base.ts';
import type { LookPart } from './base.ts';
import type { LatentSize } from './batch.ts';
import { programName } from './batch.ts';
import { unetPlan } from './image-pipeline.ts';
import { LookCodec } from './encoders.ts';
import { lossGraph } from './graphs.ts';

/** Latent size and text length of a run's batches. */
export type LookShape = LatentSize & { contextLength: number };

export interface LookRunFacts {
  shapes: readonly LookShape[];
  batchesPerEpoch: number;
  /** Pictures and captions are encoded first. */
  encodes: boolean;
  evaluates: boolean;
  /** Pictures are drawn along the way. */
  samples: boolean;
  /** Bytes on the device in all. */
  budget?: number | undefined;
}

/** The parts of the base that stay on the device while a run trains. */
export function trainingParts(samples: boolean, trainsText: boolean): LookPart[] {
  return ['unet', ...(samples ? (['vae'] as const) : []), ...(samples || trainsText ? (['text'] as const) : [])];
}

/** Programs that turn captions and pictures of these sizes into states and latents. */
export function encodingPlans(base: LookBase, shapes: readonly LatentSize[]): ProgramPlan[] {
  const codec = new LookCodec(base);
  const { latentFactor: factor } = base;
  return [
    codec.textPlan(base.contextLength),
    ...shapes.map(({ height, width }) =>
      codec.encoderPlan(codec.tileSize({ height: height * factor, width: width * factor })),
    ),
  ];
}

/** Programs that draw a picture of the base's own size, with guidance. */
function drawingPlans(base: LookBase, layout: LoraLayout): ProgramPlan[] {
  const codec = new LookCodec(base);
  const { latentFactor: factor, info, contextLength } = base;
  const side = info.resolution / factor;
  const tile = codec.tileSize({ height: info.resolution, width: info.resolution });
  return [
    codec.textPlan(contextLength),
    unetPlan(base, { hook: generationHook(layout) }, { images: 2, height: side, width: side, contextLength }),
    codec.decoderPlan({ height: tile.height / factor, width: tile.width / factor }),
  ];
}

const ioBytes = (plans: readonly ProgramPlan[]): number => plans.reduce((sum, plan) => sum + plan.ioBytes, 0);

/** What the device holds before the first step: while pictures are encoded, and while class pictures are drawn. */
function bytesBefore(base: LookBase, layout: LoraLayout, recipe: Recipe, { shapes, encodes }: LookRunFacts): number {
  if (!encodes) return 0;
  const plans = encodingPlans(base, shapes);
  const encoding = new SharedArenas(plans).bytes + ioBytes(plans);
  const drawing = recipe.with_prior_preservation
    ? drawingPlans(base, layout).reduce((sum, plan) => sum + plan.totalBytes, 0)
    : 0;
  return base.bytesOf(['unet', 'vae', 'text']) + Math.max(encoding, drawing);
}

/**
 * Plans programs and memory without allocating: one program for each size of pictures, all in the same arenas, with those
 * that draw samples. Blocks are computed again in the backward pass only where keeping their activations would pass the
 * budget.
 */
export function planLook(base: LookBase, layout: LoraLayout, recipe: Recipe, facts: LookRunFacts): RunPlan {
  const { shapes } = facts;
  const images = recipe.per_device_train_batch_size;
  const trainsText = LookBase.trainsText(layout.modules.map((name) => ({ name })));
  const slow = textParameters(layout);
  const update = Optimizer.plan(
    layout.flat.length,
    recipe,
    base.device.target,
    slow > 0 && recipe.learning_rate > 0
      ? { count: slow, rate: recipe.text_encoder_lr / recipe.learning_rate }
      : undefined,
  );
  const plain = base.graphOptions(generationHook(layout));
  const evaluate = new Map(
    (facts.evaluates ? shapes : []).map((shape) => [
      programName(shape),
      base.planOf(lossGraph(plain, { images, ...shape }, trainsText).graph),
    ]),
  );
  const others = facts.samples ? drawingPlans(base, layout) : [];
  const options = base.graphOptions(layout);
  return planRun({
    layout,
    recipe,
    update,
    evaluate,
    micro(recompute) {
      const traced = shapes.map((shape) => ({
        shape,
        ...lossGraph(options, { images, ...shape }, trainsText, recompute),
      }));
      return {
        programs: new Map(traced.map(({ shape, graph }) => [programName(shape), base.planOf(graph)])),
        blocks: traced[0]!.blocks,
      };
    },
    others,
    frozenBytes: base.bytesOf(trainingParts(facts.samples, trainsText)),
    sampleBytes: ioBytes(others),
    bytesBefore: bytesBefore(base, layout, recipe, facts),
    tokensPerBatch: images,
    totalSteps: totalSteps(recipe, facts.batchesPerEpoch),
    budget: facts.budget,
  });
}

/** Elements of the text encoders at the beginning of the flat buffers: they are traced first. */
function textParameters(layout: LoraLayout): number {
  let end = 0;
  for (const [key, { offset, length }] of layout.flat.ranges) {
    if (key.startsWith('text_encoder')) end = Math.max(end, offset + length);
  }
  return Math.ceil(end / 4) * 4;
}
