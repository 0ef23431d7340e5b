import { UserError } from '../common/errors.ts';
import type { Task } from '../common/task.ts';
import type { Device } from '../engine/device.ts';
import { PickedFolder } from '../storage/folders.ts';
import { getProject, getSetting } from '../storage/projects.ts';
import { getRun, readCheckpoint } from '../storage/runs.ts';
import type { ProjectRecord } from '../storage/records.ts';
import { kindOf } from '../tasks/kinds.ts';
import type { TaskModel } from '../tasks/task-model.ts';
import { adapterOfState, decodeRunState } from '../training/checkpoint.ts';
import { parseRecipe } from '../training/recipe.ts';
import { baseName, loadModel, openBaseFolder, requireTask } from './base-models.ts';
import { isAbort } from './errors.ts';
import { openDevice } from './gpu.ts';
import { workerKind } from './kinds.ts';
import {
  runLock,
  type AppliedAdapter,
  type ExportRequest,
  type GenerationRequest,
  type GpuReport,
  type LoadedBase,
  type PlanAnswer,
  type TrainRequest,
  type WorkerEvent,
  type WorkerListener,
} from './protocol.ts';
import { projectLora, RunSession, sampledPrompts, speedSetting, type Trainable } from './run-session.ts';

type Loaded = { baseId: string; model: TaskModel; adapter: string };

/** Tells adapters apart; '' is none. */
function adapterKey(choice: AppliedAdapter): string {
  if (!choice) return '';
  if ('given' in choice) return `given ${choice.given.name} ${choice.given.size} ${choice.given.lastModified}`;
  return `${choice.runId}/${choice.step}`;
}

/**
 * The worker's side of the page: holds the device, one loaded base, and at most one run. Calls that need the graphics
 * card wait for each other; during a run they are refused with a sentence, for a run may take hours.
 */
export class ModelHost {
  #pageUrl = '';
  #listener: WorkerListener = () => undefined;
  #device: Device | null = null;
  #report: GpuReport | null = null;
  #loaded: Loaded | null = null;
  #run: RunSession | null = null;
  #queue: Promise<unknown> = Promise.resolve();
  readonly #generations = new Map<number, AbortController>();

  setup(pageUrl: string, listener: WorkerListener): void {
    this.#pageUrl = pageUrl;
    this.#listener = listener;
  }

  #tell(event: WorkerEvent): void {
    this.#listener(event);
  }

  #exclusive<R>(work: () => Promise<R>): Promise<R> {
    if (this.#run) {
      return Promise.reject(
        new UserError('The graphics card is busy training. Pause does not free it: stop and keep, and go on later.'),
      );
    }
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  /** What the graphics card is; asked again after a failure. */
  async gpu(): Promise<GpuReport> {
    if (!this.#device) await this.#open();
    return this.#report!;
  }

  async #open(): Promise<Device | null> {
    const { device, report } = await openDevice();
    this.#report = report;
    this.#device = device;
    if (device) {
      void device.lost.then(({ reason, message }) => {
        if (this.#device !== device) return;
        this.#device = null;
        this.#loaded = null;
        if (reason !== 'destroyed') this.#tell({ type: 'device-lost', message });
        this.#tell({ type: 'unloaded' });
      });
    }
    return device;
  }

  async #needDevice(): Promise<Device> {
    const device = this.#device ?? (await this.#open());
    if (device) return device;
    throw new UserError(
      this.#report?.message ||
        'The graphics card cannot be used by this page. The start page says why, and what to do.',
    );
  }

  async #need(baseId: string): Promise<{ device: Device; loaded: Loaded }> {
    const device = await this.#needDevice();
    if (this.#loaded?.baseId === baseId) return { device, loaded: this.#loaded };
    this.#loaded?.model.destroy();
    this.#loaded = null;
    this.#tell({ type: 'load', baseId, fraction: 0 });
    try {
      const onProgress = (fraction: number): void => this.#tell({ type: 'load', baseId, fraction });
      const model = await loadModel(device, baseId, this.#pageUrl, onProgress);
      this.#loaded = { baseId, model, adapter: '' };
      this.#tell({ type: 'loaded', base: { baseId, info: model.info } });
    } catch (error) {
      this.#tell({ type: 'unloaded' });
      throw error;
    }
    return { device, loaded: this.#loaded };
  }

  /** Loads a base unless it is loaded already. */
  async load(baseId: string): Promise<LoadedBase> {
    if (this.#loaded?.baseId === baseId) return { baseId, info: this.#loaded.model.info };
    return this.#exclusive(async () => {
      const { loaded } = await this.#need(baseId);
      return { baseId, info: loaded.model.info };
    });
  }

  async unload(): Promise<void> {
    await this.#exclusive(async () => {
      this.#loaded?.model.destroy();
      this.#loaded = null;
      this.#tell({ type: 'unloaded' });
    });
  }

  /** Tokens of a text under the loaded base's tokenizer; null where another base, or none, is loaded. */
  countTokens(baseId: string, text: string): number | null | Promise<number> {
    return this.#loaded?.baseId === baseId ? this.#loaded.model.countTokens(text) : null;
  }

  async #project(projectId: string): Promise<ProjectRecord> {
    const project = await getProject(projectId);
    if (!project) throw new UserError('This project is no longer on this machine.');
    return project;
  }

  /** Exactly what some of a project's data would be learnt as; of rows, which tokens carry loss. */
  async preview(projectId: string, items: readonly unknown[]): Promise<readonly unknown[]> {
    const { baseId, task } = await this.#project(projectId);
    if (this.#loaded?.baseId !== baseId || !this.#loaded) throw new UserError('Load the base first.');
    const { model } = this.#loaded;
    await requireTask(model, task);
    return (await workerKind(task)).preview?.(model, items) ?? [];
  }

  /** What the project's run would take, before anything is allocated. */
  async plan(projectId: string): Promise<PlanAnswer> {
    return this.#exclusive(async () => {
      const project = await this.#project(projectId);
      if (!project.baseId) throw new UserError('Choose a base first.');
      const { task } = project;
      const data = await (await workerKind(task)).learningData(project);
      const { device, loaded } = await this.#need(project.baseId);
      await requireTask(loaded.model, task);
      const plan = await loaded.model.plan({
        ...data,
        recipe: parseRecipe(project.recipe, task),
        adapter: projectLora(project),
        samplePrompts: sampledPrompts(project),
      });
      const speed = await getSetting(speedSetting(device));
      return { plan, measuredFlops: typeof speed === 'number' ? speed : null, isSoftware: device.info.isSoftware };
    });
  }

  /** Trains until the end, a stop or a failure; what happens on the way comes as events. */
  async train(request: TrainRequest): Promise<void> {
    const project = await this.#project(request.projectId);
    await this.#exclusive(() =>
      navigator.locks.request(runLock(project.id), { ifAvailable: true }, async (lock) => {
        if (!lock)
          throw new UserError('This project is training in another tab. Watch it there, or stop it there first.');
        const run = await RunSession.open(project, request, (event) => this.#tell(event));
        this.#run = run;
        run.announce();
        try {
          await run.execute(() => this.#prepare(run.record.baseId, project), project, request);
        } finally {
          this.#run = null;
        }
      }),
    );
  }

  async #prepare(baseId: string, project: ProjectRecord): Promise<Trainable> {
    // What is learnt from is read first: it may be gone, and loading a base takes long.
    const data = await (await workerKind(project.task)).learningData(project);
    const { device, loaded } = await this.#need(baseId);
    const { model } = loaded;
    await requireTask(model, project.task);
    await model.useAdapter(null);
    // After the run the model holds what it learnt, which no choice names.
    loaded.adapter = 'trained';
    return { device, train: (settings) => model.train({ ...data, ...settings }) };
  }

  pause(): void {
    this.#run?.pause();
  }

  goOn(): void {
    this.#run?.goOn();
  }

  stop(): void {
    this.#run?.stop();
  }

  /** The run that lives now, for a page that has just opened. */
  current(): WorkerEvent | null {
    return this.#run ? { type: 'run', run: this.#run.record, phase: this.#run.phase } : null;
  }

  async #useAdapter({ model, ...loaded }: Loaded, task: Task, applied: AppliedAdapter): Promise<string> {
    const key = adapterKey(applied);
    if (loaded.adapter === key) return key;
    if (applied && 'given' in applied) {
      const { given } = applied;
      const folder = new PickedFolder(given.name, new Map([[given.name, given]]));
      await model.useAdapter(await (await kindOf(task)).readAdapter(folder, given.name, model));
    } else if (applied) {
      const { checkpoint } = await checkpointOn(loaded.baseId, applied);
      await model.useAdapter(adapterOfState(await decodeRunState(checkpoint)));
    } else {
      await model.useAdapter(null);
    }
    return key;
  }

  /** Makes what is asked for, told piece by piece; `whole` where it ended by itself and was not cancelled. */
  async generate(
    { id, task, baseId, adapter, request }: GenerationRequest,
    onEvent: (event: never) => void,
  ): Promise<{ whole: boolean }> {
    const abort = new AbortController();
    const { signal } = abort;
    this.#generations.set(id, abort);
    try {
      await this.#exclusive(async () => {
        signal.throwIfAborted();
        const { loaded } = await this.#need(baseId);
        const { model } = loaded;
        await requireTask(model, task);
        loaded.adapter = await this.#useAdapter(loaded, task, adapter);
        const { encodeEvent } = await workerKind(task);
        const tell = onEvent as (event: unknown) => unknown;
        let told: unknown;
        for await (const event of model.generate({ ...request, signal })) {
          signal.throwIfAborted();
          told = tell(encodeEvent(event));
        }
        // Who hears the answer of the call has heard every event before.
        await told;
      });
      return { whole: true };
    } catch (error) {
      if (isAbort(error)) return { whole: false };
      throw error;
    } finally {
      this.#generations.delete(id);
    }
  }

  cancel(id: number): void {
    this.#generations.get(id)?.abort();
  }

  /** What can be told of a base from its descriptions alone; each kind says what. Goes on beside a run. */
  async describeBase(baseId: string): Promise<object> {
    const { folder, task } = await openBaseFolder(baseId, this.#pageUrl);
    return (await (await kindOf(task)).describe?.(folder)) ?? {};
  }

  /** The files of a checkpoint's adapter that other tools load, by name; needs no graphics card, and goes on beside a run. */
  async exportFiles(
    choice: { runId: string; step: number },
    request: ExportRequest,
  ): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
    const { run, checkpoint } = await readCheckpointOf(choice);
    const { task } = await this.#project(run.projectId);
    const facts = { ...request, baseName: await baseName(run.baseId) };
    return (await kindOf(task)).exportFiles(checkpoint, facts, async () => {
      return (await openBaseFolder(run.baseId, this.#pageUrl)).folder;
    });
  }
}

async function readCheckpointOf(choice: { runId: string; step: number }) {
  const run = await getRun(choice.runId);
  const checkpoint = await readCheckpoint(choice.runId, choice.step);
  if (!run || !checkpoint)
    throw new UserError(`The checkpoint of step ${choice.step} is no longer on this machine. Choose another one.`);
  return { run, checkpoint };
}

/** The same, of a run on this base. */
async function checkpointOn(baseId: string, choice: { runId: string; step: number }) {
  const found = await readCheckpointOf(choice);
  if (found.run.baseId !== baseId)
    throw new UserError('This checkpoint was trained on another base. Choose that base first.');
  return found;
}
