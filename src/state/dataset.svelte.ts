import { untrack } from 'svelte';
import { getProject } from '../storage/projects.ts';
import type { DatasetRecord } from '../storage/records.ts';
import type { DatasetTypes, ImportProgress } from '../worker/dataset-kind.ts';
import type { ImportOutcome, LongWork } from '../worker/dataset-session.ts';
import { SAMPLED_PROMPTS } from '../worker/protocol.ts';
import { announcer } from './announcer.svelte.ts';
import { EMPTY_MAP, withEntries, without } from './collections.ts';
import { plural } from './format.ts';
import { openProject } from './project.svelte.ts';
import { callback, errorMessage, onWorkerChange } from './workers.ts';

type Back<T extends DatasetTypes> = Promise<{ state: T['state']; label: string | null }>;

/** What the worker does for every kind of data set; each call names its project. */
export interface DatasetCalls<T extends DatasetTypes> {
  open(projectId: string, options: T['options']): Promise<T['state']>;
  apply(projectId: string, change: T['change']): Promise<T['state']>;
  undo(projectId: string): Back<T>;
  redo(projectId: string): Back<T>;
  import(
    projectId: string,
    input: T['input'],
    onProgress: (progress: ImportProgress) => void,
    onItem: (item: T['item']) => void,
  ): Promise<ImportOutcome<T>>;
  cancel(projectId: string, what: LongWork): Promise<void>;
}

/** The words for what a kind's data set is made of. */
export interface DatasetWords {
  /** What an import reads whole: what of it is there when it is stopped is kept. */
  read: { one: string; past: string };
  /** What its report counts. */
  kept: string;
}

/** A model is fetched, or goes through what is there. */
export interface ModelProgress {
  what: 'model' | 'items';
  fraction: number;
}

/** What an import that ended after its project was left has to say when it is opened again. */
interface Left<Report> {
  report: Report | null;
  error: string;
}

/** What stays of an import that ended early. */
function readUntilThen({ one, past }: DatasetWords['read'], count: number): string {
  if (count === 0) return `No ${one} was ${past} to its end until then, so nothing was added.`;
  return count === 1
    ? `The one ${one} ${past} until then is kept.`
    : `The ${plural(count, one)} ${past} until then are kept.`;
}

/**
 * The data set of the project that is looked at, and every change of it. Each call names the project it was made in, and an answer
 * is shown only while that project is looked at: what was asked for elsewhere is kept by the worker and shown when one is back.
 */
export abstract class DatasetManager<T extends DatasetTypes> {
  #projectId = $state.raw('');
  #state = $state.raw<T['state'] | null>(null);
  #imports = $state.raw<ReadonlyMap<string, ImportProgress>>(EMPTY_MAP);
  #models = $state.raw<ReadonlyMap<string, ModelProgress>>(EMPTY_MAP);
  #report = $state.raw<T['report'] | null>(null);
  #error = $state.raw('');
  #left: ReadonlyMap<string, Left<T['report']>> = EMPTY_MAP;
  readonly #words: DatasetWords;

  constructor(words: DatasetWords) {
    this.#words = words;
    onWorkerChange(({ worker, type }) => {
      if (worker === 'data' && type === 'restarted') void this.reopen();
    });
  }

  /** The worker's part. */
  protected abstract calls(): DatasetCalls<T>;
  /** How the worker is to open this project. */
  protected abstract options(projectId: string): T['options'];
  /** Prompts that the set itself suggests. */
  protected abstract suggestPrompts(projectId: string, state: T['state']): string[] | Promise<string[]>;
  /** Forgets what is shown of the project that was open before. */
  protected abstract forget(): void;

  /** Loads what is shown beside a new state. */
  protected taken(_state: T['state']): Promise<void> {
    return Promise.resolve();
  }

  /** Shows what an import has just read. */
  protected arrived(_item: T['item']): void {
    // Most kinds show what an import made of it when it has ended.
  }

  get projectId(): string {
    return this.#projectId;
  }

  get state(): T['state'] | null {
    return this.#state;
  }

  get record(): DatasetRecord | null {
    return this.#state?.record ?? null;
  }

  get undoLabel(): string | null {
    return this.#state?.undoLabel ?? null;
  }

  get redoLabel(): string | null {
    return this.#state?.redoLabel ?? null;
  }

  /** Of an import into this project; null where none goes on. */
  get progress(): ImportProgress | null {
    return this.#imports.get(this.#projectId) ?? null;
  }

  /** Of a model's work on this project; null where none goes on. */
  get modelProgress(): ModelProgress | null {
    return this.#models.get(this.#projectId) ?? null;
  }

  /** Of the last import; all imports together stand in the record. */
  get report(): T['report'] | null {
    return this.#report;
  }

  get error(): string {
    return this.#error;
  }

  async open(projectId: string): Promise<void> {
    // Called from effects, which must not run again for what is read here.
    const options = untrack(() => {
      if (this.#projectId !== projectId) {
        this.#projectId = projectId;
        this.#state = null;
        this.forget();
        const { report, error } = this.#left.get(projectId) ?? { report: null, error: '' };
        this.#left = without(this.#left, projectId);
        this.#report = report;
        this.#error = error;
      }
      return this.options(projectId);
    });
    await this.guarded(projectId, async () => this.take(projectId, await this.calls().open(projectId, options)));
  }

  /** Shows what is kept, after the worker that held the set has ended. A project that is not open opens its set when one is back. */
  protected async reopen(): Promise<void> {
    if (this.#projectId !== '' && this.#projectId === openProject.project?.id) await this.open(this.#projectId);
  }

  /** Runs `work` for a project; what goes wrong is shown where that project is. */
  protected async guarded(projectId: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#tell(projectId, null, errorMessage(error));
    }
  }

  #tell(projectId: string, report: T['report'] | null, error: string): void {
    if (projectId !== this.#projectId) {
      this.#left = withEntries(this.#left, [[projectId, { report, error }]]);
      return;
    }
    if (report) this.#report = report;
    this.#error = error;
  }

  /** Shows an answer of the worker, which has kept what it says; one for another project is dropped. */
  protected async take(projectId: string, state: T['state']): Promise<void> {
    if (projectId !== this.#projectId) return;
    if (state.record) openProject.setDataset(state.record);
    this.#state = state;
    await this.taken(state);
  }

  /** Adds what was given to a project, which may have been left since; false where nothing was added, or where it failed. */
  protected async addAll(input: T['input'], projectId = this.#projectId): Promise<boolean> {
    if (this.#imports.has(projectId)) {
      announcer.show('Something is being read. Wait until it is there, or stop it, then add this again.');
      return false;
    }
    if (projectId === this.#projectId) {
      this.#error = '';
      this.#report = null;
    }
    const tell = (progress: ImportProgress): void => {
      this.#imports = withEntries(this.#imports, [[projectId, progress]]);
    };
    tell({ fraction: 0, file: '', count: 0 });
    let added = false;
    await this.guarded(projectId, async () => {
      const outcome = await this.calls().import(
        projectId,
        input,
        // Either may come after the answer of the call.
        callback((progress: ImportProgress) => {
          if (this.#imports.has(projectId)) tell(progress);
        }),
        callback((item: T['item']) => {
          if (this.#imports.has(projectId) && projectId === this.#projectId) this.arrived(item);
        }),
      );
      added = outcome.failure === '' && outcome.added > 0;
      await this.#ended(projectId, outcome);
    });
    this.#imports = without(this.#imports, projectId);
    return added;
  }

  async #ended(projectId: string, { state, report, added, stopped, failure }: ImportOutcome<T>): Promise<void> {
    const until = readUntilThen(this.#words.read, added);
    this.#tell(projectId, report, failure !== '' && added > 0 ? `${failure} ${until}` : failure);
    await this.take(projectId, state);
    if (stopped) announcer.show(`Stopped. ${until}`, added > 0 ? this.undoAction(projectId) : {});
    else if (failure === '' && added > 0 && projectId === this.#projectId) {
      announcer.say(`${plural(report?.kept ?? added, this.#words.kept)} added.`);
    }
    if (added > 0) await this.#suggest(projectId, state);
  }

  /** Prompts to try along the way, from the set itself, where the person has written none. */
  async #suggest(projectId: string, state: T['state']): Promise<void> {
    const { project: open } = openProject;
    const project = open?.id === projectId ? open : await getProject(projectId);
    if (project?.prompts.length !== 0) return;
    const prompts = (await this.suggestPrompts(projectId, state)).slice(0, SAMPLED_PROMPTS);
    await openProject.updateOf(projectId, { prompts });
  }

  /** Stops an import into this project, or a model's work on it. */
  cancel(what: LongWork = 'import'): void {
    const projectId = this.#projectId;
    void this.guarded(projectId, () => this.calls().cancel(projectId, what));
  }

  /** Lets a model go through the set; `say` tells how much of it was done. */
  protected async useModel(
    work: (
      projectId: string,
      onProgress: (what: ModelProgress['what'], fraction: number) => void,
    ) => Promise<{ state: T['state']; done: number }>,
    say: (done: number) => string,
  ): Promise<void> {
    const projectId = this.#projectId;
    if (this.#models.has(projectId)) return;
    this.#error = '';
    const tell = (what: ModelProgress['what'], fraction: number): void => {
      this.#models = withEntries(this.#models, [[projectId, { what, fraction }]]);
    };
    tell('model', 0);
    await this.guarded(projectId, async () => {
      const { state, done } = await work(
        projectId,
        callback((what, fraction) => {
          if (this.#models.has(projectId)) tell(what, fraction);
        }),
      );
      await this.take(projectId, state);
      if (projectId === this.#projectId) announcer.show(say(done));
    });
    this.#models = without(this.#models, projectId);
  }

  /** Changes the set of a project, which may have been left since. */
  protected async apply(change: T['change'], projectId = this.#projectId): Promise<void> {
    if (projectId === this.#projectId) this.#error = '';
    await this.guarded(projectId, async () => this.take(projectId, await this.calls().apply(projectId, change)));
  }

  /** For a message: takes the last step of the project that is open now back, wherever one is by then. */
  protected undoAction(projectId = this.#projectId): { action: { label: string; run: () => void } } {
    return { action: { label: 'Undo', run: () => void this.undo(projectId) } };
  }

  async undo(projectId = this.#projectId): Promise<void> {
    await this.#goBack(projectId, 'Undone', () => this.calls().undo(projectId));
  }

  async redo(projectId = this.#projectId): Promise<void> {
    await this.#goBack(projectId, 'Done again', () => this.calls().redo(projectId));
  }

  async #goBack(projectId: string, said: string, work: () => Back<T>): Promise<void> {
    await this.guarded(projectId, async () => {
      const { state, label } = await work();
      await this.take(projectId, state);
      if (label !== null) announcer.say(`${said}: ${label}.`);
      else if (projectId !== this.#projectId) {
        announcer.show('This can no longer be undone: another project was opened since.');
      }
    });
  }
}
