import type { LoraTensors } from '../adapters/peft.ts';
import type { TensorData } from '../models/files/safetensors.ts';
import type { TaskModel } from '../tasks/task-model.ts';
import type { NodeFolder } from './files.ts';
import type { Job } from './job.ts';

export type Files = Iterable<readonly [string, Uint8Array | string]>;

/** A model whose gradients can be read. */
export interface HeadlessModel<Data extends object = object> extends TaskModel<Data> {
  currentGradients(): Promise<Map<string, LoraTensors>>;
}

/** What the terminal asks of a kind beside what the page's worker does: files of a disk in, files out. */
export interface HeadlessKind<M extends HeadlessModel<Data> = HeadlessModel, Data extends object = object> {
  /** What a job learns from: rows of a prepared batch file, or anything that an import takes. */
  prepared(model: M, folder: NodeFolder, file: string, job: Job): Promise<Data>;
  imported(model: M, path: string, job: Job): Promise<Data>;
  /** A module's tensors under the adapter file's names. */
  named(module: string, tensors: LoraTensors): TensorData[];
  /** The trained adapter's files, by name. */
  adapterFiles(model: M, job: Job): Promise<Files>;
  /** Generates as the job says: the files, and what is printed. */
  generate(model: M, job: Job): Promise<{ files: Files; printed: unknown }>;
  /** One component by itself on tensors of a file. */
  runComponent(
    model: M,
    component: string,
    folder: NodeFolder,
    file: string,
    options: Record<string, unknown>,
  ): Promise<TensorData[]>;
  /** What dropping these files on the page gives: the report, and what was kept. */
  importFiles(paths: readonly string[]): Promise<{ report: object; files: Files }>;
}
