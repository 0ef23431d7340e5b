import type { Device } from '../engine/device.ts';
import { UserError } from '../common/errors.ts';
import { getDataset, readRows } from '../storage/datasets.ts';
import { PickedFolder } from '../storage/folders.ts';
import { getProject, getSetting } from '../storage/projects.ts';
import { getRun, readCheckpoint } from '../storage/runs.ts';
import type { ProjectRecord } from '../storage/records.ts';
import type { TrainingRow } from '../datasets/voice/rows.ts';
import { readLookAdapter } from '../adapters/look-files.ts';
import { encodePng } from '../datasets/look/png.ts';
import type { LoraConfig } from '../adapters/lora-config.ts';
import type { PlanReport } from '../training/plan-report.ts';
import { parseRecipe } from '../training/recipe.ts';
import type { Recipe } from '../training/recipe.ts';
import type { DrawRequest } from '../tasks/look/types.ts';
import type { ComposeProgress, ComposeRequest } from '../tasks/sound/types.ts';
import type { GenerateRequest, TokenPreview } from '../tasks/voice/types.ts';
import { SoundModel } from '../tasks/sound/model.ts';
import { VoiceModel } from '../tasks/voice/model.ts';
import { isAbort } from './errors.ts';
import { openDevice } from './gpu.ts';
import {
  runLock,
  type AdapterChoice,
  type DrawProgress,
  type GpuReport,
  type LoadedBase,
  type LookCalls,
  type LookChoice,
  type PlanAnswer,
  type SoundCalls,
  type TrainRequest,
  type WorkerEvent,
  type WorkerListener,
} from './protocol.ts';
import { asLook, asSound, asVoice, baseName, loadModel, type Model } from './base-models.ts';
import { pictureSources } from './look/sources.ts';
import { soundSources } from './sound/sources.ts';
import { projectLora, sampledPrompts, speedSetting, RunSession } from './run-session.ts';
import type { RunSettings, Trainable } from './run-session.ts';

type Loaded = { baseId: string; model: Model; adapter: string };

/** Tells adapters apart; '' is none. */
function adapterKey(choice: LookChoice): string {
  if (!choice) return '';
  if ('given' in choice) return `given ${choice.given.name} ${choice.given.size} ${choice.given.lastModified}`;
  return `${choice.runId}/${choice.step}`;
}

/**
 * The worker's side of the page: holds the device, one loaded base, and at most one run. Calls that need the graphics
 * card wait for each other; during a run they are refused with a sentence, for a run may take hours.
 */
export class ModelHost implements LookCalls, SoundCalls {
  #pageUrl = '';
  #listener: WorkerListener = () => undefined;
  #device: Device | null = null;
  #report: GpuReport | null = null;
  #loaded: Loaded | null = null;
  #run: RunSession | null = null;
  #queue: Promise<unknown> = Promise.resolve();
  readonly #generations = new Map<number, AbortController>();
  #rows: { key: string; rows: TrainingRow[] } | null = null;

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
    if (this.#loaded?.baseId !== baseId) return null;
    const { model } = this.#loaded;
    if (!(model instanceof VoiceModel)) return model.countTokens(text);
    return text === '' ? 0 : model.tokenizer.encode(text, { addSpecialTokens: false }).length;
  }

  async #project(projectId: string): Promise<ProjectRecord> {
    const project = await getProject(projectId);
    if (!project) throw new UserError('This project is no longer on this machine.');
    return project;
  }

  async #dataset(project: ProjectRecord): Promise<TrainingRow[]> {
    const record = project.datasetId ? await getDataset(project.datasetId) : undefined;
    if (!record || record.rowCount === 0)
      throw new UserError('There is nothing to learn from yet. Add texts or conversations under Data.');
    const key = `${record.id}/${record.changedAt}`;
    if (this.#rows?.key !== key) this.#rows = { key, rows: await readRows(record.id) };
    return this.#rows.rows;
  }

  /** Exactly which tokens of these rows carry loss. */
  async preview(projectId: string, rows: TrainingRow[]): Promise<TokenPreview[]> {
    const project = await this.#project(projectId);
    if (this.#loaded?.baseId !== project.baseId || !this.#loaded) throw new UserError('Load the base first.');
    return asVoice(this.#loaded.model).preview(rows);
  }

  /** What the project's run would take, before anything is allocated. */
  async plan(projectId: string): Promise<PlanAnswer> {
    return this.#exclusive(async () => {
      const project = await this.#project(projectId);
      if (!project.baseId) throw new UserError('Choose a base first.');
      const { device, loaded } = await this.#need(project.baseId);
      const settings = { recipe: parseRecipe(project.recipe, project.task), adapter: projectLora(project) };
      const samplePrompts = sampledPrompts(project);
      const plan = await this.#planOf(loaded.model, project, { samplePrompts, ...settings });
      const speed = await getSetting(speedSetting(device));
      return { plan, measuredFlops: typeof speed === 'number' ? speed : null, isSoftware: device.info.isSoftware };
    });
  }

  async #planOf(
    model: Model,
    project: ProjectRecord,
    settings: { recipe: Recipe; adapter: LoraConfig; samplePrompts: string[] },
  ): Promise<PlanReport> {
    switch (project.task) {
      case 'voice': {
        const { samplePrompts: _, ...voice } = settings;
        return asVoice(model).plan({ rows: await this.#dataset(project), ...voice });
      }
      case 'look':
        return asLook(model).plan({ pictures: await pictureSources(project), ...settings });
      case 'sound':
        return asSound(model).plan({ clips: await soundSources(project), ...settings });
    }
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
    const train = await this.#learning(project);
    const { device, loaded } = await this.#need(baseId);
    await loaded.model.useAdapter(null);
    // After the run the model holds what it learnt, which no choice names.
    loaded.adapter = 'trained';
    return { device, train: (settings) => train(loaded.model, settings) };
  }

  /** A project's data, as what trains a model on it. */
  async #learning(
    project: ProjectRecord,
  ): Promise<(model: Model, settings: RunSettings) => ReturnType<Trainable['train']>> {
    switch (project.task) {
      case 'voice': {
        const rows = await this.#dataset(project);
        return (model, settings) => asVoice(model).train({ rows, ...settings });
      }
      case 'look': {
        const pictures = await pictureSources(project);
        const { sampleSeed } = project.look;
        return (model, settings) => asLook(model).train({ pictures, sampleSeed, ...settings });
      }
      case 'sound': {
        const clips = await soundSources(project);
        const { sampleSeed } = project.sound;
        return (model, settings) => asSound(model).train({ clips, sampleSeed, ...settings });
      }
    }
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

  /** The model of a checkpoint's base, and the checkpoint. */
  async #checkpoint(baseId: string, choice: { runId: string; step: number }) {
    const run = await getRun(choice.runId);
    const checkpoint = await readCheckpoint(choice.runId, choice.step);
    if (!run || !checkpoint)
      throw new UserError(`The checkpoint of step ${choice.step} is no longer on this machine. Choose another one.`);
    if (run.baseId !== baseId)
      throw new UserError('This checkpoint was trained on another base. Choose that base first.');
    const { loaded } = await this.#need(baseId);
    return { model: loaded.model, checkpoint };
  }

  async #useAdapter(baseId: string, choice: LookChoice): Promise<void> {
    const { loaded } = await this.#need(baseId);
    const key = adapterKey(choice);
    if (loaded.adapter === key) return;
    if (choice && 'given' in choice) {
      const { given } = choice;
      const model = asLook(loaded.model);
      const folder = new PickedFolder(given.name, new Map([[given.name, given]]));
      await model.useAdapter(await readLookAdapter(folder, given.name, model.kohyaOptions));
    } else if (choice) {
      const { model, checkpoint } = await this.#checkpoint(baseId, choice);
      await model.useAdapter(await model.adapterOfCheckpoint(checkpoint));
    } else {
      await loaded.model.useAdapter(null);
    }
    loaded.adapter = key;
  }

  /** Makes something that `cancel` can stop. */
  async #generation(id: number, work: (signal: AbortSignal) => Promise<void>): Promise<{ whole: boolean }> {
    const abort = new AbortController();
    const { signal } = abort;
    this.#generations.set(id, abort);
    try {
      await this.#exclusive(async () => {
        signal.throwIfAborted();
        await work(signal);
      });
      return { whole: true };
    } catch (error) {
      if (isAbort(error)) return { whole: false };
      throw error;
    } finally {
      this.#generations.delete(id);
    }
  }

  /** Speaks, piece by piece. `id` names the generation for `cancel`; `whole` where it ended by itself. */
  async generate(
    id: number,
    baseId: string,
    choice: AdapterChoice,
    request: Omit<GenerateRequest, 'signal'>,
    onText: (text: string) => void,
  ): Promise<{ text: string; whole: boolean }> {
    let text = '';
    const { whole } = await this.#generation(id, async (signal) => {
      await this.#useAdapter(baseId, choice);
      const { loaded } = await this.#need(baseId);
      for await (const chunk of asVoice(loaded.model).generate({ ...request, signal })) {
        signal.throwIfAborted();
        text += chunk.text;
        if (chunk.text !== '') onText(chunk.text);
      }
    });
    return { text, whole };
  }

  cancel(id: number): void {
    this.#generations.get(id)?.abort();
  }

  /** The PEFT folder of a voice's or sound's checkpoint. */
  async exportAdapter(baseId: string, choice: { runId: string; step: number }): Promise<Map<string, Uint8Array>> {
    return this.#exclusive(async () => {
      const { model, checkpoint } = await this.#checkpoint(baseId, choice);
      const speaker = model instanceof SoundModel ? model : asVoice(model);
      return speaker.peftFolder(await speaker.adapterOfCheckpoint(checkpoint), await baseName(baseId));
    });
  }

  async compose(
    id: number,
    baseId: string,
    choice: AdapterChoice,
    request: Omit<ComposeRequest, 'signal'>,
    onEvent: (event: ComposeProgress) => void,
  ): Promise<{ whole: boolean }> {
    return this.#generation(id, async (signal) => {
      await this.#useAdapter(baseId, choice);
      const { loaded } = await this.#need(baseId);
      for await (const event of asSound(loaded.model).compose({ ...request, signal })) {
        signal.throwIfAborted();
        onEvent(event);
      }
    });
  }

  async draw(
    id: number,
    baseId: string,
    choice: LookChoice,
    request: Omit<DrawRequest, 'signal'>,
    onEvent: (event: DrawProgress) => void,
  ): Promise<{ whole: boolean }> {
    return this.#generation(id, async (signal) => {
      await this.#useAdapter(baseId, choice);
      const { loaded } = await this.#need(baseId);
      for await (const event of asLook(loaded.model).draw({ ...request, signal })) {
        signal.throwIfAborted();
        if (event.type === 'progress') onEvent(event);
        else {
          const { image, seed, pixels } = event;
          onEvent({ type: 'image', image, seed, width: pixels.width, height: pixels.height, png: encodePng(pixels) });
        }
      }
    });
  }

  async exportLook(
    baseId: string,
    choice: { runId: string; step: number },
    options: { name: string; triggerWord: string; preview?: Uint8Array<ArrayBuffer> },
  ): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
    return this.#exclusive(async () => {
      const { model, checkpoint } = await this.#checkpoint(baseId, choice);
      return asLook(model).exportFiles(checkpoint, { ...options, baseName: await baseName(baseId) });
    });
  }
}
