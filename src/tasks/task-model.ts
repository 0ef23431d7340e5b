import type { LoraConfig } from '../adapters/lora-config.ts';
import type { Adapter } from '../adapters/peft.ts';
import type { Task } from '../common/task.ts';
import type { PlanReport } from '../training/plan-report.ts';
import type { Recipe } from '../training/recipe.ts';
import type { SeededRunRequest } from '../training/run-plan.ts';
import type { RunEvent } from '../training/training-loop.ts';

/** What every base says of itself; each kind adds its own. */
export interface TaskInfo {
  task: Task;
  parameters: number;
  /** Storage dtype of the trained component's weights on the device. */
  precision: string;
  /** Names that LoRA's target_modules may hold. */
  targetModules: readonly string[];
}

/** A prompt answered along the way by the base and by what it has become, on the same seed where one is drawn. */
export interface Sample<T> {
  prompt: string;
  seed?: number;
  base: T;
  tuned: T;
}

/** What is made ready before the first step: so many of all. */
export interface PrepareEvent<What extends string = string> {
  type: 'prepare';
  what: What;
  done: number;
  total: number;
}

export type TaskEvent<T = unknown> = PrepareEvent | RunEvent<Sample<T>>;

/** What a plan is made for, beside what is learnt from. */
export interface PlanRequest {
  recipe: Recipe;
  adapter: LoraConfig;
  samplePrompts?: string[];
  /** Bytes on the device that the run may take. */
  memoryBudget?: number;
}

export interface LoadOptions<Cache = unknown> {
  /** stored (as in the file), f32, bf16 or f16. */
  precision?: string;
  onProgress?: (fraction: number) => void;
  signal?: AbortSignal;
  /** Keeps what is computed before the first step from run to run. */
  cache?: Cache;
}

/**
 * A base on the device, whatever it makes: it generates, is trained, and takes adapters. One thing at a time.
 *
 * `Data` is what it learns from, `Request` what it generates by, `Event` what is heard meanwhile, `Made` what a sample is.
 */
export interface TaskModel<
  Data extends object = object,
  Request extends object = object,
  Event = unknown,
  Made = unknown,
> {
  readonly info: TaskInfo;
  /** Tokens of a text as the model would read it. */
  countTokens(text: string): Promise<number>;
  /** What a run would take, without allocating anything. */
  plan(options: Data & PlanRequest): Promise<PlanReport>;
  /** Trains; ending the iteration early keeps what was learnt so far. */
  train(options: Data & SeededRunRequest): AsyncGenerator<TaskEvent<Made>>;
  /** The adapter, where there is one, is applied at the request's strength (default 1). */
  generate(request: Request & { signal?: AbortSignal }): AsyncGenerator<Event>;
  /** Puts an adapter beside the base, or takes it away. */
  useAdapter(adapter: Adapter | null): Promise<void>;
  destroy(): void;
}
