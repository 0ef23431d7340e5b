import { proxy } from 'comlink';
import { UserError } from '../common/errors.ts';
import { importBase } from '../storage/base-import.ts';
import type { IncomingFile } from '../storage/digests.ts';
import type { BaseRecord } from '../storage/records.ts';
import type { Task } from '../common/task.ts';
import { isAbort } from './errors.ts';
import { LookHost } from './look/host.ts';
import { SoundHost } from './sound/host.ts';
import { VoiceHost } from './voice/host.ts';

/** Reads files into data sets, curates them and keeps every change at once; and keeps model folders. */
export class DataHost {
  readonly voice = proxy(new VoiceHost());
  readonly look = proxy(new LookHost());
  readonly sound = proxy(new SoundHost());
  #addingBase: AbortController | null = null;

  /** Streams a model folder into OPFS. */
  async importBase(
    task: Task,
    name: string,
    files: IncomingFile[],
    onProgress: (doneBytes: number) => void,
  ): Promise<BaseRecord> {
    const abort = new AbortController();
    this.#addingBase = abort;
    let told = 0;
    try {
      return await importBase(name, files, {
        task,
        signal: abort.signal,
        onProgress: ({ doneBytes, totalBytes }) => {
          const now = performance.now();
          if (now - told < 100 && doneBytes < totalBytes) return;
          told = now;
          onProgress(doneBytes);
        },
      });
    } catch (error) {
      if (isAbort(error))
        throw new UserError(`Stopped. What has arrived of “${name}” is kept: pick the folder again to go on.`);
      throw error;
    } finally {
      this.#addingBase = null;
    }
  }

  cancelImportBase(): void {
    this.#addingBase?.abort();
  }
}
