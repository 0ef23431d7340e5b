import type { ProjectRecord } from '../storage/records.ts';
import type { TaskModel } from '../tasks/task-model.ts';

/** What the model worker asks of a kind beside what a terminal does: the browser's data in, what crosses to the page out. */
export interface WorkerKind<
  M extends TaskModel<Data> = TaskModel,
  Data extends object = object,
  Event = unknown,
  Made = unknown,
> {
  /** What a project learns from, as its model's `plan` and `train` take it. Throws UserError where there is nothing. */
  learningData(project: ProjectRecord): Promise<Data & { sampleSeed?: number }>;
  /** An event of generation as it crosses to the page. */
  encodeEvent(event: Event): unknown;
  /** One side of a sample as it is kept. */
  encodeSample(made: Made): string | Blob;
  /** Exactly what some of the data would be learnt as, where that can be shown. */
  preview?(model: M, items: readonly unknown[]): readonly unknown[];
}
