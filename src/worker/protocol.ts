import type { Task } from '../common/task.ts';
import type { TaskInfo } from '../tasks/task-model.ts';
import type { PlanReport } from '../training/plan-report.ts';
import type { EvaluationPoint, RunRecord, SamplePoint, StepPoint } from '../storage/records.ts';

/** Of a project's prompts, so many are answered along the way: each costs two answers a time. */
export const SAMPLED_PROMPTS = 3;

export type GpuState = 'ready' | 'software' | 'no-webgpu' | 'no-adapter' | 'failed';

/** What the graphics card is and whether it can be used. */
export interface GpuReport {
  state: GpuState;
  vendor: string;
  architecture: string;
  description: string;
  hasF16: boolean;
  /** A secure page (https or this machine) is a condition for WebGPU. */
  secure: boolean;
  /** A browser on which WebGPU is known to exist, from its name. */
  message: string;
  maxBufferSize: number;
}

export interface LoadedBase {
  baseId: string;
  /** Of a TaskInfo's kind: `task` says which. */
  info: TaskInfo;
}

/** How a plan is judged against this device. */
export interface PlanAnswer {
  plan: PlanReport;
  /** Floating-point operations a second of earlier runs on this device; null before the first. */
  measuredFlops: number | null;
  isSoftware: boolean;
}

export type RunPhase = 'preparing' | 'running' | 'pausing' | 'paused' | 'stopping' | 'ended';

/** Everything that the model worker tells without being asked. */
export type WorkerEvent =
  | { type: 'load'; baseId: string; fraction: number }
  | { type: 'loaded'; base: LoadedBase }
  | { type: 'unloaded' }
  | { type: 'device-lost'; message: string }
  | { type: 'run'; run: RunRecord; phase: RunPhase }
  | {
      type: 'metrics';
      runId: string;
      steps: StepPoint[];
      evaluations: EvaluationPoint[];
      samples: SamplePoint[];
    }
  /** What is made ready before the first step. */
  | { type: 'prepare'; runId: string; what: string; done: number; total: number }
  | { type: 'checkpoint'; runId: string; step: number }
  /** Something that does not stop the run but that the person should know. */
  | { type: 'notice'; runId: string; message: string };

export type WorkerListener = (event: WorkerEvent) => void;

/** Which adapter is applied: none, or that of a checkpoint. */
export type AdapterChoice = { runId: string; step: number } | null;

/** An adapter that somebody else made, as a file. */
export interface GivenAdapter {
  given: File;
}

/** What is applied while something is made: as above, or a file from elsewhere. */
export type AppliedAdapter = AdapterChoice | GivenAdapter;

/** What the page asks for when something is to be made, of whatever kind. */
export interface GenerationRequest<Request extends object = object> {
  /** Names the generation for `cancel`. */
  id: number;
  task: Task;
  baseId: string;
  adapter: AppliedAdapter;
  request: Request;
}

export interface TrainRequest {
  projectId: string;
  /** Go on from this run's checkpoint; null begins a new run. */
  resume: { runId: string; step: number } | null;
}

/** What an export asks for beside the checkpoint. */
export interface ExportRequest {
  /** Of the project. */
  name: string;
  triggerWord?: string;
  /** A PNG shown beside the file. */
  preview?: Uint8Array<ArrayBuffer>;
}

/** The lock that a run holds for as long as it lives, so that no second tab trains the same project. */
export function runLock(projectId: string): string {
  return `athanor-run-${projectId}`;
}
