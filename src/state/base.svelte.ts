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

const openProjectId = (): string => openProject.project?.id ?? '';

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
  /** Of the project in which it was asked for. */
  #error = $state.raw({ projectId: '', text: '' });
  /** Of the project that it was made for. */
  #plan = $state.raw<{ projectId: string; answer: PlanAnswer | null; error: string } | null>(null);
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
    return this.#error.projectId === openProjectId() ? this.#error.text : '';
  }

  #fail(projectId: string, error: unknown): void {
    const text = errorMessage(error);
    if (projectId === openProjectId()) this.#error = { projectId, text };
    else announcer.show(text, { kind: 'error' });
  }

  /** Of the open project; null before it is made. */
  get plan(): PlanAnswer | null {
    return this.#planOfOpen?.answer ?? null;
  }

  get planError(): string {
    return this.#planOfOpen?.error ?? '';
  }

  get #planOfOpen() {
    return this.#plan?.projectId === openProject.project?.id ? this.#plan : null;
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
      this.#fail(openProjectId(), error);
    }
  }

  /** Loads a base into the graphics card; false, and `error` says why, where that fails. */
  async load(baseId: string): Promise<boolean> {
    if (this.#loaded?.baseId === baseId) return true;
    const projectId = openProjectId();
    this.#error = { projectId, text: '' };
    this.#loading = { baseId, fraction: 0 };
    try {
      this.#loaded = await modelWorker().load(baseId);
      announcer.say(`${this.name(baseId)} is loaded.`);
      return true;
    } catch (error) {
      this.#fail(projectId, error);
      return false;
    } finally {
      this.#loading = null;
    }
  }

  /** Makes it the base of a project; where that is no longer open, on disk alone. */
  async choose(baseId: string, projectId = openProjectId()): Promise<void> {
    await openProject.updateOf(projectId, { baseId });
    if (projectId !== openProjectId()) return;
    await openProject.flush();
    if (await this.load(baseId)) await this.makePlan();
  }

  /** What the run would take, for the form and the fit line; the last call wins. */
  async makePlan(): Promise<void> {
    const { project, dataset } = openProject;
    const turn = ++this.#planTurn;
    if (!project?.baseId || !dataset?.rowCount) {
      this.#plan = null;
      this.#planning = false;
      return;
    }
    const { id: projectId } = project;
    this.#plan = { projectId, answer: this.plan, error: '' };
    this.#planning = true;
    try {
      await openProject.flush();
      const answer = await modelWorker().plan(projectId);
      if (turn !== this.#planTurn) return;
      this.#plan = { projectId, answer, error: '' };
      // Planning loads the base where it was not.
      this.#loaded = await modelWorker().load(project.baseId);
    } catch (error) {
      if (turn !== this.#planTurn) return;
      this.#plan = { projectId, answer: null, error: errorMessage(error) };
    } finally {
      if (turn === this.#planTurn) {
        this.#planning = false;
        this.#loading = null;
      }
    }
  }

  /** Streams a picked or dropped folder into the browser's storage. Returns the base's id, or null. */
  async add(task: Task, name: string, files: { path: string; file: File }[]): Promise<string | null> {
    const projectId = openProjectId();
    this.#error = { projectId, text: '' };
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
      this.#fail(projectId, error);
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
    const projectId = openProjectId();
    try {
      if (this.#loaded?.baseId === base.id) await modelWorker().unload();
      await deleteBase(base.id);
    } catch (error) {
      this.#fail(projectId, error);
    }
    await this.refresh();
  }
}

export const bases = new Bases();
