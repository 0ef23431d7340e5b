import type { Message, TrainingRow } from '../datasets/rows.ts';
import type { ModelFolder } from './files/folder.ts';
/** Tokens [start, end) of a row that carry loss, and which message they come from (-1 in rows without messages). */
export interface TrainedSpan {
  start: number;
  end: number;
  message: number;
}
export interface EncodedRow {
  inputIds: Int32Array<ArrayBuffer>;
  /** The input id where the token carries loss, -100 elsewhere; not shifted, as in transformers. */
  labels: Int32Array<ArrayBuffer>;
  spans: TrainedSpan[];
}
export interface ConversationOptions {
  /** Without a chat template: write "User: …\nAssistant: …" instead of throwing. */
  fallbackTemplate?: boolean;
}
export declare class Tokenizer {
  readonly bosId: number | null;
  /** End of text (tokenizer's eos_token). */
  readonly eosId: number | null;
  readonly padId: number | null;
  /** generation_config's eos_token_id (one or several), else eosId. */
  readonly stopIds: readonly number[];
  readonly hasChatTemplate: boolean;
  readonly vocabSize: number;
  static load(folder: ModelFolder): Promise<Tokenizer>;
  encode(text: string, options?: { addSpecialTokens?: boolean }): Int32Array<ArrayBuffer>;
  decode(ids: ArrayLike<number>, options?: { skipSpecialTokens?: boolean }): string;
  /** Text of one token as the page shows it. */
  tokenText(id: number): string;
  stream(options?: { skipSpecialTokens?: boolean }): TextStream;
  applyChatTemplate(messages: readonly Message[], options?: { addGenerationPrompt?: boolean }): string;
  /** Ids of a conversation ending where the assistant is to speak. */
  encodePrompt(messages: readonly Message[], options?: ConversationOptions): Int32Array<ArrayBuffer>;
  encodeConversation(messages: readonly Message[], options?: ConversationOptions): EncodedRow;
  encodeText(text: string): EncodedRow;
  encodeCompletion(prompt: string, completion: string): EncodedRow;
  /** Any row. */
  encodeRow(row: TrainingRow, options?: ConversationOptions): EncodedRow;
}
/** Turns a growing list of tokens into text that never has to be taken back. */
export interface TextStream {
  /** The text that became final with these tokens ('' while a character is incomplete). */
  push(ids: ArrayLike<number>): string;
  /** What was held back, at the end. */
  end(): string;
}
