import type { LoraLayout } from '../../adapters/layout.ts';
import type { ProgramPlan } from '../../engine/program.ts';
import { ioBytes } from '../../engine/program.ts';
import { SharedArenas } from '../../engine/shared-arenas.ts';
import type { DecoderShape } from '../../models/musicgen/decoder.ts';
import { stepsOfFrames } from '../../models/musicgen/delay.ts';
import { Optimizer } from '../../training/optimizer.ts';
import type { Recipe } from '../../training/recipe.ts';
import { totalSteps } from '../../training/recipe.ts';
import type { RunPlan } from '../../training/run-plan.ts';
import { planRun } from '../../training/run-plan.ts';
import { generationHook } from '../adapter-slot.ts';
import { shapedPrograms } from '../shaped-programs.ts';
import type { SoundBase, SoundPart } from './base.ts';
import { programName } from './batch.ts';
import { cacheBytes, capacityFor, composerPlans } from './composer.ts';
import { SoundCodec } from './codec.ts';
import { lossGraph } from './graphs.ts';
import { TextEncoder } from './text-encoder.ts';

/** Steps and text length of a run's batches. */
export type SoundShape = Pick<DecoderShape, 'length' | 'textLength'>;

export interface SoundRunFacts {
  shapes: readonly SoundShape[];
  batchesPerEpoch: number;
  /** Clips and words are encoded first. */
  encodes: boolean;
  evaluates: boolean;
  /** What is composed along the way: frames, and tokens that all prompts are filled up to. */
  samples?: { frames: number; textLength: number; isGuided: boolean } | undefined;
  /** Bytes on the device in all. */
  budget?: number | undefined;
}

/** The parts of the base that stay on the device while a run trains. */
export const trainingParts = (samples: boolean): SoundPart[] => (samples ? ['decoder', 'text', 'codec'] : ['decoder']);

/** Programs that turn words of these lengths, and sounds, into states and codes. */
export function encodingPlans(base: SoundBase, textLengths: readonly number[]): ProgramPlan[] {
  const text = new TextEncoder(base);
  return [...new Set(textLengths)].map((length) => text.plan(length)).concat(new SoundCodec(base).encoderPlans);
}

/** What samples take beside the run's arenas: programs, and key/value caches with guidance. */
function samplePlans(
  base: SoundBase,
  layout: LoraLayout,
  { frames, textLength, isGuided }: NonNullable<SoundRunFacts['samples']>,
): { plans: ProgramPlan[]; bytes: number } {
  const hook = generationHook(layout);
  const cache = { capacity: capacityFor(stepsOfFrames(base.config.decoder, frames)) };
  const shape = { rows: isGuided ? 2 : 1, textLength };
  const text = new TextEncoder(base);
  const codec = new SoundCodec(base);
  const plans = [text.plan(textLength), ...composerPlans(base, { hook }, shape, cache), ...codec.decoderPlans];
  return { plans, bytes: ioBytes(plans) + cacheBytes(base, shape, cache) };
}

/** What the device holds before the first step, while words and sounds are encoded. */
function bytesBefore(base: SoundBase, { shapes, encodes }: SoundRunFacts): number {
  if (!encodes) return 0;
  const plans = encodingPlans(
    base,
    shapes.map(({ textLength }) => textLength),
  );
  return base.bytesOf(['decoder', 'text', 'codec']) + new SharedArenas(plans).bytes + ioBytes(plans);
}

/**
 * Plans programs and memory without allocating: one program for each length of clips, all in the same arenas, with those that
 * compose samples. Layers are computed again in the backward pass only where keeping their activations would pass the budget.
 */
export function planSound(base: SoundBase, layout: LoraLayout, recipe: Recipe, facts: SoundRunFacts): RunPlan {
  const { shapes } = facts;
  const rows = recipe.per_device_train_batch_size;
  const update = Optimizer.plan(layout.flat.length, recipe, base.device.target);
  const plain = base.graphOptions(generationHook(layout));
  const samples = facts.samples && samplePlans(base, layout, facts.samples);
  const options = base.graphOptions(layout);
  return planRun({
    layout,
    recipe,
    update,
    ...shapedPrograms({
      shapes,
      name: programName,
      planOf: (graph) => base.planOf(graph),
      evaluates: facts.evaluates,
      evaluate: (shape) => lossGraph(plain, { rows, ...shape }).graph,
      micro: (shape, recompute) => lossGraph(options, { rows, ...shape }, recompute),
    }),
    others: samples?.plans ?? [],
    frozenBytes: base.bytesOf(trainingParts(samples !== undefined)),
    sampleBytes: samples?.bytes ?? 0,
    bytesBefore: bytesBefore(base, facts),
    tokensPerBatch: rows,
    totalSteps: totalSteps(recipe, facts.batchesPerEpoch),
    budget: facts.budget,
  });
}
