import type { LoraConfig } from '../adapters/lora-config.ts';
import type { LoraLayout } from '../adapters/layout.ts';
import type { Adapter } from '../adapters/peft.ts';
import { AdapterBuffers } from '../engine/adapter-buffers.ts';
import type { Device } from '../engine/device.ts';
import type { ProgramPlan } from '../engine/program.ts';
import { SharedArenas } from '../engine/shared-arenas.ts';
import { tune } from '../engine/tuner.ts';
import type { PlanReport } from './plan-report.ts';
import type { Recipe } from './recipe.ts';
import { fewestRecomputed } from './recompute.ts';
import type { TrainerPlan } from './trainer.ts';
import { plannedBytes } from './trainer.ts';

/** What a run of any task may be asked, beside what is learnt from. */
export interface RunRequest {
  recipe: Recipe;
  adapter: LoraConfig;
  /** An adapter to go on from; its own configuration counts instead of `adapter`. */
  from?: Adapter;
  /** A checkpoint of this run. */
  resume?: Uint8Array<ArrayBuffer>;
  samplePrompts?: string[];
  signal?: AbortSignal;
  /** Asked before each step: a promise holds the run, its checkpoint written, until it resolves. */
  pause?: () => Promise<void> | undefined;
  /** Bytes on the device that the run may take. */
  memoryBudget?: number;
  /** Up to this step none is begun before the event of the last was taken, so that `currentGradients` is that step's. */
  awaitEachStepUntil?: number;
  /** Time kernel variants on this device first, where they were not yet. Default: on real graphics cards. */
  tune?: boolean;
}

/** A run of any task whose samples are seeded. */
export interface SeededRunRequest extends RunRequest {
  /** Seed of the first prompt's sample; the next ones follow. */
  sampleSeed?: number;
}

export interface RunPlan extends TrainerPlan {
  report: PlanReport;
}

/** Where nothing is said about the device's memory: what a card with 8 GB has left beside a browser and a desktop. */
const DEFAULT_BUDGET = 6 * 2 ** 30;

/** Programs of a run by `Batch.program`, and how many blocks each could compute again. */
export interface MicroPrograms {
  programs: ReadonlyMap<string, ProgramPlan>;
  blocks: number;
}

export interface RunPlanOptions {
  layout: LoraLayout;
  recipe: Recipe;
  update: ProgramPlan;
  evaluate: ReadonlyMap<string, ProgramPlan>;
  /** Loss and gradients, with so many blocks computed again. */
  micro: (recompute: number) => MicroPrograms;
  /** What makes samples along the way, in the same arenas. */
  others?: readonly ProgramPlan[];
  /** Bytes of the base's weights, and of samples beside the arenas. */
  frozenBytes: number;
  sampleBytes: number;
  /** Bytes held before the first step, where that may be more. */
  bytesBefore?: number;
  /** What a batch goes through: tokens, pictures, clips. */
  tokensPerBatch: number;
  totalSteps: number;
  /** Bytes on the device in all, samples along the way included. */
  budget?: number | undefined;
}

/**
 * Plans a run's memory without allocating: all programs take turns in the same arenas. Blocks are computed again in the
 * backward pass only where keeping their activations would pass the budget.
 */
export function planRun(options: RunPlanOptions): RunPlan {
  const { layout, recipe, update, evaluate, micro, others = [], budget = DEFAULT_BUDGET } = options;
  const { frozenBytes, sampleBytes, bytesBefore = 0, tokensPerBatch, totalSteps } = options;
  const adapterBytes = AdapterBuffers.plan(layout.flat, true);
  const fixed = frozenBytes + adapterBytes + sampleBytes;
  const withArenas = (programs: ReadonlyMap<string, ProgramPlan>): TrainerPlan => ({
    micro: programs,
    update,
    evaluate,
    arenas: new SharedArenas([...programs.values(), update, ...evaluate.values(), ...others]),
  });
  const whole = micro(0);
  const { plan, recomputed } = fewestRecomputed(
    whole.blocks,
    (count) => withArenas(count === 0 ? whole.programs : micro(count).programs),
    (candidate) => fixed + plannedBytes(candidate) <= budget,
  );
  // The largest of the programs speaks for all.
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
      totalBytes: Math.max(fixed + plannedBytes(plan), bytesBefore),
      dispatchesPerStep: main.dispatches.length * accumulation + update.dispatches.length,
      flopsPerStep: main.flops * accumulation + update.flops,
      bytesMovedPerStep: main.bytesMoved * accumulation + update.bytesMoved,
      recomputedBlocks: recomputed,
      adapterParameters: layout.parameterCount,
      tokensPerStep: tokensPerBatch * accumulation,
      totalSteps,
    },
  };
}

/** The plan after kernel variants were timed, where they are to be and were not yet. */
export async function planTuned<P>(device: Device, wanted: boolean | undefined, planned: () => P): Promise<P> {
  const plan = planned();
  if (!(wanted ?? !device.info.isSoftware) || !(await tune(device))) return plan;
  // What the trials held is freed, and was never part of the plan.
  device.resetPeak();
  return planned();
}
