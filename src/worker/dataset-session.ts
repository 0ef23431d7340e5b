import { UserError } from '../common/errors.ts';
import { EmptyImportError } from '../datasets/report.ts';
import { newId } from '../storage/database.ts';
import { deleteDataset, findDataset, getDataset } from '../storage/datasets.ts';
import { getProject, updateProject } from '../storage/projects.ts';
import type { DatasetRecord } from '../storage/records.ts';
import type { DatasetKind, DatasetTypes, ImportProgress, ImportTask, OpenSet } from './dataset-kind.ts';
import { errorMessage, isAbort } from './errors.ts';
import { History } from './history.ts';

/** Long works that can be stopped: an import, or a model that looks at what is there. */
export type LongWork = 'import' | 'model';

export interface ImportOutcome<T extends DatasetTypes> {
  state: T['state'];
  /** Null where it failed before anything was told. */
  report: T['report'] | null;
  /** What was added, also where it was stopped or failed after that. */
  added: number;
  stopped: boolean;
  /** Why it ended; empty where it did not fail. */
  failure: string;
}

/** The data set that a project names; where it names none, or one of another project, the one that was made for it. */
async function recordOf(projectId: string): Promise<DatasetRecord | null> {
  const project = await getProject(projectId);
  const named = project?.datasetId ? await getDataset(project.datasetId) : undefined;
  return (named?.projectId === projectId ? named : await findDataset(projectId)) ?? null;
}

/**
 * The data set of one project while it is curated: every change is written before its answer, one after the other, and belongs to
 * this project, whatever is looked at by then.
 */
export class DatasetSession<T extends DatasetTypes> {
  readonly projectId: string;
  readonly #kind: DatasetKind<T>;
  readonly #history: History<T['snapshot']>;
  readonly #id: string;
  #record: DatasetRecord | null;
  #disk: T['disk'] | null;
  #options: T['options'];
  /** Changes are written one after the other: the last one written is the newest. */
  #queue: Promise<unknown> = Promise.resolve();
  readonly #works = new Map<AbortController, LongWork>();

  private constructor(
    kind: DatasetKind<T>,
    projectId: string,
    options: T['options'],
    record: DatasetRecord | null,
    there: { snapshot: T['snapshot']; disk: T['disk'] } | null,
  ) {
    this.projectId = projectId;
    this.#kind = kind;
    this.#options = options;
    this.#record = record;
    this.#id = record?.id ?? newId();
    this.#history = new History(there?.snapshot ?? kind.empty(options), kind.steps);
    this.#disk = there?.disk ?? null;
  }

  static async load<T extends DatasetTypes>(
    kind: DatasetKind<T>,
    projectId: string,
    options: T['options'],
  ): Promise<DatasetSession<T>> {
    const record = await recordOf(projectId);
    return new DatasetSession(kind, projectId, options, record, record && (await kind.read(record)));
  }

  get now(): T['snapshot'] {
    return this.#history.now;
  }

  get record(): DatasetRecord | null {
    return this.#record;
  }

  get state(): T['state'] {
    const { undoLabel, redoLabel } = this.#history;
    return { record: this.#record, undoLabel, redoLabel, ...this.#kind.state(this.now) };
  }

  get #set(): OpenSet<T> {
    return { record: this.#record, options: this.#options };
  }

  #inTurn<R>(work: () => Promise<R>): Promise<R> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  /** The set as it is; looked at with other options it may change, which is no step. */
  async open(options: T['options']): Promise<T['state']> {
    // During an import it is shown as it was, not after minutes.
    if (this.#kind.reopen?.(this.now, options)) {
      await this.#inTurn(async () => {
        this.#options = options;
        const fields = this.#kind.reopen?.(this.now, options);
        if (fields) await this.#changed(() => this.#history.replace(fields), this.#record !== null);
      });
    }
    this.#options = options;
    return this.state;
  }

  apply(change: T['change']): Promise<T['state']> {
    return this.applyIf(() => change);
  }

  /** The same, for a change that depends on what is there when its turn comes. */
  applyIf(make: (now: T['snapshot']) => T['change'] | null): Promise<T['state']> {
    return this.#inTurn(async () => {
      const change = make(this.now);
      if (change) {
        const fields = await this.#kind.change(this.now, change, this.#set);
        await this.#changed(() => this.#history.apply(change.label, fields));
      }
      return this.state;
    });
  }

  /** Takes the last step back and says which that was; null where there was none. */
  undo(): Promise<{ state: T['state']; label: string | null }> {
    return this.#inTurn(async () => {
      const label = this.#history.undoLabel;
      if (label !== null) await this.#changed(() => this.#history.undo());
      return { state: this.state, label };
    });
  }

  /** The same for the last step that was taken back. */
  redo(): Promise<{ state: T['state']; label: string | null }> {
    return this.#inTurn(async () => {
      const label = this.#history.redoLabel;
      if (label !== null) await this.#changed(() => this.#history.redo());
      return { state: this.state, label };
    });
  }

  /** Changes the history and writes what is there then; where that fails, memory is what lies on disk. */
  async #changed(change: () => void, kept = true): Promise<void> {
    const before = this.#history.moment;
    change();
    if (!kept) return;
    try {
      await this.#write({});
    } catch (error) {
      this.#history.restore(before);
      throw error;
    }
  }

  async #write(fields: Partial<DatasetRecord>): Promise<void> {
    const record: DatasetRecord = {
      ...(this.#record ?? {
        id: this.#id,
        projectId: this.projectId,
        files: [],
        skipped: {},
        examples: [],
        warnings: [],
      }),
      ...fields,
      ...this.#kind.describe(this.now),
      changedAt: Date.now(),
    };
    const project = await getProject(this.projectId);
    if (!project) {
      // Nothing names what was kept of it.
      await deleteDataset(this.#id);
      throw new UserError('The project of this data set was deleted, so the change could not be kept.');
    }
    this.#disk = await this.#kind.write(record, this.now, this.#disk);
    this.#record = record;
    if (project.datasetId !== record.id) {
      await updateProject(this.projectId, { datasetId: record.id, changedAt: record.changedAt });
    }
  }

  /** Runs what may take long and can be stopped; it may change the set, in turn, when it is done. */
  async work<R>(what: LongWork, work: (signal: AbortSignal) => Promise<R>): Promise<R> {
    const abort = new AbortController();
    this.#works.set(abort, what);
    try {
      return await work(abort.signal);
    } finally {
      this.#works.delete(abort);
    }
  }

  cancel(what: LongWork): void {
    for (const [abort, of] of this.#works) if (of === what) abort.abort();
  }

  import(
    input: T['input'],
    onProgress: (progress: ImportProgress) => void,
    onItem: (item: T['item']) => void,
  ): Promise<ImportOutcome<T>> {
    return this.work('import', (signal) =>
      this.#inTurn(async () => {
        const before = this.#kind.size(this.now);
        const ended = (report: T['report'] | null, failure: string, stopped: boolean): ImportOutcome<T> => {
          return { state: this.state, report, added: this.#kind.size(this.now) - before, stopped, failure };
        };
        try {
          const report = await this.#kind.import(this.now, input, this.#importTask(signal, onProgress, onItem));
          return ended(report, '', report.stopped ?? false);
        } catch (error) {
          const report = error instanceof EmptyImportError ? (error.report as T['report']) : null;
          return isAbort(error) ? ended(report, '', true) : ended(report, errorMessage(error), false);
        }
      }),
    );
  }

  #importTask(
    signal: AbortSignal,
    onProgress: (progress: ImportProgress) => void,
    onItem: (item: T['item']) => void,
  ): ImportTask<T> {
    const start = this.#history.moment;
    return {
      signal,
      set: this.#set,
      onProgress,
      onItem,
      record: async () => {
        if (!this.#record) await this.#write({});
        return this.#record!;
      },
      keep: async (fields, step) => {
        const last = this.#history.moment;
        if (step) {
          this.#history.restore(start);
          this.#history.apply(step.label, step.fields);
        }
        try {
          await this.#write(fields);
        } catch (error) {
          this.#history.restore(last);
          throw error;
        }
      },
    };
  }
}
