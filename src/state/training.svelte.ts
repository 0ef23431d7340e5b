import { deleteRun, listCheckpoints, listRuns, readHistory } from '../storage/runs.ts';
import type { CheckpointInfo, EvaluationPoint, RunRecord, SamplePoint, StepPoint } from '../storage/records.ts';
import type { RunPhase, WorkerEvent } from '../worker/protocol.ts';
import { announcer } from './announcer.svelte.ts';
import { formatLoss } from './format.ts';
import { lockedRuns } from './locks.ts';
import { openProject } from './project.svelte.ts';
import { settings } from './settings.svelte.ts';
import { errorMessage, modelWorker, onWorkerEvent } from './workers.ts';

/** Speed and time left are those of the last steps. */
const RECENT_STEPS = 20;
/** A screen reader hears of the progress this often. */
const SAY_MS = 30_000;

/** What is made ready before the first step. */
export type Preparation = Pick<Extract<WorkerEvent, { type: 'prepare' }>, 'what' | 'done' | 'total'>;

/** The newest run of the open project: live, or as it was kept. */
class Training {
  #projectId = '';
  #run = $state.raw<RunRecord | null>(null);
  #phase = $state.raw<RunPhase>('ended');
  #steps = $state.raw<readonly StepPoint[]>([]);
  #evaluations = $state.raw<readonly EvaluationPoint[]>([]);
  #samples = $state.raw<readonly SamplePoint[]>([]);
  #preparation = $state.raw<Preparation | null>(null);
  #checkpoints = $state.raw<readonly CheckpointInfo[]>([]);
  /** The base of each run. */
  #bases = $state.raw<ReadonlyMap<string, string>>(new Map());
  #error = $state.raw('');
  #notice = $state.raw('');
  #elsewhere = $state.raw(false);
  /** The project that trains in this tab, whichever is open. */
  #livingProject = $state.raw<string | null>(null);
  #livingPhase = $state.raw<RunPhase>('ended');
  #wakeLock: WakeLockSentinel | null = null;
  #saidAt = 0;

  constructor() {
    onWorkerEvent((event) => {
      switch (event.type) {
        case 'run':
          this.#takeRun(event.run, event.phase);
          break;
        case 'metrics':
          if (event.runId !== this.#run?.id) break;
          if (event.steps.length > 0) this.#steps = [...this.#steps, ...event.steps];
          if (event.evaluations.length > 0) this.#evaluations = [...this.#evaluations, ...event.evaluations];
          if (event.samples.length > 0) this.#samples = [...this.#samples, ...event.samples];
          break;
        case 'prepare':
          if (event.runId === this.#run?.id) this.#preparation = event;
          break;
        case 'checkpoint':
          if (event.runId === this.#run?.id) void this.#loadCheckpoints();
          break;
        case 'notice':
          if (event.runId === this.#run?.id) this.#notice = event.message;
          break;
        default:
          break;
      }
    });
    if (typeof document === 'undefined') return;
    // A wake lock ends when the tab is hidden; it is taken anew when the person comes back.
    document.addEventListener('visibilitychange', () => void this.holdScreen());
  }

  get run(): RunRecord | null {
    return this.#run;
  }

  get phase(): RunPhase {
    return this.#phase;
  }

  get steps(): readonly StepPoint[] {
    return this.#steps;
  }

  get evaluations(): readonly EvaluationPoint[] {
    return this.#evaluations;
  }

  get samples(): readonly SamplePoint[] {
    return this.#samples;
  }

  /** What is being made ready before the first step; null once it runs. */
  get preparation(): Preparation | null {
    return this.#phase === 'preparing' ? this.#preparation : null;
  }

  /** Of all runs of the project, the newest run's last first. */
  get checkpoints(): readonly CheckpointInfo[] {
    return this.#checkpoints;
  }

  /** Those of them that were taught on a base. */
  checkpointsOn(baseId: string | null): readonly CheckpointInfo[] {
    return this.#checkpoints.filter(({ runId }) => this.#bases.get(runId) === baseId);
  }

  /** The base that a run was taught on; null of a run that is not this project's. */
  baseOf(runId: string): string | null {
    return this.#bases.get(runId) ?? null;
  }

  get error(): string {
    return this.#error;
  }

  get notice(): string {
    return this.#notice;
  }

  /** The project trains in another tab. */
  get elsewhere(): boolean {
    return this.#elsewhere;
  }

  get alive(): boolean {
    return this.#phase !== 'ended';
  }

  get livingProject(): string | null {
    return this.#livingProject;
  }

  get livingPhase(): RunPhase {
    return this.#livingPhase;
  }

  /** Tokens, pictures of a look or clips of a sound a second over the last steps. */
  readonly speed: number = $derived.by(() => {
    const recent = this.#steps.slice(-RECENT_STEPS);
    const seconds = recent.reduce((sum, point) => sum + point.seconds, 0);
    return seconds > 0 ? recent.reduce((sum, point) => sum + point.tokens, 0) / seconds : NaN;
  });

  readonly secondsLeft: number = $derived.by(() => {
    const recent = this.#steps.slice(-RECENT_STEPS);
    if (!this.#run || recent.length === 0) return NaN;
    const each = recent.reduce((sum, point) => sum + point.seconds, 0) / recent.length;
    return each * (this.#run.totalSteps - this.#run.step);
  });

  /** The checkpoint from which the newest run can go on; null where it is complete or has none. */
  readonly resumable: CheckpointInfo | null = $derived.by(() => {
    const run = this.#run;
    if (!run || this.alive || run.status === 'finished' || this.#elsewhere) return null;
    const own = this.#checkpoints.filter((checkpoint) => checkpoint.runId === run.id);
    const last = own.reduce<CheckpointInfo | null>(
      (best, next) => (!best || next.step > best.step ? next : best),
      null,
    );
    return last && (run.totalSteps === 0 || last.step < run.totalSteps) ? last : null;
  });

  #takeRun(run: RunRecord, phase: RunPhase): void {
    this.#livingProject = phase === 'ended' ? null : run.projectId;
    this.#livingPhase = phase;
    if (run.projectId === this.#projectId) {
      if (this.#run?.id !== run.id) {
        this.#steps = [];
        this.#evaluations = [];
        this.#samples = [];
        this.#preparation = null;
      }
      this.#run = run;
      this.#phase = phase;
      if (performance.now() - this.#saidAt > SAY_MS && phase === 'running' && run.step > 0) {
        this.#saidAt = performance.now();
        announcer.say(`Step ${run.step} of ${run.totalSteps}, loss ${formatLoss(run.loss)}.`);
      }
    }
    if (phase === 'ended') {
      this.#finish(run);
    } else {
      void this.holdScreen();
    }
  }

  #finish(run: RunRecord): void {
    const line =
      run.status === 'finished'
        ? `Training is done after ${run.step} steps.`
        : run.status === 'failed'
          ? run.reason
          : run.status === 'running'
            ? `The run was interrupted at step ${run.step}.`
            : `Stopped and kept at step ${run.step}.`;
    announcer.say(line);
    void this.holdScreen();
    if (run.projectId === this.#projectId) void this.#loadCheckpoints();
    if (settings.notify && document.visibilityState === 'hidden' && Notification.permission === 'granted') {
      new Notification('Athanor', { body: line });
    }
  }

  /** Shows the newest run of a project; asks the worker whether it is alive. */
  async open(projectId: string): Promise<void> {
    if (this.#projectId === projectId) return;
    this.#projectId = projectId;
    this.#run = null;
    this.#phase = 'ended';
    this.#steps = [];
    this.#evaluations = [];
    this.#samples = [];
    this.#preparation = null;
    this.#checkpoints = [];
    this.#error = '';
    this.#notice = '';
    try {
      const [run] = await listRuns(projectId);
      const history = run ? await readHistory(run.id) : null;
      const living = this.#livingProject === projectId ? await modelWorker().current() : null;
      const locked = await lockedRuns();
      if (this.#projectId !== projectId) return;
      this.#elsewhere = !living && locked.has(projectId);
      if (run && history) {
        this.#run = living?.type === 'run' ? living.run : run;
        this.#phase = living?.type === 'run' ? living.phase : 'ended';
        this.#steps = history.steps;
        this.#evaluations = history.evaluations;
        this.#samples = history.samples;
      }
      await this.#loadCheckpoints();
    } catch (error) {
      if (this.#projectId === projectId) this.#error = errorMessage(error);
    }
  }

  async #loadCheckpoints(): Promise<void> {
    const projectId = this.#projectId;
    const runs = await listRuns(projectId);
    const lists = await Promise.all(runs.map((run) => listCheckpoints(run.id)));
    if (projectId !== this.#projectId) return;
    this.#bases = new Map(runs.map(({ id, baseId }) => [id, baseId]));
    this.#checkpoints = lists.flatMap((list) => list.sort((a, b) => b.step - a.step));
  }

  /** Begins a run, or goes on from a checkpoint. Resolves when the run has ended. */
  async start(resume: { runId: string; step: number } | null): Promise<void> {
    const { project } = openProject;
    if (!project) return;
    this.#error = '';
    this.#notice = '';
    this.#preparation = null;
    await openProject.flush();
    if (resume) {
      const upTo = <P extends { step: number }>(points: readonly P[]): P[] =>
        points.filter((point) => point.step <= resume.step);
      this.#steps = upTo(this.#steps);
      this.#evaluations = upTo(this.#evaluations);
      this.#samples = upTo(this.#samples);
    }
    try {
      await modelWorker().train({
        projectId: project.id,
        resume: resume && { runId: resume.runId, step: resume.step },
      });
    } catch (error) {
      if (this.#projectId !== project.id) announcer.show(`${project.name}: ${errorMessage(error)}`, { kind: 'error' });
      else {
        this.#error = errorMessage(error);
        this.#phase = 'ended';
      }
    }
  }

  pause(): void {
    void modelWorker().pause();
  }

  goOn(): void {
    void modelWorker().goOn();
  }

  stop(): void {
    void modelWorker().stop();
  }

  /** Forgets the newest run with its checkpoints. */
  async forget(): Promise<void> {
    if (!this.#run || this.alive) return;
    await deleteRun(this.#run.id);
    const id = this.#projectId;
    this.#projectId = '';
    await this.open(id);
  }

  /** Keeps the screen awake while a run lives, where the person wants it and the browser can. */
  async holdScreen(): Promise<void> {
    const wanted = settings.keepAwake && this.#livingProject !== null && document.visibilityState === 'visible';
    try {
      if (wanted && (!this.#wakeLock || this.#wakeLock.released)) {
        this.#wakeLock = await navigator.wakeLock.request('screen');
      } else if (!wanted && this.#wakeLock) {
        await this.#wakeLock.release();
        this.#wakeLock = null;
      }
    } catch {
      // Refused, for instance on low battery; the training goes on in either case.
      this.#wakeLock = null;
    }
  }
}

export const training = new Training();
