import type { LoraLayout } from '../../adapters/layout.ts';
import type { Device } from '../../engine/device.ts';
import type { Graph } from '../../engine/graph.ts';
import type { ProgramPlan } from '../../engine/program.ts';
import { ioBytes } from '../../engine/program.ts';
import type { Conditioner } from '../../models/diffusion/conditioner.ts';
import type { Denoiser, ExampleShape } from '../../models/diffusion/denoiser.ts';
import type { AdapterHook } from '../../models/layers/builder.ts';
import { Optimizer } from '../../training/optimizer.ts';
import type { Recipe } from '../../training/recipe.ts';
import { totalSteps } from '../../training/recipe.ts';
import type { RunPlan } from '../../training/run-plan.ts';
import { planRun } from '../../training/run-plan.ts';
import { generationHook } from '../adapter-slot.ts';
import { shapedPrograms } from '../shaped-programs.ts';
import { programName } from './batch.ts';
import type { DenoiserGraphOptions } from './graphs.ts';
import { lossGraph } from './graphs.ts';

/** What a base gives for the training of its denoiser. */
export interface DenoisingBase {
  readonly device: Device;
  /** Text encoders that may be trained along. */
  readonly conditioner?: Conditioner;
  graphOptions(adapter?: AdapterHook): DenoiserGraphOptions;
  planOf(graph: Graph): ProgramPlan;
}

export interface DenoisingRunFacts {
  shapes: readonly ExampleShape[];
  batchesPerEpoch: number;
  evaluates: boolean;
  /** What makes samples along the way. */
  others: readonly ProgramPlan[];
  /** Bytes of the base's weights while it trains, and of all that is held before the first step. */
  frozenBytes: number;
  bytesBefore: number;
  /** Bytes on the device in all. */
  budget?: number | undefined;
}

/** Whether a module, or a tensor of one, is of something else than the denoiser: of text encoders that are trained along. */
export const isBeside = ({ component }: Pick<Denoiser, 'component'>, name: string): boolean =>
  !name.startsWith(`${component}.`);

/** Elements of the text encoders at the beginning of the flat buffers: they are traced first. */
function parametersBeside(layout: LoraLayout, denoiser: Denoiser): number {
  let end = 0;
  for (const [key, { offset, length }] of layout.flat.ranges) {
    if (isBeside(denoiser, key)) end = Math.max(end, offset + length);
  }
  return Math.ceil(end / 4) * 4;
}

/**
 * Plans programs and memory of a denoiser's run without allocating: one program for each shape, all in the same arenas, with
 * those that make samples. Blocks are computed again in the backward pass only where keeping their activations would pass
 * the budget.
 */
export function planDenoising(
  base: DenoisingBase,
  layout: LoraLayout,
  recipe: Recipe,
  facts: DenoisingRunFacts,
): RunPlan {
  const { shapes, others } = facts;
  const rows = recipe.per_device_train_batch_size;
  const plain = base.graphOptions(generationHook(layout));
  const { denoiser } = plain;
  const conditioner = layout.modules.some((name) => isBeside(denoiser, name)) ? base.conditioner : undefined;
  const slow = parametersBeside(layout, denoiser);
  const update = Optimizer.plan(
    layout.flat.length,
    recipe,
    base.device.target,
    slow > 0 && recipe.learning_rate > 0
      ? { count: slow, rate: recipe.text_encoder_lr / recipe.learning_rate }
      : undefined,
  );
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
      evaluate: (shape) => lossGraph(plain, { rows, ...shape }, { conditioner }).graph,
      micro: (shape, recompute) => lossGraph(options, { rows, ...shape }, { conditioner, recompute }),
    }),
    others,
    frozenBytes: facts.frozenBytes,
    sampleBytes: ioBytes(others),
    bytesBefore: facts.bytesBefore,
    tokensPerBatch: rows,
    totalSteps: totalSteps(recipe, facts.batchesPerEpoch),
    budget: facts.budget,
  });
}
