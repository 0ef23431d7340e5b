import { onWorkerChange, restartWorker, WORKER_TITLES, type NamedChange, type WorkerName } from './workers.ts';

export interface WorkerNotice {
  worker: WorkerName;
  sentence: string;
  /** The worker waits for the person: only a restart helps, or patience. */
  offersRestart: boolean;
}

/** What goes with a worker, and what stays. */
function lost({ worker, training }: NamedChange): string {
  if (worker === 'data') {
    return 'What it had not kept yet is lost; everything kept is still there, but earlier changes can no longer be undone.';
  }
  return training
    ? 'The run ended with it; its checkpoints are kept, and it can go on from the last one under Train.'
    : 'What it was making is lost; everything kept is still there, and the base is loaded again when it is needed.';
}

/** What a change says; null where there is nothing to say any more. */
export function noticeOf(change: NamedChange): Omit<WorkerNotice, 'worker'> | null {
  const title = WORKER_TITLES[change.worker];
  switch (change.type) {
    case 'silent': {
      const loses =
        change.worker === 'data'
          ? 'what it has not kept yet'
          : change.training
            ? 'the run since its last checkpoint'
            : 'what it is making';
      return {
        sentence: `${title} has not answered for a minute. It may be busy and answer yet; restarting it loses ${loses}.`,
        offersRestart: true,
      };
    }
    case 'ended':
      if (change.failing) {
        return {
          sentence: `${title} crashed as soon as it was started anew (${change.detail}). Restart it once more, or reload the page.`,
          offersRestart: true,
        };
      }
      return {
        sentence: `${title} ${change.crashed ? `crashed (${change.detail}) and ` : ''}was started anew. ${lost(change)}`,
        offersRestart: false,
      };
    case 'answering':
      return null;
    case 'restarted':
      return null;
  }
}

/** What is to be said of the workers, one sentence for each. */
class WorkerNotices {
  #list = $state.raw<readonly WorkerNotice[]>([]);

  constructor() {
    onWorkerChange((change) => {
      // What ended stays said; a new start takes back only the offer of one.
      if (change.type === 'restarted' && !this.#of(change.worker)?.offersRestart) return;
      const notice = noticeOf(change);
      this.close(change.worker);
      if (notice) this.#list = [...this.#list, { worker: change.worker, ...notice }];
    });
  }

  get list(): readonly WorkerNotice[] {
    return this.#list;
  }

  #of(worker: WorkerName): WorkerNotice | undefined {
    return this.#list.find((notice) => notice.worker === worker);
  }

  close(worker: WorkerName): void {
    this.#list = this.#list.filter((notice) => notice.worker !== worker);
  }

  restart(worker: WorkerName): void {
    restartWorker(worker);
  }
}

export const workerNotices = new WorkerNotices();
