import type { AdapterBuffers } from '../engine/adapter-buffers.ts';
import type { Device } from '../engine/device.ts';
import { UserError } from '../common/errors.ts';
import type { InputData, ProgramPlan } from '../engine/program.ts';
import { Program, ioBytes } from '../engine/program.ts';
import { IDLE_STEP } from '../engine/wgsl.ts';
import type { SharedArenas } from '../engine/shared-arenas.ts';
import type { WeightSlices } from '../engine/weights.ts';
import type { UpdateResult } from './optimizer.ts';
import { Optimizer } from './optimizer.ts';
import type { Recipe } from './recipe.ts';
import { warmupSteps } from './recipe.ts';
import { learningRate } from './schedule.ts';

/** What one run of the model's program takes. */
export interface Batch {
  /** Which of the plan's programs: batches of other sizes need programs of their own. Default: the one called ''. */
  program?: string;
  inputs: Readonly<Record<string, InputData>>;
  /** Positions that carry loss. */
  labelTokens: number;
}

export interface StepResult {
  /** From 1. */
  step: number;
  /** Mean over the label tokens of the whole optimiser step, in nats. */
  loss: number;
  gradNorm: number;
  learningRate: number;
  labelTokens: number;
  seconds: number;
}

/** Programs and their memory, decided before anything is allocated. All of them take turns in the same arenas. */
export interface TrainerPlan {
  /** By `Batch.program`: loss and gradients of a batch. */
  micro: ReadonlyMap<string, ProgramPlan>;
  update: ProgramPlan;
  /** By `Batch.program`: the loss alone. Empty without held-out data. */
  evaluate: ReadonlyMap<string, ProgramPlan>;
  arenas: SharedArenas;
}

/** Bytes of a plan's programs on the device. */
export function plannedBytes({ micro, update, evaluate, arenas }: TrainerPlan): number {
  return arenas.bytes + ioBytes([...micro.values(), update, ...evaluate.values()]);
}

type Programs = ReadonlyMap<string, Program>;

function programOf(programs: Programs, { program = '' }: Batch): Program {
  const found = programs.get(program);
  if (!found) throw new Error(`the run was planned without the program “${program}”`);
  return found;
}

function withResolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}

/** Optimiser steps over a task's batches: accumulate, clip, update. Knows nothing of what is being learnt. */
export class Trainer {
  readonly device: Device;
  readonly recipe: Recipe;
  readonly totalSteps: number;
  readonly #micro: Programs;
  readonly #evaluate: Programs;
  readonly #optimizer: Optimizer;
  readonly #arenas: SharedArenas;
  /** Optimiser steps submitted so far. */
  #step: number;
  #lastDone = performance.now();
  #turn: Promise<void> = Promise.resolve();
  #latest: Promise<unknown> = Promise.resolve();

  private constructor(parts: {
    device: Device;
    recipe: Recipe;
    totalSteps: number;
    micro: Programs;
    evaluate: Programs;
    optimizer: Optimizer;
    arenas: SharedArenas;
    step: number;
  }) {
    this.device = parts.device;
    this.recipe = parts.recipe;
    this.totalSteps = parts.totalSteps;
    this.#micro = parts.micro;
    this.#evaluate = parts.evaluate;
    this.#optimizer = parts.optimizer;
    this.#arenas = parts.arenas;
    this.#step = parts.step;
  }

  static async build(
    device: Device,
    plan: TrainerPlan,
    resources: { weights: WeightSlices; adapter: AdapterBuffers },
    options: { recipe: Recipe; totalSteps: number; step?: number },
  ): Promise<Trainer> {
    const built: { destroy(): void }[] = [];
    try {
      const { arenas } = plan;
      built.push(arenas);
      await arenas.allocate(device);
      const buildAll = async (plans: ReadonlyMap<string, ProgramPlan>): Promise<Programs> => {
        const programs = new Map<string, Program>();
        for (const [name, each] of plans) {
          const program = await Program.build(device, each, resources, arenas);
          built.push(program);
          programs.set(name, program);
        }
        return programs;
      };
      const micro = await buildAll(plan.micro);
      const evaluate = await buildAll(plan.evaluate);
      const optimizer = await Optimizer.build(device, plan.update, resources.adapter, options.recipe, arenas);
      return new Trainer({ device, ...options, micro, evaluate, optimizer, arenas, step: options.step ?? 0 });
    } catch (error) {
      for (const part of built) part.destroy();
      throw error;
    }
  }

  get step(): number {
    return this.#step;
  }

  /** Milliseconds of encoding and submitting in the last step. */
  get encodeMilliseconds(): number {
    const micro = [...this.#micro.values()].reduce((sum, program) => sum + program.encodeMilliseconds, 0);
    return micro + this.#optimizer.program.encodeMilliseconds;
  }

  /**
   * Submits one optimiser step over its micro-batches. The promise resolves when the results are here; the next step may
   * be submitted before. Throws UserError where the gradient is not finite: the adapter then is as before the step.
   */
  submit(batches: readonly Batch[]): Promise<StepResult> {
    const result = this.#submit(batches);
    this.#latest = result.catch(() => undefined);
    return result;
  }

  async #submit(batches: readonly Batch[]): Promise<StepResult> {
    const step = this.#step++;
    const labelTokens = batches.reduce((sum, batch) => sum + batch.labelTokens, 0);
    const rate = learningRate(step, {
      lr_scheduler_type: this.recipe.lr_scheduler_type,
      learning_rate: this.recipe.learning_rate,
      warmup_steps: warmupSteps(this.recipe, this.totalSteps),
      totalSteps: this.totalSteps,
    });
    // Submits of two steps never interleave, whatever their buffers wait for.
    const { promise: submitted, resolve: release } = withResolver();
    const turn = this.#turn;
    this.#turn = submitted;
    await turn;
    const running: Promise<Record<string, Float32Array>>[] = [];
    let updating: Promise<UpdateResult>;
    try {
      for (const [i, batch] of batches.entries()) {
        const program = programOf(this.#micro, batch);
        await program.ready();
        running.push(
          program.start(batch.inputs, {
            ...IDLE_STEP,
            learning_rate: rate,
            loss_scale: labelTokens > 0 ? 1 / labelTokens : 0,
            accumulate: i > 0 ? 1 : 0,
            // Dropout masks differ from micro-batch to micro-batch, and are the same in every run with this seed.
            seed: (this.recipe.seed * 0x9e3779b1 + step * batches.length + i) >>> 0,
          }),
        );
      }
      await this.#optimizer.program.ready();
      updating = this.#optimizer.update(step, rate);
    } finally {
      release();
    }
    const [update, ...outputs] = await Promise.all([updating, ...running]);
    const loss = outputs.reduce((sum, output) => sum + output['loss']![0]!, 0) / Math.max(1, labelTokens);
    if (update.notFinite || !Number.isFinite(loss)) {
      throw new UserError(
        `The loss stopped being a number at step ${step + 1}. Training ended there, and the last good state is kept. ` +
          'Go on from it with a lower learning rate.',
      );
    }
    const now = performance.now();
    const seconds = (now - this.#lastDone) / 1000;
    this.#lastDone = now;
    return { step: step + 1, loss, gradNorm: update.gradNorm, learningRate: rate, labelTokens, seconds };
  }

  /** Time that passes now (a sample, a pause) does not count as the next step's. */
  restartClock(): void {
    this.#lastDone = performance.now();
  }

  /** Mean loss over label tokens of batches that are not learnt from. */
  async evaluate(batches: readonly Batch[]): Promise<number> {
    let sum = 0;
    let tokens = 0;
    for (const batch of batches) {
      const { loss } = await programOf(this.#evaluate, batch).run(batch.inputs, IDLE_STEP);
      sum += loss![0]!;
      tokens += batch.labelTokens;
    }
    return sum / Math.max(1, tokens);
  }

  /** Resolves when no step is on its way any more, whatever came of it. */
  async idle(): Promise<void> {
    await this.#latest;
  }

  /** Frees everything, once the step on its way is through: its buffers must outlive it. */
  async destroy(): Promise<void> {
    await this.idle();
    for (const program of [...this.#micro.values(), ...this.#evaluate.values()]) program.destroy();
    this.#optimizer.destroy();
    this.#arenas.destroy();
  }
}
