import type { LoraLayout } from '../../adapters/layout.ts';
import { Optimizer } from '../../training/optimizer.ts';
import type { Recipe } from '../../training/recipe.ts';
import { totalSteps } from '../../training/recipe.ts';
import type { RunPlan } from '../../training/run-plan.ts';
import { planRun } from '../../training/run-plan.ts';
import type { VoiceBase } from './base.ts';
import type { Examples } from './examples.ts';
import { headChunk, lossGraph } from './graphs.ts';

/** Optimiser steps of a run over these examples. */
export function runSteps(examples: Examples, recipe: Recipe): number {
  const perStep = recipe.per_device_train_batch_size * recipe.gradient_accumulation_steps;
  return totalSteps(recipe, Math.max(1, Math.ceil(examples.training.length / perStep)));
}

/**
 * Plans programs and memory without allocating; see planRun. The budget is bytes on the device in all, samples along the way
 * included.
 */
export function planTraining(
  base: VoiceBase,
  layout: LoraLayout,
  recipe: Recipe,
  examples: Examples,
  { budget, sampleBytes = 0 }: { budget?: number | undefined; sampleBytes?: number } = {},
): RunPlan {
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
  return planRun({
    layout,
    recipe,
    update,
    evaluate: new Map(evaluate && [['', evaluate]]),
    micro: (recompute) => ({
      programs: new Map([['', base.planOf(lossGraph(options, tokens, chunk, recompute))]]),
      blocks: config.layers,
    }),
    frozenBytes: base.weights.bytes,
    sampleBytes,
    tokensPerBatch: tokens,
    totalSteps: runSteps(examples, recipe),
    budget,
  });
}
