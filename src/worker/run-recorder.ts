import { appendMetrics, saveCheckpoint, saveRun } from '../storage/runs.ts';
import type { EvaluationPoint, RunRecord, SamplePoint, StepPoint } from '../storage/records.ts';
import { errorMessage } from './errors.ts';
import type { RunPhase, WorkerEvent, WorkerListener } from './protocol.ts';

/** How often the page hears of steps, and how often they are written down. */
const TELL_MS = 200;
const KEEP_MS = 1500;
/** Checkpoints of a run together take at most about this much, but two stay always. */
const CHECKPOINT_BYTES = 1e9;
const MOST_CHECKPOINTS = 8;

interface Points {
  steps: StepPoint[];
  evaluations: EvaluationPoint[];
  samples: SamplePoint[];
}

const noPoints = (): Points => ({ steps: [], evaluations: [], samples: [] });
const isEmpty = (points: Points): boolean => Object.values(points).every((list: unknown[]) => list.length === 0);

/** Writes a run down as it happens and tells the page, in pieces neither of them notices. */
export class RunRecorder {
  run: RunRecord;
  readonly #listener: WorkerListener;
  #sequence: number;
  #told = 0;
  #keptAt = 0;
  #untold = noPoints();
  /** Points the page has heard of but that are not written down yet. */
  #unwritten = noPoints();
  phase: RunPhase = 'preparing';

  constructor(run: RunRecord, sequence: number, listener: WorkerListener) {
    this.run = run;
    this.#sequence = sequence;
    this.#listener = listener;
  }

  setPhase(phase: RunPhase): void {
    this.phase = phase;
    this.#tellRun();
  }

  change(fields: Partial<RunRecord>): void {
    this.run = { ...this.run, ...fields, changedAt: Date.now() };
  }

  #tellRun(): void {
    this.#listener({ type: 'run', run: this.run, phase: this.phase });
  }

  async step(point: StepPoint): Promise<void> {
    this.#untold.steps.push(point);
    this.change({
      step: point.step,
      loss: point.loss,
      seconds: this.run.seconds + point.seconds,
      tokens: this.run.tokens + point.tokens,
    });
    await this.#flush(false);
  }

  async evaluation(point: EvaluationPoint, best: boolean): Promise<void> {
    this.#untold.evaluations.push(point);
    this.change({ heldOutLoss: point.loss, ...(best ? { bestStep: point.step } : {}) });
    await this.#flush(false);
  }

  async sample(point: SamplePoint): Promise<void> {
    this.#untold.samples.push(point);
    await this.#flush(true);
  }

  /** What is done before the first step; told often enough to be watched. */
  prepare(event: Omit<Extract<WorkerEvent, { type: 'prepare' }>, 'type' | 'runId'>): void {
    const time = performance.now();
    if (event.done > 0 && event.done < event.total && time - this.#told < TELL_MS) return;
    this.#told = time;
    this.#listener({ type: 'prepare', runId: this.run.id, ...event });
  }

  /** A full disk does not stop the training: the person is told, and the run goes on with the checkpoints it has. */
  async checkpoint(step: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#flush(true);
    const limit = Math.max(2, Math.min(MOST_CHECKPOINTS, Math.floor(CHECKPOINT_BYTES / Math.max(1, bytes.byteLength))));
    const keep = this.run.bestStep === null ? [] : [this.run.bestStep];
    try {
      await saveCheckpoint({ runId: this.run.id, step, createdAt: Date.now() }, bytes, limit, keep);
      this.#listener({ type: 'checkpoint', runId: this.run.id, step });
    } catch (error) {
      this.notice(`${errorMessage(error)} The training goes on.`);
    }
  }

  notice(message: string): void {
    this.#listener({ type: 'notice', runId: this.run.id, message });
  }

  /** Tells and writes what is due; everything with `now`. */
  async #flush(now: boolean): Promise<void> {
    const time = performance.now();
    if (now || time - this.#told >= TELL_MS) {
      const points = this.#untold;
      this.#untold = noPoints();
      this.#told = time;
      for (const name of Object.keys(points) as (keyof Points)[]) {
        (this.#unwritten[name] as unknown[]).push(...points[name]);
      }
      if (!isEmpty(points)) {
        this.#listener({ type: 'metrics', runId: this.run.id, ...points });
        this.#tellRun();
      }
    }
    if (now || time - this.#keptAt >= KEEP_MS) {
      this.#keptAt = time;
      await this.write();
    }
  }

  /** Writes down what is not yet, so that a reload finds it. */
  async write(): Promise<void> {
    const points = this.#unwritten;
    this.#unwritten = noPoints();
    try {
      if (!isEmpty(points)) {
        await appendMetrics({ runId: this.run.id, sequence: this.#sequence, ...points });
        this.#sequence += 1;
      }
      await saveRun(this.run);
    } catch (error) {
      this.notice(`${errorMessage(error)} The training goes on.`);
    }
  }

  async end(fields: Partial<RunRecord>): Promise<void> {
    this.change(fields);
    await this.#flush(true);
    this.setPhase('ended');
  }
}
