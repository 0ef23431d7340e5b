import type { FileReport, SkipCounts, SkippedExample, TrainingRow } from '../datasets/rows.ts';

/**
 * What IndexedDB keeps. Recipes and adapter configurations are kept as plain JSON: the layers above own their shape
 * and validate them whenever they are read.
 */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export type BaseSource = 'embedded' | 'disk';

/** What the first step asks: would words do? */
export interface AskRecord {
  /** What is to be taught, in the person's own words. */
  wish: string;
  /** Which of the three reasons for fine-tuning hold. */
  beyondWords: boolean;
  unsteady: boolean;
  tooLong: boolean;
  /** The prompt that describes it as well as words can; also the "base with a prompt" of Try. */
  background: string;
  /** Whether the step was answered. */
  answered: boolean;
}

/** Counts of votes on Try: tuned against the other column. */
export interface VoteCounts {
  better: number;
  same: number;
  worse: number;
}

export interface ProjectRecord {
  id: string;
  task: 'voice';
  name: string;
  createdAt: number;
  changedAt: number;
  ask: AskRecord;
  baseId: string | null;
  datasetId: string | null;
  /** Fields that differ from the defaults; validated where they are used. */
  recipe: JsonObject;
  adapter: JsonObject;
  /** Prompts that are answered along the way and offered on Try. */
  prompts: string[];
  /** A real person's way of speaking is taught: the page and the model card say what that asks for. */
  realPerson: boolean;
  votes: VoteCounts;
}

/** A data set without its rows, which lie in chunks of their own. */
export interface DatasetRecord {
  id: string;
  projectId: string;
  rowCount: number;
  /** UTF-16 units of text in all rows. */
  characters: number;
  files: FileReport[];
  skipped: SkipCounts;
  examples: SkippedExample[];
  warnings: string[];
  changedAt: number;
}

export interface RowChunkRecord {
  datasetId: string;
  index: number;
  rows: TrainingRow[];
}

export type RunStatus = 'running' | 'stopped' | 'finished' | 'failed';

export interface RunRecord {
  id: string;
  projectId: string;
  baseId: string;
  startedAt: number;
  changedAt: number;
  status: RunStatus;
  step: number;
  totalSteps: number;
  /** The recipe and the adapter's configuration as the run uses them, complete. */
  recipe: JsonObject;
  adapter: JsonObject;
  plannedBytes: number;
  measuredBytes: number;
  /** Loss of the last step and of the last held-out evaluation. */
  loss: number | null;
  heldOutLoss: number | null;
  bestStep: number | null;
  reason: string;
  /** Seconds of training, without pauses. */
  seconds: number;
  tokens: number;
}

export interface StepPoint {
  step: number;
  loss: number;
  learningRate: number;
  gradNorm: number;
  tokens: number;
  seconds: number;
}

export interface EvaluationPoint {
  step: number;
  loss: number;
}

export interface SamplePoint {
  step: number;
  prompt: string;
  base: string;
  tuned: string;
}

/** A piece of a run's history, appended as it happens. */
export interface MetricsRecord {
  runId: string;
  sequence: number;
  steps: StepPoint[];
  evaluations: EvaluationPoint[];
  samples: SamplePoint[];
}

export interface RunHistory {
  steps: StepPoint[];
  evaluations: EvaluationPoint[];
  samples: SamplePoint[];
}

/** A checkpoint without its bytes, which lie apart: lists must not read them. */
export interface CheckpointInfo {
  runId: string;
  step: number;
  createdAt: number;
  size: number;
}

/** A base whose weights lie in OPFS. File number i lies under the name i: what a file is called is never a path. */
export interface BaseRecord {
  id: string;
  name: string;
  createdAt: number;
  bytes: number;
  files: { path: string; size: number }[];
  /** Whether every file has arrived. */
  complete: boolean;
}

export function emptyAsk(): AskRecord {
  return { wish: '', beyondWords: false, unsteady: false, tooLong: false, background: '', answered: false };
}

export function newProject(id: string, name: string, now: number): ProjectRecord {
  return {
    id,
    task: 'voice',
    name,
    createdAt: now,
    changedAt: now,
    ask: emptyAsk(),
    baseId: null,
    datasetId: null,
    recipe: {},
    adapter: {},
    prompts: [],
    realPerson: false,
    votes: { better: 0, same: 0, worse: 0 },
  };
}
