import type { Adapter } from '../adapters/peft.ts';
import type { Task } from '../common/task.ts';
import type { Device } from '../engine/device.ts';
import type { ModelFolder } from '../models/files/folder.ts';
import type { LoadOptions, TaskModel } from './task-model.ts';
import type { TaskCache } from './cache.ts';

/** What the files of an adapter say about it. */
export interface ExportFacts {
  name: string;
  /** What the base is called by those who will load the files. */
  baseName: string;
  triggerWord?: string;
  /** A PNG shown beside the file. */
  preview?: Uint8Array<ArrayBuffer>;
}

/** What worker and terminal ask of a kind; everything else they do is the same for all. */
export interface Kind<M extends TaskModel = TaskModel> {
  task: Task;
  /** What a base of this kind does, and what to choose for it: the middle of a sentence each. */
  does: string;
  wanted: string;
  /**
   * Whether a folder holds a base of this kind: surely, or as far as can be seen where no other kind is sure. What is no base at all
   * may be possible too: its sentences then name what is missing.
   */
  recognises(folder: ModelFolder): Promise<'certain' | 'possible' | 'no'>;
  /** Throws UserError where the folder is no supported model, is damaged, or does not fit the device. */
  load(device: Device, folder: ModelFolder, options: LoadOptions<TaskCache>): Promise<M>;
  /** What adapter files and bundles say of a base, where they say anything: read from its descriptions, without a device. */
  describe?(folder: ModelFolder): Promise<object>;
  /**
   * The files of a checkpoint's adapter that other tools load, by name. Nothing is put on a device; `base` is opened for its
   * descriptions alone, where file formats depend on them.
   */
  exportFiles(
    checkpoint: Uint8Array<ArrayBuffer>,
    facts: ExportFacts,
    base: () => Promise<ModelFolder>,
  ): Promise<Map<string, Uint8Array<ArrayBuffer>>>;
  /** An adapter made elsewhere: a folder, or a file in it. Throws UserError where it does not belong to such a base. */
  readAdapter(folder: ModelFolder, file: string | undefined, model: M): Promise<Adapter>;
}
