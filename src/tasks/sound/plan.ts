import type { LoraLayout } from '../../adapters/layout.ts';
import { AdapterBuffers } from '../../engine/adapter-buffers.ts';
import type { ProgramPlan } from '../../engine/program.ts';
import { SharedArenas } from '../../engine/shared-arenas.ts';
import type { DecoderShape } from '../../models/musicgen/decoder.ts';
import { stepsOfFrames } from '../../models/musicgen/delay.ts';
import { Optimizer } from '../../training/optimizer.ts';
import type { PlanReport } from '../../training/plan-report.ts';
import type { Recipe } from '../../training/recipe.ts';
import { totalSteps } from '../../training/recipe.ts';
import { fewestRecomputed } from '../../training/recompute.ts';
import type { TrainerPlan } from '../../training/trainer.ts';
import { plannedBytes } from '../../training/trainer.ts';
import { generationHook } from '../adapter-slot.ts';
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

export interface SoundPlan extends TrainerPlan {
  report: PlanReport;
}

/** Where nothing is said about the device's memory: what a card with 8 GB has left beside a browser and a desktop. */
const DEFAULT_BUDGET = 6 * 2 ** 30;

/** The parts of the base that stay on the device while a run trains. */
export const trainingParts = (samples: boolean): SoundPart[] => (samples ? ['decoder', 'text', 'codec'] : ['decoder']);

/** Programs that turn words of these lengths, and sounds, into states and codes. */
export function encodingPlans(base: SoundBase, textLengths: readonly number[]): ProgramPlan[] {
  const text = new TextEncoder(base);
  return [...new Set(textLengths)].map((length) => text.plan(length)).concat(new SoundCodec(base).encoderPlans);
}

const ioBytes = (plans: readonly ProgramPlan[]): number => plans.reduce((sum, plan) => sum + plan.ioBytes, 0);

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
export function planSound(base: SoundBase, layout: LoraLayout, recipe: Recipe, facts: SoundRunFacts): SoundPlan {
  const { shapes, budget = DEFAULT_BUDGET } = facts;
  const rows = recipe.per_device_train_batch_size;
  const update = Optimizer.plan(layout.flat.length, recipe, base.device.target);
  const plain = base.graphOptions(generationHook(layout));
  const evaluate = new Map(
    (facts.evaluates ? shapes : []).map((shape) => [
      programName(shape),
      base.planOf(lossGraph(plain, { rows, ...shape }).graph),
    ]),
  );
  const samples = facts.samples && samplePlans(base, layout, facts.samples);
  const frozenBytes = base.bytesOf(trainingParts(samples !== undefined));
  const adapterBytes = AdapterBuffers.plan(layout.flat, true);
  const sampleBytes = samples?.bytes ?? 0;
  const fixed = frozenBytes + adapterBytes + sampleBytes;
  const options = base.graphOptions(layout);
  let blocks = 0;
  const trainerPlan = (recompute: number): TrainerPlan => {
    const micro = new Map(
      shapes.map((shape) => {
        const traced = lossGraph(options, { rows, ...shape }, recompute);
        ({ blocks } = traced);
        return [programName(shape), base.planOf(traced.graph)];
      }),
    );
    const all = [...micro.values(), update, ...evaluate.values(), ...(samples?.plans ?? [])];
    return { micro, update, evaluate, arenas: new SharedArenas(all) };
  };
  const first = trainerPlan(0);
  const { plan, recomputed } = fewestRecomputed(
    blocks,
    (count) => (count === 0 ? first : trainerPlan(count)),
    (candidate) => fixed + plannedBytes(candidate) <= budget,
  );
  // The longest of the clips speak for all.
  const main = [...plan.micro.values()].reduce((most, each) => (each.flops > most.flops ? each : most));
  const accumulation = recipe.gradient_accumulation_steps;
  return {
    ...plan,
    report: {
      frozenBytes,
      adapterBytes,
      activationBytes: main.keptBytes,
      workspaceBytes: plan.arenas.bytes - main.keptBytes,
      sampleBytes,
      ioBytes: plannedBytes(plan) - plan.arenas.bytes,
      totalBytes: Math.max(fixed + plannedBytes(plan), bytesBefore(base, facts)),
      dispatchesPerStep: main.dispatches.length * accumulation + update.dispatches.length,
      flopsPerStep: main.flops * accumulation + update.flops,
      bytesMovedPerStep: main.bytesMoved * accumulation + update.bytesMoved,
      recomputedBlocks: recomputed,
      adapterParameters: layout.parameterCount,
      tokensPerStep: rows * accumulation,
      totalSteps: totalSteps(recipe, facts.batchesPerEpoch),
    },
  };
}
