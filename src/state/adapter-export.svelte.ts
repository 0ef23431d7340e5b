import type { CheckpointInfo, RunRecord } from '../storage/records.ts';
import { listRuns } from '../storage/runs.ts';
import { openProject } from './project.svelte.ts';
import { samplesAt } from './samples.ts';
import { checkpointKey } from './share.ts';
import { training } from './training.svelte.ts';
import { errorMessage } from './workers.ts';

/** What is made to be taken along: the adapter's files, or a bundle to train elsewhere. */
export type ExportKind = 'files' | 'bundle';

/** The checkpoint that is taken along, and the making of its files, one thing at a time. */
export class AdapterExport {
  #chosen = $state.raw('');
  #busy = $state.raw<ExportKind | null>(null);
  #error = $state.raw('');

  /** The newest until another one is chosen; undefined where nothing was trained. */
  get checkpoint(): CheckpointInfo | undefined {
    return training.checkpoints.find((one) => checkpointKey(one) === this.#chosen) ?? training.checkpoints[0];
  }

  get busy(): ExportKind | null {
    return this.#busy;
  }

  /** The base that it was taught on, which need not be the one that is chosen now. */
  get baseId(): string | null {
    const { checkpoint } = this;
    return checkpoint ? training.baseOf(checkpoint.runId) : null;
  }

  get error(): string {
    return this.#error;
  }

  /** The samples that were made along the way with what is taken. */
  samplesOf<T extends { step: number }>(samples: readonly T[]): readonly T[] {
    const { checkpoint } = this;
    return checkpoint && checkpoint.runId === training.run?.id ? samplesAt(samples, checkpoint.step) : [];
  }

  choose(key: string): void {
    this.#chosen = key;
  }

  /** Makes something of the chosen checkpoint and its run. */
  async make(kind: ExportKind, work: (run: RunRecord, step: number) => Promise<void>): Promise<void> {
    const { checkpoint } = this;
    const { project } = openProject;
    if (!checkpoint || !project) return;
    this.#busy = kind;
    this.#error = '';
    try {
      const run = (await listRuns(project.id)).find(({ id }) => id === checkpoint.runId);
      if (run) await work(run, checkpoint.step);
    } catch (cause) {
      this.#error = errorMessage(cause);
    } finally {
      this.#busy = null;
    }
  }
}
