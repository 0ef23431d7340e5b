import type { Adapter, LoraTensors } from '../adapters/peft.ts';
import { UserError } from '../common/errors.ts';
import type { TensorData } from '../models/files/safetensors.ts';
import type { LookTrainingEvent } from '../tasks/look/types.ts';
import type { SoundTrainingEvent } from '../tasks/sound/types.ts';
import type { TrainingEvent } from '../tasks/voice/types.ts';
import type { RunRequest } from '../training/run-plan.ts';
import type { NodeFolder } from './files.ts';
import { folderOf } from './files.ts';
import type { Job } from './job.ts';

export type Files = Iterable<readonly [string, Uint8Array | string]>;

type Events = AsyncGenerator<TrainingEvent | LookTrainingEvent | SoundTrainingEvent>;

/** A job's task with its base on the device: what the commands of the runner ask of every task. */
export interface HeadlessTask {
  /** @param awaitEachStepUntil up to this step each ends before the next begins, so that its gradients can be read */
  train(awaitEachStepUntil: number): Promise<Events>;
  /** Gradient of every adapter tensor of the last step, under the adapter file's names. */
  gradients(): Promise<TensorData[]>;
  /** The trained adapter's files, by name. */
  adapterFiles(): Promise<Files>;
  plan(): Promise<unknown>;
  /** Generates as the job says: the files, and what is printed. */
  generate(): Promise<{ files: Files; printed: unknown }>;
}

/** A model of any task that learns from `Data`. */
interface LearningModel<Data> {
  train(options: Data & RunRequest): Events;
  plan(options: Data & Pick<RunRequest, 'recipe' | 'adapter'>): unknown;
  currentGradients(): Promise<Map<string, LoraTensors>>;
}

export interface Learning<Data> {
  model: LearningModel<Data>;
  /** The adapter that a run goes on from. */
  from: Adapter | undefined;
  /** Reads what the job's `data` names: a file of prepared batches, or anything that an import takes. */
  prepared: (folder: NodeFolder, file: string) => Promise<Data>;
  imported: (path: string) => Promise<Data>;
  /** A module's tensors under the adapter file's names. */
  named: (module: string, tensors: LoraTensors) => TensorData[];
}

/** The part of a task that is the same whatever is learnt. */
export function learningTask<Data extends object>(
  job: Job,
  { model, from, prepared, imported, named }: Learning<Data>,
): Pick<HeadlessTask, 'train' | 'gradients' | 'plan'> {
  async function data(): Promise<Data> {
    if (job.data === undefined) throw new UserError('The job names no data.');
    if (!job.data.endsWith('.safetensors')) return imported(job.data);
    const { folder, file } = folderOf(job.data);
    return prepared(folder, file);
  }
  return {
    async train(awaitEachStepUntil) {
      return model.train({
        ...(await data()),
        recipe: job.recipe,
        adapter: job.lora,
        awaitEachStepUntil,
        ...(from && { from }),
      });
    },
    async gradients() {
      return [...(await model.currentGradients())].flatMap(([module, tensors]) => named(module, tensors));
    },
    async plan() {
      return model.plan({ ...(await data()), recipe: job.recipe, adapter: from?.config ?? job.lora });
    },
  };
}
