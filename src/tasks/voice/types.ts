import type { Message } from '../../datasets/voice/rows.ts';
import type { LoraConfig } from '../../adapters/lora-config.ts';
import type { TaskEvent, TaskInfo } from '../task-model.ts';

/** What the page shows about a loaded base. */
export interface ModelInfo extends TaskInfo {
  task: 'voice';
  /** transformers' model_type: llama, qwen2, qwen3. */
  modelType: string;
  hiddenSize: number;
  layers: number;
  vocabSize: number;
  /** Tokens the model can attend to (max_position_embeddings). */
  contextLength: number;
  hasChatTemplate: boolean;
}

/** Generation as transformers names it. Exactly one of prompt and messages is given. */
export interface GenerateRequest {
  /** Taken as it stands, with the special tokens the tokenizer adds. */
  prompt?: string;
  /** Goes through the chat template with a generation prompt. */
  messages?: Message[];
  max_new_tokens: number;
  do_sample: boolean;
  temperature?: number;
  top_k?: number;
  top_p?: number;
  seed?: number;
  /** How much of the adapter is applied: 0 the base alone, 1 as trained. */
  strength?: number;
  signal?: AbortSignal;
}

export interface GenerateChunk {
  /** Text that became final with these tokens (special tokens left out). */
  text: string;
  tokenIds: number[];
}

export type TrainingEvent = TaskEvent<string>;

/** Where one token of a training row carries loss. */
export interface TokenPreview {
  /** Text of each token, in order. */
  tokens: { text: string; id: number; trained: boolean }[];
}

export type { LoraConfig, Message };
export type { PlanReport } from '../../training/plan-report.ts';
