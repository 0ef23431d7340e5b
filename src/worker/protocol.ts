import type { ModelInfo, PlanReport } from '../tasks/voice/types.ts';
import type { DrawRequest, LookInfo, LookTrainingEvent } from '../tasks/look/types.ts';
import type { ComposeProgress, ComposeRequest, SoundInfo, SoundPrepareEvent } from '../tasks/sound/types.ts';
import type {
  EvaluationPoint,
  PictureSamplePoint,
  RunRecord,
  SamplePoint,
  SoundSamplePoint,
  StepPoint,
} from '../storage/records.ts';
import type { Task } from '../common/task.ts';

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

/** The image base that comes with the page. */
export const EMBEDDED_LOOK = 'embedded:look';
export const EMBEDDED_LOOK_NAME = 'the small look of this page';
export const EMBEDDED_LOOK_PATH = 'embedded/look/';
export const EMBEDDED_LOOK_FILES: readonly string[] = [
  'model_index.json',
  'scheduler/scheduler_config.json',
  'text_encoder/config.json',
  'text_encoder/model.safetensors',
  'tokenizer/merges.txt',
  'tokenizer/special_tokens_map.json',
  'tokenizer/tokenizer_config.json',
  'tokenizer/vocab.json',
  'unet/config.json',
  'unet/diffusion_pytorch_model.safetensors',
  'vae/config.json',
  'vae/diffusion_pytorch_model.safetensors',
];

/** The music base that comes with the page. */
export const EMBEDDED_SOUND = 'embedded:sound';
export const EMBEDDED_SOUND_NAME = 'the small sound of this page';
export const EMBEDDED_SOUND_PATH = 'embedded/sound/';
export const EMBEDDED_SOUND_FILES: readonly string[] = [
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'preprocessor_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
];

/** The base that comes with the page for a task. */
export function embeddedBase(task: Task): string {
  return { voice: EMBEDDED_BASE, look: EMBEDDED_LOOK, sound: EMBEDDED_SOUND }[task];
}

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

/** What a base says of itself, whatever it makes. */
export type BaseInfo = ModelInfo | LookInfo | SoundInfo;

export interface LoadedBase {
  baseId: string;
  info: BaseInfo;
}

/** What a base of this kind can be taught. */
export function taskOf(info: BaseInfo): Task {
  return 'task' in info ? info.task : 'voice';
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
      pictures?: PictureSamplePoint[];
      sounds?: SoundSamplePoint[];
    }
  /** What a look or a sound does before its first step. */
  | {
      type: 'prepare';
      runId: string;
      what: Extract<LookTrainingEvent, { type: 'prepare' }>['what'] | SoundPrepareEvent['what'];
      done: number;
      total: number;
    }
  | { type: 'checkpoint'; runId: string; step: number }
  /** Something that does not stop the run but that the person should know. */
  | { type: 'notice'; runId: string; message: string };

export type WorkerListener = (event: WorkerEvent) => void;

/** Which adapter is applied: none, or that of a checkpoint. */
export type AdapterChoice = { runId: string; step: number } | null;

/** An image LoRA that somebody else made: a file of kohya's, diffusers' or their kin's form. */
export interface GivenAdapter {
  given: File;
}

/** What is applied while a look draws: as above, or a file from elsewhere. */
export type LookChoice = AdapterChoice | GivenAdapter;

export interface TrainRequest {
  projectId: string;
  /** Go on from this run's checkpoint; null begins a new run. */
  resume: { runId: string; step: number } | null;
}

/** What is heard while pictures are drawn. */
export type DrawProgress =
  /** Denoising steps done of all, over all pictures. */
  | { type: 'progress'; done: number; total: number; image: number }
  | { type: 'image'; image: number; seed: number; width: number; height: number; png: Uint8Array<ArrayBuffer> };

/** What the model worker does for a look, beside what it does for every task. */
export interface LookCalls {
  /** Draws; `id` names the drawing for `cancel`. `whole` where it ended by itself. */
  draw(
    id: number,
    baseId: string,
    choice: LookChoice,
    request: Omit<DrawRequest, 'signal'>,
    onEvent: (event: DrawProgress) => void,
  ): Promise<{ whole: boolean }>;
  /** kohya's and diffusers' file of a checkpoint, by name. */
  exportLook(
    baseId: string,
    choice: { runId: string; step: number },
    options: { name: string; triggerWord: string; preview?: Uint8Array<ArrayBuffer> },
  ): Promise<Map<string, Uint8Array<ArrayBuffer>>>;
}

export type { ComposeProgress, ComposeRequest, SoundInfo };

/** What the model worker does for a sound, beside what it does for every task; its PEFT folder comes from exportAdapter. */
export interface SoundCalls {
  /** Composes; `id` names the composition for `cancel`. `whole` where it ended by itself. */
  compose(
    id: number,
    baseId: string,
    choice: AdapterChoice,
    request: Omit<ComposeRequest, 'signal'>,
    onEvent: (event: ComposeProgress) => void,
  ): Promise<{ whole: boolean }>;
}

/** The lock that a run holds for as long as it lives, so that no second tab trains the same project. */
export function runLock(projectId: string): string {
  return `athanor-run-${projectId}`;
}
