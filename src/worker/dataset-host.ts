import { UserError } from '../common/errors.ts';
import type { DatasetKind, DatasetTypes, ImportProgress } from './dataset-kind.ts';
import { DatasetSession, type ImportOutcome, type LongWork } from './dataset-session.ts';

interface Held<T extends DatasetTypes> {
  session: Promise<DatasetSession<T>>;
  /** Calls that are not answered yet. */
  calls: number;
}

/**
 * The data sets of one kind. Every call names its project; a set stays in memory while its project was the last to be opened, or
 * while something of it is not answered yet.
 */
export class DatasetHost<T extends DatasetTypes> {
  readonly #kind: DatasetKind<T>;
  readonly #held = new Map<string, Held<T>>();
  /** How each project was opened last: what comes for one that was left since is done with its set all the same. */
  readonly #options = new Map<string, T['options']>();
  #last = '';

  constructor(kind: DatasetKind<T>) {
    this.#kind = kind;
  }

  open(projectId: string, options: T['options']): Promise<T['state']> {
    this.#options.set(projectId, options);
    this.#last = projectId;
    for (const id of this.#held.keys()) this.#release(id);
    return this.use(projectId, (session) => session.open(options));
  }

  apply(projectId: string, change: T['change']): Promise<T['state']> {
    return this.use(projectId, (session) => session.apply(change));
  }

  undo(projectId: string): Promise<{ state: T['state']; label: string | null }> {
    return this.use(projectId, (session) => session.undo());
  }

  redo(projectId: string): Promise<{ state: T['state']; label: string | null }> {
    return this.use(projectId, (session) => session.redo());
  }

  /**
   * Adds what was given to the set. `onProgress` hears how far it is, `onItem` of what is there to be shown as soon as it was read.
   */
  import(
    projectId: string,
    input: T['input'],
    onProgress: (progress: ImportProgress) => void,
    onItem: (item: T['item']) => void,
  ): Promise<ImportOutcome<T>> {
    return this.use(projectId, (session) => session.import(input, onProgress, onItem));
  }

  cancel(projectId: string, what: LongWork): Promise<void> {
    return this.use(projectId, (session) => session.cancel(what));
  }

  /** The project's set, held in memory until `work` is done. With `options` also where its project was not opened yet. */
  protected async use<R>(
    projectId: string,
    work: (session: DatasetSession<T>) => R | Promise<R>,
    options?: T['options'],
  ): Promise<R> {
    if (options !== undefined && !this.#options.has(projectId)) this.#options.set(projectId, options);
    const held = this.#hold(projectId);
    held.calls += 1;
    try {
      return await work(await held.session);
    } finally {
      held.calls -= 1;
      this.#release(projectId);
    }
  }

  #hold(projectId: string): Held<T> {
    const known = this.#held.get(projectId);
    if (known) return known;
    const held: Held<T> = { session: this.#load(projectId), calls: 0 };
    this.#held.set(projectId, held);
    // The next call tries again.
    held.session.catch(() => this.#held.delete(projectId));
    return held;
  }

  async #load(projectId: string): Promise<DatasetSession<T>> {
    const options = this.#options.get(projectId);
    if (options === undefined) throw new UserError('No data set is open. Reload the page.');
    return DatasetSession.load(this.#kind, projectId, options);
  }

  #release(projectId: string): void {
    if (projectId !== this.#last && this.#held.get(projectId)?.calls === 0) this.#held.delete(projectId);
  }
}
