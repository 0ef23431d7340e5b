import { deleteBase, listBases } from '../storage/bases.ts';
import type { BaseRecord } from '../storage/records.ts';
import type { Task } from '../common/task.ts';
import type { TaskInfo } from '../tasks/task-model.ts';
import { embeddedBase } from '../worker/embedded-bases.ts';
import type { LoadedBase, PlanAnswer } from '../worker/protocol.ts';
import { announcer } from './announcer.svelte.ts';
import { openProject } from './project.svelte.ts';
import { callback, dataWorker, errorMessage, modelWorker, onWorkerEvent } from './workers.ts';

export interface Arrival {
  name: string;
  doneBytes: number;
  totalBytes: number;
  /** Seconds left; NaN until it can be told. */
  secondsLeft: number;
}

/** Why a folder is called otherwise here than on disk. */
function arrivalUnderName(name: string, base: BaseRecord, wasHere: boolean): string {
  return wasHere
    ? `What is in “${name}” is here already, as “${base.name}”.`
    : `“${name}” holds something else than the base of that name that is here, so it was added as “${base.name}”.`;
}

/** Bases on this machine, the one that is loaded, and what the open project's run would take. */
class Bases {
  #list = $state.raw<readonly BaseRecord[]>([]);
  #loaded = $state.raw<LoadedBase | null>(null);
  #loading = $state.raw<{ baseId: string; fraction: number } | null>(null);
  #arrival = $state.raw<Arrival | null>(null);
  #error = $state.raw('');
  #plan = $state.raw<PlanAnswer | null>(null);
  #planError = $state.raw('');
  #planning = $state.raw(false);
  #planTurn = 0;

  constructor() {
    onWorkerEvent((event) => {
      // Events come in order among themselves, but not with the answers of calls: only they say that loading is over.
      if (event.type === 'loaded') {
        this.#loaded = event.base;
        this.#loading = null;
      }
      if (event.type === 'load') this.#loading = { baseId: event.baseId, fraction: event.fraction };
      if (event.type === 'unloaded') {
        this.#loaded = null;
        this.#loading = null;
      }
    });
  }

  get list(): readonly BaseRecord[] {
    return this.#list;
  }

  get loaded(): LoadedBase | null {
    return this.#loaded;
  }

  /** What the loaded base says of itself where it is this one and of this kind; else undefined. */
  info(baseId: string | null, task: Task): TaskInfo | undefined {
    const loaded = this.#loaded;
    return loaded && loaded.baseId === baseId && loaded.info.task === task ? loaded.info : undefined;
  }

  get loading(): { baseId: string; fraction: number } | null {
    return this.#loading;
  }

  get arrival(): Arrival | null {
    return this.#arrival;
  }

  get error(): string {
    return this.#error;
  }

  get plan(): PlanAnswer | null {
    return this.#plan;
  }

  get planError(): string {
    return this.#planError;
  }

  get planning(): boolean {
    return this.#planning;
  }

  name(baseId: string | null): string {
    if (baseId === null) return '';
    return (
      embeddedBase(baseId)?.name ??
      this.#list.find((base) => base.id === baseId)?.name ??
      'a base that is no longer here'
    );
  }

  async refresh(): Promise<void> {
    try {
      this.#list = await listBases();
    } catch (error) {
      this.#error = errorMessage(error);
    }
  }

  /** Loads a base into the graphics card; false, and `error` says why, where that fails. */
  async load(baseId: string): Promise<boolean> {
    if (this.#loaded?.baseId === baseId) return true;
    this.#error = '';
    this.#loading = { baseId, fraction: 0 };
    try {
      this.#loaded = await modelWorker().load(baseId);
      announcer.say(`${this.name(baseId)} is loaded.`);
      return true;
    } catch (error) {
      this.#error = errorMessage(error);
      return false;
    } finally {
      this.#loading = null;
    }
  }

  async choose(baseId: string): Promise<void> {
    openProject.update({ baseId });
    await openProject.flush();
    if (await this.load(baseId)) await this.makePlan();
  }

  /** What the run would take, for the form and the fit line; the last call wins. */
  async makePlan(): Promise<void> {
    const { project, dataset } = openProject;
    this.#planError = '';
    if (!project?.baseId || !dataset?.rowCount) {
      this.#plan = null;
      return;
    }
    const turn = ++this.#planTurn;
    this.#planning = true;
    try {
      await openProject.flush();
      const plan = await modelWorker().plan(project.id);
      if (turn !== this.#planTurn) return;
      this.#plan = plan;
      // Planning loads the base where it was not.
      this.#loaded = await modelWorker().load(project.baseId);
    } catch (error) {
      if (turn !== this.#planTurn) return;
      this.#plan = null;
      this.#planError = errorMessage(error);
    } finally {
      if (turn === this.#planTurn) {
        this.#planning = false;
        this.#loading = null;
      }
    }
  }

  /** Streams a picked or dropped folder into the browser's storage. Returns the base's id, or null. */
  async add(task: Task, name: string, files: { path: string; file: File }[]): Promise<string | null> {
    this.#error = '';
    const totalBytes = files.reduce((sum, { file }) => sum + file.size, 0);
    const began = performance.now();
    let first = -1;
    this.#arrival = { name, doneBytes: 0, totalBytes, secondsLeft: NaN };
    try {
      const base = await dataWorker().importBase(
        task,
        name,
        files,
        callback((doneBytes: number) => {
          // Progress may come after the answer of the call.
          if (!this.#arrival) return;
          // What was here already came at once; it says nothing of the speed.
          if (first < 0) first = doneBytes;
          const seconds = (performance.now() - began) / 1000;
          const speed = (doneBytes - first) / seconds;
          this.#arrival = {
            name,
            doneBytes,
            totalBytes,
            secondsLeft: seconds > 0.5 ? (totalBytes - doneBytes) / speed : NaN,
          };
        }),
      );
      if (base.name === name) announcer.say(`${name} has arrived.`);
      else
        announcer.show(
          arrivalUnderName(
            name,
            base,
            this.#list.some(({ id, complete }) => complete && id === base.id),
          ),
        );
      return base.id;
    } catch (error) {
      this.#error = errorMessage(error);
      return null;
    } finally {
      this.#arrival = null;
      await this.refresh();
    }
  }

  cancelAdd(): void {
    void dataWorker().cancelImportBase();
  }

  async remove(base: BaseRecord): Promise<void> {
    try {
      if (this.#loaded?.baseId === base.id) await modelWorker().unload();
      await deleteBase(base.id);
    } catch (error) {
      this.#error = errorMessage(error);
    }
    await this.refresh();
  }
}

export const bases = new Bases();
