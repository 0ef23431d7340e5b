import type { InputData } from '../../engine/program.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { ModelBuilder, Projection } from '../layers/builder.ts';
import type { Lengths } from './denoiser.ts';

/** Integers that a conditioner's encoders are given of one text: a list for each of its `tokenInputs`. */
export type PromptTokens = readonly Uint32Array<ArrayBuffer>[];

/** What turns words into conditions of a denoiser, by whatever text encoders. */
export interface Conditioner {
  /** Names of all its weights and modules begin with one of these and a dot: “text_encoder”, “text_encoder_2”. */
  readonly components: readonly string[];
  /** What `tokenize` gives: “input_ids”, “input_ids_2”, or “attention_mask” where padding must be told. */
  readonly tokenInputs: readonly string[];
  /** The conditions that words become. */
  readonly conditions: readonly string[];
  /** Their names as the text encoder alone has them, where others are usual. */
  readonly outputNames: Readonly<Record<string, string>>;
  /** Lengths of what a prompt becomes, at most. */
  readonly lengths: Lengths;
  /** Tokens that a prompt may have, with what is put around it. */
  readonly promptTokens: number;
  /** No negative prompt is told as zeros, not as an empty text. */
  readonly zerosForEmptyPrompt: boolean;
  readonly modules: readonly Projection[];
  /** Layers that are adapted where the encoders are trained along and target_modules names none of theirs. */
  readonly usualTargets: readonly string[];

  /** Throws UserError where the tokenizer's files are missing. */
  tokenize(prompt: string): Promise<PromptTokens>;
  countTokens(prompt: string): Promise<number>;
  /** Lengths of what these tokens become. */
  lengthsOf(tokens: PromptTokens): Lengths;
  /** Declares its inputs and returns the conditions of all rows: [rows · length, width] or [rows, width]. */
  forward(
    b: ModelBuilder,
    shape: { rows: number; lengths: Lengths },
    options: { training: boolean },
  ): Readonly<Record<string, Tensor>>;
  /** Values of the inputs that `forward` declares, one text for each row. */
  inputs(texts: readonly PromptTokens[]): Record<string, InputData>;
}
