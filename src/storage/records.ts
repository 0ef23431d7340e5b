import type { Task } from '../common/task.ts';
import type { FileReport, SkipCounts, SkippedExample } from '../datasets/voice/rows.ts';
import type { PictureReport } from '../datasets/look/types.ts';
import type { SoundReport, Waveform } from '../datasets/sound/types.ts';
import type { LossCurve } from './preview.ts';

/**
 * What IndexedDB keeps. Recipes and adapter configurations are kept as plain JSON: the layers above own their shape
 * and validate them whenever they are read.
 */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

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
  task: Task;
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
  /** A real person's way of speaking, likeness or music is taught: the page and the model card say what that asks for. */
  realPerson: boolean;
  votes: VoteCounts;
  /** Seed of what is made along the way, where it is drawn from one. */
  sampleSeed: number;
  /** Marked as deleted at this moment: it waits to be taken off the disk, or back. */
  deletedAt?: number | undefined;
}

/** A data set without its rows and files, which lie in stores of their own. */
export interface DatasetRecord {
  id: string;
  projectId: string;
  /** What is learnt from: rows, pictures, clips that are kept. */
  rowCount: number;
  /** UTF-16 units of text in all of them. */
  characters: number;
  files: FileReport[];
  skipped: SkipCounts;
  examples: SkippedExample[];
  warnings: string[];
  changedAt: number;
  /** What its files take; absent where it has none. */
  fileBytes?: number;
  /** The file whose thumbnail stands for the set; null where none is left. */
  cover?: string | null;
  /** Of pictures and sounds: the word that will call it, and what words not written by hand are made from. */
  words?: { triggerWord: string; template: string };
  /** Of pictures: what all imports together understood. */
  pictures?: PictureReport;
  /** Of sounds: the same, and the seconds of all clips that are kept. */
  sounds?: SoundReport;
  seconds?: number;
}

/** Some rows of a data set, in order, each as its kind has it: see DatasetRows. */
export interface RowChunkRecord {
  datasetId: string;
  index: number;
  rows: object[];
}

/** What is kept of a file beside its bytes. */
export interface FileParts {
  /** Of a picture. */
  thumbnail?: Blob;
  /** Of a picture: a grey PNG over the whole of it, of its shape, at any size; white is learnt, black is not. Null: all is learnt. */
  mask?: Blob | null;
  /** Of a song. */
  waveform?: Waveform;
}

/** One file of a data set: a picture turned as its EXIF says, without metadata, as large as training can use; a song as it came. */
export interface DatasetFileRecord extends FileParts {
  datasetId: string;
  /** The id of the row that names it. */
  id: string;
  file: Blob;
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
  /** Tokens seen; of a look, pictures; of a sound, clips. */
  tokens: number;
}

export interface StepPoint {
  step: number;
  loss: number;
  learningRate: number;
  gradNorm: number;
  /** Tokens of the step; of a look, pictures; of a sound, clips. */
  tokens: number;
  seconds: number;
}

export interface EvaluationPoint {
  step: number;
  loss: number;
}

/**
 * A prompt answered along the way by the base and by what it had become, on the same seed where one is drawn: texts, or files
 * (PNG of a look, WAV of a sound).
 */
export interface SamplePoint<T extends string | Blob = string | Blob> {
  step: number;
  prompt: string;
  seed?: number;
  base: T;
  tuned: T;
}

/** A piece of a run's history, appended as it happens. */
export interface MetricsRecord {
  runId: string;
  sequence: number;
  steps: StepPoint[];
  evaluations: EvaluationPoint[];
  samples: SamplePoint[];
}

/** The small part of a run's history: lists read this and leave the history alone. It is written with it. */
export interface PreviewRecord extends LossCurve {
  runId: string;
  /** What the files among its samples take. */
  sampleBytes: number;
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

/** One file of a base: its number in the list is the name under which its bytes lie. What it is called is never a path. */
export interface BaseFile {
  path: string;
  size: number;
  /** Hex SHA-256 of a config file, or of the head of a safetensors file; absent until a folder like it is picked. */
  head?: string;
  /** Hex SHA-256 of each piece (bases.ts), in order; absent until the whole file was read. */
  pieces?: string[];
}

/** A base whose weights lie in OPFS. It is known by what is in its files; what lies under an id never changes once complete. */
export interface BaseRecord {
  id: string;
  /** What it can be taught; absent where it was kept before there were looks: a voice. */
  task?: Task;
  /** As its folder was called; bases of one name are numbered. */
  name: string;
  createdAt: number;
  bytes: number;
  files: BaseFile[];
  /** Whether every file has arrived. */
  complete: boolean;
}

export function emptyAsk(): AskRecord {
  return { wish: '', beyondWords: false, unsteady: false, tooLong: false, background: '', answered: false };
}

export function newProject(id: string, task: Task, name: string, now: number): ProjectRecord {
  return {
    id,
    task,
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
    sampleSeed: 1,
  };
}

/** What older versions of the page wrote in place of `sampleSeed`. */
interface OlderProject extends Partial<ProjectRecord> {
  look?: { sampleSeed?: number };
  sound?: { sampleSeed?: number };
}

/** A project as the database has it, with what older versions of the page did not write yet. */
export function readProject(record: ProjectRecord): ProjectRecord {
  const { look, sound, ...known }: OlderProject = record;
  const task = known.task ?? 'voice';
  const older = ({ look, sound } as Partial<Record<Task, OlderProject['look']>>)[task];
  return { ...(known as ProjectRecord), task, sampleSeed: known.sampleSeed ?? older?.sampleSeed ?? 1 };
}
