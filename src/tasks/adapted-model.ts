import type { LoraConfig } from '../adapters/lora-config.ts';
import type { LoraLayout } from '../adapters/layout.ts';
import type { Adapter, LoraTensors } from '../adapters/peft.ts';
import { writePeftFolder } from '../adapters/peft.ts';
import type { LoraTarget } from '../adapters/targets.ts';
import { adapterOfState, decodeRunState } from '../training/checkpoint.ts';
import type { PlanReport } from '../training/plan-report.ts';
import type { Recipe } from '../training/recipe.ts';
import type { RunPlan, SeededRunRequest } from '../training/run-plan.ts';
import { planTuned } from '../training/run-plan.ts';
import type { RunData } from '../training/training-loop.ts';
import { TrainingLoop } from '../training/training-loop.ts';
import type { AdaptableBase } from './adapter-slot.ts';
import { AdapterSlot } from './adapter-slot.ts';
import type { PlanRequest, PrepareEvent, Sample, TaskEvent } from './task-model.ts';

/** Answers the prompts along the way, in the arenas of the run. */
export interface Sampler<Made> {
  /** Base and tuned for each prompt, as they are at this moment. */
  samples(): AsyncIterable<Sample<Made>>;
  destroy(): void;
}

/** A run whose data are ready: what is left to plan once the adapter has its place. */
export interface PreparedRun<Made> {
  data: RunData;
  /** Plans programs and memory for an adapter in this place; allocates nothing. */
  plan(layout: LoraLayout): RunPlan;
  /** Undefined where nothing is sampled. */
  sampler(plan: RunPlan): Promise<Sampler<Made> | undefined>;
}

/** A base on the device with at most one adapter beside it, and the one way to train it. */
export abstract class AdaptedModel<Base extends AdaptableBase, Data extends object, Made> {
  readonly base: Base;
  readonly adapter: AdapterSlot;

  protected constructor(base: Base) {
    this.base = base;
    this.adapter = new AdapterSlot(base, () => this.dropPrograms());
  }

  /** Frees what reads the adapter: it is about to change. */
  protected abstract dropPrograms(): void;

  /** The modules that a run adapts. Throws UserError where none, or an unsupported one, matches. */
  protected abstract targets(adapter: LoraConfig, recipe: Recipe): LoraTarget[];

  /** The adapter that a new run begins with. */
  protected abstract initialAdapter(adapter: LoraConfig, recipe: Recipe): Promise<Adapter>;

  /** What a run over these data would be planned as, before anything is computed. */
  protected abstract planOf(options: Data & PlanRequest): Promise<(layout: LoraLayout) => RunPlan>;

  /** Makes ready what a run learns from, and loads what it needs of the base. */
  protected abstract prepare(
    options: Data & SeededRunRequest,
    start: Adapter,
  ): AsyncGenerator<PrepareEvent, PreparedRun<Made>>;

  async plan(options: Data & PlanRequest): Promise<PlanReport> {
    const { adapter, recipe } = options;
    const planned = await this.planOf(options);
    return planned(this.base.layout(this.targets(adapter, recipe), adapter, true)).report;
  }

  async *train(options: Data & SeededRunRequest): AsyncGenerator<TaskEvent<Made>> {
    const { recipe, signal, pause, awaitEachStepUntil } = options;
    const { device } = this.base;
    const resume = options.resume && (await decodeRunState(options.resume));
    const start = resume
      ? adapterOfState(resume)
      : (options.from ?? (await this.initialAdapter(options.adapter, recipe)));
    this.adapter.drop();
    device.resetPeak();
    const prepared = yield* this.prepare(options, start);
    const { layout, buffers } = await this.adapter.activate(start, true);
    const plan = await planTuned(device, options.tune, () => prepared.plan(layout));
    let sampler: Sampler<Made> | undefined;
    try {
      const made = (sampler = await prepared.sampler(plan));
      const loop = new TrainingLoop<Sample<Made>>({
        device,
        weights: this.base,
        layout,
        adapter: buffers,
        plan,
        recipe,
        lora: start.config,
        data: prepared.data,
        resume,
        signal,
        pause,
        awaitEachStepUntil,
        sample: made && (() => made.samples()),
      });
      yield* loop.events();
    } finally {
      sampler?.destroy();
      // The loop frees them with the rest, unless what samples did not fit and it never began.
      plan.arenas.destroy();
    }
  }

  async useAdapter(adapter: Adapter | null): Promise<void> {
    if (!adapter) return this.adapter.drop();
    await this.adapter.activate(adapter, false);
  }

  /** The adapter as it is now. Throws UserError where there is none. */
  async currentAdapter(): Promise<Adapter> {
    return this.adapter.current();
  }

  /** Gradient of every adapter tensor as the last step left it, before clipping. */
  async currentGradients(): Promise<Map<string, LoraTensors>> {
    return this.adapter.gradients();
  }

  /** The adapter as it is now, as a PEFT folder. */
  async exportAdapter(baseName: string): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
    return peftFolder(await this.currentAdapter(), baseName);
  }

  destroy(): void {
    this.adapter.drop();
    this.dropPrograms();
    this.base.destroy();
  }
}

/** An adapter as a PEFT folder that names its base: file name to bytes. */
export function peftFolder({ config, tensors }: Adapter, baseName: string): Map<string, Uint8Array<ArrayBuffer>> {
  return writePeftFolder({ config: { ...config, base_model_name_or_path: baseName }, tensors });
}
