import type { Device } from '../engine/device.ts';
import { UserError } from '../common/errors.ts';
import { newId } from '../storage/database.ts';
import { listRuns, readCheckpoint, rewindHistory } from '../storage/runs.ts';
import type { JsonObject, ProjectRecord, RunRecord } from '../storage/records.ts';
import { getSetting, setSetting } from '../storage/projects.ts';
import { parseRecipe, recipeToJSON } from '../training/recipe.ts';
import type { PlanReport } from '../training/plan-report.ts';
import type { Recipe } from '../training/recipe.ts';
import type { LoraConfig } from '../adapters/lora-config.ts';
import { PARSE_LORA } from '../tasks/lora-parsers.ts';
import type { TaskEvent } from '../tasks/task-model.ts';
import type { WorkerKind } from './kind.ts';
import { workerKind } from './kinds.ts';
import { errorMessage, isAbort } from './errors.ts';
import { RunRecorder } from './run-recorder.ts';
import { SAMPLED_PROMPTS, type RunPhase, type TrainRequest, type WorkerListener } from './protocol.ts';

/** The device's speed is measured over steps after the first few, which compile and warm up. */
const WARM_STEPS = 3;

export function speedSetting(device: Device): string {
  const { vendor, architecture, description } = device.info;
  return `speed:${vendor}/${architecture}/${description}`;
}

/** The kernel variants that were fastest on this device. */
function kernelSetting(device: Device): string {
  const { vendor, architecture, description } = device.info;
  return `kernels:${vendor}/${architecture}/${description}`;
}

/** What a run is given beside its data. */
export interface RunSettings {
  recipe: Recipe;
  adapter: LoraConfig;
  samplePrompts: string[];
  signal: AbortSignal;
  pause: () => Promise<void> | undefined;
  resume?: Uint8Array<ArrayBuffer>;
}

/** A model with its data, ready to be trained. */
export interface Trainable {
  device: Device;
  train(settings: RunSettings): AsyncGenerator<TaskEvent>;
}

/** The prompts of a project that are answered along the way. */
export function sampledPrompts({ prompts }: Pick<ProjectRecord, 'prompts'>): string[] {
  return prompts.filter((prompt) => prompt.trim() !== '').slice(0, SAMPLED_PROMPTS);
}

/** A project's adapter settings as its task understands them. */
export function projectLora({ task, adapter }: Pick<ProjectRecord, 'task' | 'adapter'>): LoraConfig {
  return PARSE_LORA[task](adapter);
}

/** One run, from the first step or from a checkpoint to its end. */
export class RunSession {
  readonly #recorder: RunRecorder;
  readonly #kind: WorkerKind;
  readonly #stop = new AbortController();
  #gate: { opened: Promise<void>; open: () => void } | null = null;
  #plan: PlanReport | null = null;
  #warmSeconds: number[] = [];
  #lastStep = 0;

  private constructor(recorder: RunRecorder, kind: WorkerKind) {
    this.#recorder = recorder;
    this.#kind = kind;
  }

  get record(): RunRecord {
    return this.#recorder.run;
  }

  get phase(): RunPhase {
    return this.#recorder.phase;
  }

  /** Prepares the record: a new one, or the one that goes on, its history cut back to the checkpoint. */
  static async open(project: ProjectRecord, request: TrainRequest, listener: WorkerListener): Promise<RunSession> {
    if (!project.baseId) throw new UserError('Choose a base first, under Base.');
    const kind = await workerKind(project.task);
    if (request.resume) {
      const { runId, step } = request.resume;
      const known = (await listRuns(project.id)).find((run) => run.id === runId);
      if (!known) throw new UserError('That run is no longer on this machine. Start a new one.');
      const sequence = await rewindHistory(runId, step);
      return new RunSession(
        new RunRecorder({ ...known, status: 'running', step, reason: '' }, sequence, listener),
        kind,
      );
    }
    const now = Date.now();
    const run: RunRecord = {
      id: newId(),
      projectId: project.id,
      baseId: project.baseId,
      startedAt: now,
      changedAt: now,
      status: 'running',
      step: 0,
      totalSteps: 0,
      recipe: recipeToJSON(parseRecipe(project.recipe, project.task)) as JsonObject,
      adapter: { ...projectLora(project) } as unknown as JsonObject,
      plannedBytes: 0,
      measuredBytes: 0,
      loss: null,
      heldOutLoss: null,
      bestStep: null,
      reason: '',
      seconds: 0,
      tokens: 0,
    };
    return new RunSession(new RunRecorder(run, 0, listener), kind);
  }

  announce(): void {
    this.#recorder.setPhase('preparing');
  }

  pause(): void {
    if (this.#gate || this.#recorder.phase === 'ended') return;
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#gate = { opened, open };
    this.#recorder.setPhase('pausing');
  }

  goOn(): void {
    const gate = this.#gate;
    this.#gate = null;
    if (this.#recorder.phase !== 'ended') this.#recorder.setPhase('running');
    gate?.open();
  }

  stop(): void {
    if (this.#recorder.phase === 'ended') return;
    this.#recorder.setPhase('stopping');
    this.#stop.abort();
    this.#gate?.open();
    this.#gate = null;
  }

  async #waitAtGate(): Promise<void> {
    if (!this.#gate) return;
    this.#recorder.setPhase('paused');
    await this.#gate.opened;
  }

  /** Trains to the end; every outcome is written into the record. `prepare` loads what the run needs. */
  async execute(prepare: () => Promise<Trainable>, project: ProjectRecord, request: TrainRequest): Promise<void> {
    const recorder = this.#recorder;
    try {
      const { device, train } = await prepare();
      const resume = request.resume ? await readCheckpoint(request.resume.runId, request.resume.step) : undefined;
      if (request.resume && !resume) {
        throw new UserError(
          `The checkpoint of step ${request.resume.step} is no longer on this machine. Go on from another one.`,
        );
      }
      device.choices.restore(await getSetting(kernelSetting(device)));
      const events = train({
        recipe: parseRecipe(recorder.run.recipe, project.task),
        adapter: PARSE_LORA[project.task](recorder.run.adapter),
        samplePrompts: sampledPrompts(project),
        signal: this.#stop.signal,
        pause: () => (this.#gate ? this.#waitAtGate() : undefined),
        ...(resume ? { resume } : {}),
      });
      const lost = device.lost.then(({ message }) => {
        throw new UserError(
          `The graphics card stopped answering (${message || 'no reason given'}). What was learnt up to the last checkpoint is kept: go on from there.`,
        );
      });
      // Without a listener of its own the rejection after the run's end would count as unhandled.
      lost.catch(() => undefined);
      for (;;) {
        const next = await Promise.race([events.next(), lost]);
        if (next.done) break;
        await this.#take(next.value, device);
      }
      if (recorder.run.status === 'running') await recorder.end({ status: 'stopped', reason: '' });
    } catch (error) {
      if (isAbort(error) || this.#stop.signal.aborted) await recorder.end({ status: 'stopped', reason: '' });
      else await recorder.end({ status: 'failed', reason: errorMessage(error) });
    }
  }

  async #take(event: TaskEvent, device: Device): Promise<void> {
    const recorder = this.#recorder;
    switch (event.type) {
      case 'ready':
        this.#plan = event.plan;
        recorder.change({
          totalSteps: event.totalSteps,
          plannedBytes: event.plan.totalBytes,
          measuredBytes: event.measuredBytes,
        });
        recorder.setPhase(this.#stop.signal.aborted ? 'stopping' : this.#gate ? 'pausing' : 'running');
        await recorder.write();
        if (device.choices.chosen.size > 0) await setSetting(kernelSetting(device), device.choices.toJSON());
        break;
      case 'step': {
        const tokens = this.#plan?.tokensPerStep ?? event.labelTokens;
        this.#lastStep += 1;
        if (this.#lastStep > WARM_STEPS) this.#warmSeconds.push(event.seconds);
        recorder.change({ measuredBytes: Math.max(recorder.run.measuredBytes, device.allocatedBytes) });
        await recorder.step({
          step: event.step,
          loss: event.loss,
          learningRate: event.learningRate,
          gradNorm: event.gradNorm,
          tokens,
          seconds: event.seconds,
        });
        break;
      }
      case 'evaluation':
        await recorder.evaluation({ step: event.step, loss: event.loss }, event.best);
        break;
      case 'checkpoint':
        await recorder.checkpoint(event.step, event.bytes);
        break;
      case 'sample':
        await this.#keepSample(event);
        break;
      case 'prepare':
        recorder.prepare({ what: event.what, done: event.done, total: event.total });
        break;
      case 'done':
        await this.#keepSpeed(device);
        await recorder.end({
          status: event.reason === 'stopped' ? 'stopped' : 'finished',
          step: event.step,
          bestStep: event.bestStep,
          reason: event.reason === 'early-stop' ? 'early-stop' : '',
        });
        break;
    }
  }

  async #keepSample({ step, prompt, seed, base, tuned }: Extract<TaskEvent, { type: 'sample' }>): Promise<void> {
    await this.#recorder.sample({
      step,
      prompt,
      ...(seed !== undefined && { seed }),
      base: this.#kind.encodeSample(base),
      tuned: this.#kind.encodeSample(tuned),
    });
  }

  /** Remembers how fast this device really is, for the estimates of later runs. */
  async #keepSpeed(device: Device): Promise<void> {
    const seconds = this.#warmSeconds.sort((a, b) => a - b);
    const median = seconds[Math.floor(seconds.length / 2)];
    if (median === undefined || median <= 0 || !this.#plan) return;
    await setSetting(speedSetting(device), this.#plan.flopsPerStep / median).catch(() => undefined);
  }
}
