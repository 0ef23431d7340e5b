import type { ModelInfo, PlanReport } from '../tasks/voice/types.ts';
import type { EvaluationPoint, RunRecord, SamplePoint, StepPoint } from '../storage/records.ts';

/** The base that comes with the page; every other id names a record in the database. */
export const EMBEDDED_BASE = 'embedded:voice';
export const EMBEDDED_NAME = 'the small voice of this page';
/** Where it lies beside the page, and what it is made of. */
export const EMBEDDED_PATH = 'embedded/voice/';
export const EMBEDDED_FILES: readonly string[] = [
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
];

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
  info: ModelInfo;
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
  | { type: 'metrics'; runId: string; steps: StepPoint[]; evaluations: EvaluationPoint[]; samples: SamplePoint[] }
  | { type: 'checkpoint'; runId: string; step: number }
  /** Something that does not stop the run but that the person should know. */
  | { type: 'notice'; runId: string; message: string };

export type WorkerListener = (event: WorkerEvent) => void;

/** Which adapter is applied: none, or that of a checkpoint. */
export type AdapterChoice = { runId: string; step: number } | null;

export interface TrainRequest {
  projectId: string;
  /** Go on from this run's checkpoint; null begins a new run. */
  resume: { runId: string; step: number } | null;
}

/** The lock that a run holds for as long as it lives, so that no second tab trains the same project. */
export function runLock(projectId: string): string {
  return `athanor-run-${projectId}`;
}
