import type { SoundBlock } from '../../datasets/sound/types.ts';
import type { PrepareEvent, TaskEvent, TaskInfo } from '../task-model.ts';

export type { TaskCache as SoundCache } from '../cache.ts';

/** What the page shows about a loaded music base. */
export interface SoundInfo extends TaskInfo {
  task: 'sound';
  /** Samples a second of what it composes. */
  sampleRate: number;
  /** 1, or 2 for stereo. */
  channels: number;
  /** Streams of codes of one channel. */
  codebooks: number;
  /** Code frames a second. */
  frameRate: number;
  /** The longest sound in one go. */
  longestSeconds: number;
  /** What the base's own generation_config.json proposes. */
  generation: { guidance_scale: number; top_k: number; temperature: number };
}

/** What can be told of a base that is not loaded. */
export type SoundBaseFacts = Pick<SoundInfo, 'sampleRate' | 'channels'>;

/** Composing, under transformers' names; `seconds` stands for max_new_tokens. */
export interface ComposeRequest {
  prompt: string;
  seconds: number;
  seed: number;
  /** 1 leaves the unprompted half out. */
  guidance_scale: number;
  /** 0: all codes. */
  top_k: number;
  temperature: number;
  /** Without it the likeliest codes are taken. Default true. */
  do_sample?: boolean;
  /** How much of the adapter is applied: 0 the base alone, 1 as trained. */
  strength: number;
  signal?: AbortSignal;
}

/** What is heard while a sound is composed. */
export type ComposeProgress =
  /** Code frames done of all. */
  | { type: 'progress'; done: number; total: number }
  /** Finished samples [from, from + length) of each channel; pieces come in order and without gaps. */
  | { type: 'piece'; from: number; sampleRate: number; channels: Float32Array<ArrayBuffer>[] };

/** Sounds become codes and words become text states before the first step. */
export type SoundPrepareEvent = PrepareEvent<'codes' | 'captions'>;

export type SoundTrainingEvent = TaskEvent<SoundBlock>;
