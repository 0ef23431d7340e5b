import type { LoraConfig } from '../adapters/lora-config.ts';
import type { LoraLayout } from '../adapters/layout.ts';
import type { AdapterBuffers } from '../engine/adapter-buffers.ts';
import type { Device } from '../engine/device.ts';
import { UserError } from '../common/errors.ts';
import type { WeightSlices } from '../engine/weights.ts';
import type { RunState } from './checkpoint.ts';
import { encodeRunState } from './checkpoint.ts';
import type { PlanReport } from './plan-report.ts';
import type { Recipe } from './recipe.ts';
import type { Batch, StepResult, TrainerPlan } from './trainer.ts';
import { Trainer } from './trainer.ts';

/** What a run tells, in order; `S` is a task's kind of sample. */
export type RunEvent<S> =
  | { type: 'ready'; plan: PlanReport; measuredBytes: number; step: number; totalSteps: number }
  | ({ type: 'step'; totalSteps: number; epoch: number } & StepResult)
  | { type: 'evaluation'; step: number; loss: number; best: boolean }
  /** What must be stored so that the run can go on from here. */
  | { type: 'checkpoint'; step: number; bytes: Uint8Array<ArrayBuffer> }
  | ({ type: 'sample'; step: number } & S)
  | { type: 'done'; step: number; reason: 'finished' | 'stopped' | 'early-stop'; bestStep: number };

/** What is learnt from, as batches. */
export interface RunData {
  /** Examples of an epoch. */
  count: number;
  /** The batches of one optimiser step, `index` from 0; the same ones whenever it is asked. */
  batches(index: number): Batch[];
  /** Batches whose loss is only measured; none where nothing is held out. */
  heldOut: readonly Batch[];
}

export interface RunOptions<S> {
  device: Device;
  weights: WeightSlices;
  layout: LoraLayout;
  adapter: AdapterBuffers;
  plan: TrainerPlan & { report: PlanReport };
  recipe: Recipe;
  lora: LoraConfig;
  data: RunData;
  resume?: RunState | undefined;
  signal?: AbortSignal | undefined;
  /** Asked before each step: a promise holds the run, its checkpoint written, until it resolves. */
  pause?: (() => Promise<void> | undefined) | undefined;
  /** Up to this step none is submitted before the event of the last was taken: its gradient is still on the device. */
  awaitEachStepUntil?: number | undefined;
  /** What the model makes at this moment, for each prompt. */
  sample?: (() => AsyncIterable<S>) | undefined;
}

/** One run: steps, held-out losses, samples and checkpoints as events, in order. */
export class TrainingLoop<S extends object> {
  readonly #options: RunOptions<S>;
  readonly #evaluations: { step: number; loss: number }[];
  #bestStep: number;
  #bestLoss: number | null;
  #best: Float32Array<ArrayBuffer> | null;
  #step: number;

  constructor(options: RunOptions<S>) {
    this.#options = options;
    const { resume } = options;
    this.#step = resume?.step ?? 0;
    this.#evaluations = [...(resume?.evaluations ?? [])];
    this.#bestStep = resume?.bestStep ?? 0;
    this.#bestLoss = resume?.bestLoss ?? null;
    this.#best = resume?.best ?? null;
  }

  async *events(): AsyncGenerator<RunEvent<S>> {
    const { device, weights, plan, recipe, adapter, layout, resume } = this.#options;
    const total = plan.report.totalSteps;
    if (resume && resume.step >= total) {
      throw new UserError(`This run already made its ${total} steps. Raise max_steps to go on.`);
    }
    if (resume) {
      adapter.write('parameters', layout.fromTensorOrder(resume.adapter));
      adapter.write('moment1', layout.fromTensorOrder(resume.firstMoment));
      adapter.write('moment2', layout.fromTensorOrder(resume.secondMoment));
    }
    const trainer = await Trainer.build(
      device,
      plan,
      { weights, adapter },
      { recipe, totalSteps: total, step: this.#step },
    );
    try {
      yield {
        type: 'ready',
        plan: plan.report,
        measuredBytes: device.allocatedBytes,
        step: this.#step,
        totalSteps: total,
      };
      // A checkpoint is written after everything else that was due at its step.
      if (!resume) yield* this.#boundary(trainer, true);
      yield* this.#train(trainer, total);
    } finally {
      await trainer.destroy();
    }
  }

  async *#train(trainer: Trainer, total: number): AsyncGenerator<RunEvent<S>> {
    const { recipe, data, signal, pause, awaitEachStepUntil = 0 } = this.#options;
    const perEpoch = data.count / (recipe.per_device_train_batch_size * recipe.gradient_accumulation_steps);
    const event = (result: StepResult): RunEvent<S> => {
      this.#step = result.step;
      return { type: 'step', totalSteps: total, epoch: result.step / perEpoch, ...result };
    };
    let previous: Promise<StepResult> | undefined;
    let reason: 'finished' | 'stopped' | 'early-stop' = 'finished';
    trainer.restartClock();
    try {
      while (trainer.step < total) {
        const held = pause?.();
        if (held) {
          if (previous) yield event(await previous);
          previous = undefined;
          if (this.#step > 0) yield await this.#checkpoint();
          await held;
          trainer.restartClock();
        }
        if (signal?.aborted) {
          reason = 'stopped';
          break;
        }
        // The next step is on its way to the device before the results of the last one are looked at.
        const current = trainer.submit(data.batches(trainer.step));
        current.catch(() => undefined);
        if (previous) yield event(await previous);
        previous = current;
        if (trainer.step <= awaitEachStepUntil && !this.#isBoundary(trainer.step)) {
          yield event(await current);
          previous = undefined;
        } else if (this.#isBoundary(trainer.step)) {
          yield event(await current);
          previous = undefined;
          yield* this.#boundary(trainer, false);
          if (this.#shouldStop()) {
            reason = 'early-stop';
            break;
          }
          trainer.restartClock();
        }
      }
      if (previous) yield event(await previous);
    } catch (error) {
      // The adapter on the device is as before the bad step: worth keeping, once the step behind it is through.
      await trainer.idle();
      if (error instanceof UserError && error.name === 'UserError') yield await this.#checkpoint();
      throw error;
    }
    if (reason !== 'stopped' && this.#best && this.#bestStep !== this.#step) {
      this.#options.adapter.write('parameters', this.#options.layout.fromTensorOrder(this.#best));
    }
    yield await this.#checkpoint();
    yield { type: 'done', step: this.#step, reason, bestStep: this.#bestStep };
  }

  #isDue(every: number, step: number): boolean {
    return every > 0 && step % every === 0;
  }

  #isBoundary(step: number): boolean {
    const { recipe } = this.#options;
    const last = step === this.#options.plan.report.totalSteps;
    return (
      last || [recipe.eval_steps, recipe.save_steps, recipe.sample_steps].some((every) => this.#isDue(every, step))
    );
  }

  /** What is due between two steps. Before the first: the untrained losses and samples, to compare with. */
  async *#boundary(trainer: Trainer, isStart: boolean): AsyncGenerator<RunEvent<S>> {
    const { recipe, data, plan, sample } = this.#options;
    const step = this.#step;
    const isLast = step === plan.report.totalSteps;
    if (data.heldOut.length > 0 && (isStart || isLast || this.#isDue(recipe.eval_steps, step))) {
      const loss = await trainer.evaluate(data.heldOut);
      const best = this.#bestLoss === null || loss < this.#bestLoss;
      this.#evaluations.push({ step, loss });
      if (best) {
        this.#bestLoss = loss;
        this.#bestStep = step;
        this.#best = recipe.load_best_model_at_end ? await this.#read('parameters') : null;
      }
      yield { type: 'evaluation', step, loss, best };
    }
    if (sample && (isStart || isLast || this.#isDue(recipe.sample_steps, step))) {
      for await (const made of sample()) yield { type: 'sample', step, ...made };
    }
    if (!isStart && !isLast && this.#isDue(recipe.save_steps, step)) yield await this.#checkpoint();
  }

  /** Whether the held-out loss has not improved for as many evaluations as the recipe is patient. */
  #shouldStop(): boolean {
    const { early_stopping_patience: patience } = this.#options.recipe;
    if (patience === 0 || this.#step === this.#options.plan.report.totalSteps) return false;
    const since = this.#evaluations.filter(({ step }) => step > this.#bestStep).length;
    return since >= patience;
  }

  async #read(name: 'parameters' | 'moment1' | 'moment2'): Promise<Float32Array<ArrayBuffer>> {
    return this.#options.layout.toTensorOrder(await this.#options.adapter.read(name));
  }

  async #checkpoint(): Promise<RunEvent<S>> {
    const { recipe, lora, layout, plan, data } = this.#options;
    const perStep = recipe.per_device_train_batch_size * recipe.gradient_accumulation_steps;
    const used = this.#step * perStep;
    const bytes = encodeRunState({
      step: this.#step,
      totalSteps: plan.report.totalSteps,
      epoch: Math.floor(used / data.count),
      position: used % data.count,
      seed: recipe.seed,
      recipe,
      lora,
      evaluations: this.#evaluations,
      bestStep: this.#bestStep,
      bestLoss: this.#bestLoss,
      best: this.#best,
      layout: layout.tensors,
      adapter: await this.#read('parameters'),
      firstMoment: await this.#read('moment1'),
      secondMoment: await this.#read('moment2'),
    });
    return { type: 'checkpoint', step: this.#step, bytes };
  }
}
