import type { LoraLayout } from '../../adapters/layout.ts';
import { ioBytes } from '../../engine/program.ts';
import { Optimizer } from '../../training/optimizer.ts';
import type { Recipe } from '../../training/recipe.ts';
import { totalSteps } from '../../training/recipe.ts';
import type { RunPlan } from '../../training/run-plan.ts';
import { planRun } from '../../training/run-plan.ts';
import type { VoiceBase } from './base.ts';
import type { Examples } from './examples.ts';
import { generationHook } from '../adapter-slot.ts';
import { headChunk, lossGraph } from './graphs.ts';
import type { SampleLength } from './text-generator.ts';
import { generationPlans } from './text-generator.ts';

/** Optimiser steps of a run over these examples. */
export function runSteps(examples: Examples, recipe: Recipe): number {
  const perStep = recipe.per_device_train_batch_size * recipe.gradient_accumulation_steps;
  return totalSteps(recipe, Math.max(1, Math.ceil(examples.training.length / perStep)));
}

/**
 * Plans programs and memory without allocating; see planRun. The budget is bytes on the device in all, samples along the way
 * included: their programs take turns in the run's arenas.
 */
export function planTraining(
  base: VoiceBase,
  layout: LoraLayout,
  recipe: Recipe,
  examples: Examples,
  { budget, samples = [] }: { budget?: number | undefined; samples?: readonly SampleLength[] } = {},
): RunPlan {
  const { device } = base;
  const { config } = base.lm;
  const tokens = recipe.per_device_train_batch_size * examples.length;
  const chunk = headChunk(config.vocabSize, device.target.family);
  const options = base.graphOptions(layout);
  const update = Optimizer.plan(layout.flat.length, recipe, device.target);
  // Held-out losses are taken without dropout.
  const plain = base.graphOptions(generationHook(layout));
  const evaluate = examples.heldOut.length > 0 ? base.planOf(lossGraph(plain, tokens, chunk)) : undefined;
  const { plans: others, cacheBytes } = generationPlans(base, generationHook(layout), samples);
  return planRun({
    layout,
    recipe,
    update,
    evaluate: new Map(evaluate && [['', evaluate]]),
    micro: (recompute) => ({
      programs: new Map([['', base.planOf(lossGraph(options, tokens, chunk, recompute))]]),
      blocks: config.layers,
    }),
    others,
    frozenBytes: base.bytes,
    sampleBytes: ioBytes(others) + cacheBytes,
    tokensPerBatch: tokens,
    totalSteps: runSteps(examples, recipe),
    budget,
  });
}
