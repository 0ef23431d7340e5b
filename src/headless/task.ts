import type { TensorData } from '../models/files/safetensors.ts';
import type { LookTrainingEvent } from '../tasks/look/types.ts';
import type { SoundTrainingEvent } from '../tasks/sound/types.ts';
import type { TrainingEvent } from '../tasks/voice/types.ts';

export type Files = Iterable<readonly [string, Uint8Array | string]>;

/** A job's task with its base on the device: what the commands of the runner ask of every task. */
export interface HeadlessTask {
  /** @param settle up to this step each ends before the next begins, so that its gradients can be read */
  train(settle: number): Promise<AsyncGenerator<TrainingEvent | LookTrainingEvent | SoundTrainingEvent>>;
  /** Gradient of every adapter tensor of the last step, under the adapter file's names. */
  gradients(): Promise<TensorData[]>;
  /** The trained adapter's files, by name. */
  adapterFiles(): Promise<Files>;
  plan(): Promise<unknown>;
  /** Generates as the job says: the files, and what is printed. */
  generate(): Promise<{ files: Files; printed: unknown }>;
}
