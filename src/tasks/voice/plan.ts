import { AdapterBuffers } from '../../engine/adapter-buffers.ts';
import type { LoraLayout } from '../../adapters/layout.ts';
import { SharedArenas } from '../../engine/shared-arenas.ts';
import type { ProgramPlan } from '../../engine/program.ts';
import { Optimizer } from '../../training/optimizer.ts';
import { fewestRecomputed } from '../../training/recompute.ts';
import type { Recipe } from '../../training/recipe.ts';
import { totalSteps } from '../../training/recipe.ts';
import type { TrainerPlan } from '../../training/trainer.ts';
import { plannedBytes } from '../../training/trainer.ts';
import type { VoiceBase } from './base.ts';
import type { Examples } from './examples.ts';
import { headChunk, lossGraph } from './graphs.ts';
import type { PlanReport } from './types.ts';

export interface VoicePlan extends TrainerPlan {
  report: PlanReport;
}

/** Where nothing is said about the device's memory: what a card with 8 GB has left beside a browser and a desktop. */
const DEFAULT_BUDGET = 6 * 2 ** 30;

/** Optimiser steps of a run over these examples. */
export function runSteps(examples: Examples, recipe: Recipe): number {
  const perStep = recipe.per_device_train_batch_size * recipe.gradient_accumulation_steps;
  return totalSteps(recipe, Math.max(1, Math.ceil(examples.training.length / perStep)));
}

/**
 * Plans programs and memory without allocating. Blocks are computed again in the backward pass only where keeping their
 * activations would pass the budget (bytes on the device in all, samples along the way included).
 */
export function planTraining(
  base: VoiceBase,
  layout: LoraLayout,
  recipe: Recipe,
  examples: Examples,
  { budget = DEFAULT_BUDGET, sampleBytes = 0 }: { budget?: number | undefined; sampleBytes?: number } = {},
): VoicePlan {
  const { device, config } = base;
  const tokens = recipe.per_device_train_batch_size * examples.length;
  const chunk = headChunk(config.vocabSize, device.target.family);
  const options = base.graphOptions(layout);
  const update = Optimizer.plan(layout.flat.length, recipe, device.target);
  // Held-out losses are taken without dropout.
  const plain = base.graphOptions({
    grouped: layout.grouped,
    dropout: 0,
    group: (projections) => layout.group(projections),
  });
  const evaluate = examples.heldOut.length > 0 ? base.planOf(lossGraph(plain, tokens, chunk)) : undefined;
  const adapterBytes = AdapterBuffers.plan(layout.flat, true);
  const fixed = base.weights.bytes + adapterBytes + sampleBytes;
  const trainerPlan = (recompute: number): TrainerPlan & { main: ProgramPlan } => {
    const main = base.planOf(lossGraph(options, tokens, chunk, recompute));
    return {
      main,
      micro: new Map([['', main]]),
      update,
      evaluate: new Map(evaluate && [['', evaluate]]),
      arenas: new SharedArenas([main, update, ...(evaluate ? [evaluate] : [])]),
    };
  };
  const { plan, recomputed } = fewestRecomputed(
    config.layers,
    trainerPlan,
    (candidate) => fixed + plannedBytes(candidate) <= budget,
  );
  const { main, ...programs } = plan;
  const accumulation = recipe.gradient_accumulation_steps;
  return {
    ...programs,
    report: {
      frozenBytes: base.weights.bytes,
      adapterBytes,
      activationBytes: main.keptBytes,
      workspaceBytes: plan.arenas.bytes - main.keptBytes,
      sampleBytes,
      ioBytes: plannedBytes(plan) - plan.arenas.bytes,
      totalBytes: fixed + plannedBytes(plan),
      dispatchesPerStep: main.dispatches.length * accumulation + update.dispatches.length,
      flopsPerStep: main.flops * accumulation + update.flops,
      bytesMovedPerStep: main.bytesMoved * accumulation + update.bytesMoved,
      recomputedBlocks: recomputed,
      adapterParameters: layout.parameterCount,
      tokensPerStep: tokens * accumulation,
      totalSteps: runSteps(examples, recipe),
    },
  };
}
