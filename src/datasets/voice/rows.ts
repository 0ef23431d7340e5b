import type { BaseFileReport, BaseReport, SkipCountsOf } from '../report.ts';

/**
 * Training rows of a voice: what every importer produces, what curation edits and what tokenisation reads.
 * Field names in files are those of TRL's data set formats: {"text"}, {"messages"}, {"prompt", "completion"}.
 */

export type Role = 'system' | 'user' | 'assistant' | 'tool';

/** One turn of a conversation. */
export interface Message {
  role: Role;
  content: string;
  /** Whether this turn carries the loss. Where it is absent, assistant turns do and no other: see `isTrained`. */
  train?: boolean;
  /** Who speaks, where a chat template has a place for it. */
  name?: string;
}

/** Where a row was found: the file's name and the line (from 1) on which it begins. */
export interface RowSource {
  file: string;
  line: number;
}

interface RowBase {
  id?: string;
  source?: RowSource;
}

/** Running text; all of it is learnt, no chat template is applied. */
export interface TextRow extends RowBase {
  kind: 'text';
  text: string;
}

/** A conversation; the chat template decides its tokens, the trained turns carry the loss. */
export interface MessagesRow extends RowBase {
  kind: 'messages';
  messages: Message[];
}

/** A beginning and its continuation, both plain text without a chat template; only the completion is learnt. */
export interface CompletionRow extends RowBase {
  kind: 'completion';
  prompt: string;
  completion: string;
}

export type TrainingRow = TextRow | MessagesRow | CompletionRow;

/** Why something in a file did not become a row. The phrases are shown and written into reports as they stand. */
export type SkipReason =
  | 'not valid JSON'
  | 'no known fields'
  | 'wrong type in a field'
  | 'unknown role'
  | 'not only text'
  | 'empty'
  | 'nothing to learn'
  | 'marked as a bad answer'
  | 'wrong number of columns'
  | 'a key twice'
  | 'nested too deeply'
  | 'deleted'
  | 'another answer ranks higher';

export type SkipCounts = SkipCountsOf<SkipReason>;

/** What a file's rows look like, recognised by content. `refused` files gave nothing: their warning says why.
 * Those `about the set` (its card, its licence) lay beside other files and were not read. */
export type FileKind =
  | 'text'
  | 'text rows'
  | 'messages'
  | 'sharegpt'
  | 'alpaca'
  | 'prompt and completion'
  | 'question and answer'
  | 'preference'
  | 'mixed'
  | 'unknown'
  | 'about the set'
  | 'refused';

export interface FileReport extends BaseFileReport<FileKind, SkipReason> {
  /** Rows kept of this file. */
  rows: number;
}

/** One skipped thing, to be shown: its place, why, and its beginning. */
export interface SkippedExample {
  file: string;
  line: number;
  reason: SkipReason;
  snippet: string;
}

/** What an import of texts understood; rows are what is kept. */
export interface ImportReport extends BaseReport<FileReport, SkipReason> {
  /** The first few of each reason, in order of appearance. */
  examples: SkippedExample[];
}

export interface ImportResult {
  rows: TrainingRow[];
  report: ImportReport;
}

/** A data set as it is kept. */
export type DataSet = ImportResult;

/** Whether a turn carries the loss. */
export function isTrained(message: Message): boolean {
  return message.train ?? message.role === 'assistant';
}

/** Characters (UTF-16 units) of everything in a row. */
export function rowLength(row: TrainingRow): number {
  switch (row.kind) {
    case 'text':
      return row.text.length;
    case 'completion':
      return row.prompt.length + row.completion.length;
    case 'messages':
      return row.messages.reduce((sum, message) => sum + message.content.length, 0);
  }
}

/** Whether training on the row would teach anything: some text that carries loss. */
export function hasSomethingToLearn(row: TrainingRow): boolean {
  switch (row.kind) {
    case 'text':
      return row.text.trim() !== '';
    case 'completion':
      return row.completion.trim() !== '';
    case 'messages':
      return row.messages.some((message) => isTrained(message) && message.content.trim() !== '');
  }
}

type MessageRecord = { role: Role; content: string; name?: string; train?: boolean };

/**
 * A row as the object that a line of rows.jsonl holds. A conversation of which only the ending is learnt becomes
 * {"prompt": [...], "completion": [...]}, which means the same to TRL; any other choice of turns is kept in `train`
 * on the turns that differ from the default.
 */
export function rowToRecord(row: TrainingRow): Record<string, unknown> {
  const id = row.id === undefined ? {} : { id: row.id };
  if (row.kind === 'text') return { ...id, text: row.text };
  if (row.kind === 'completion') return { ...id, prompt: row.prompt, completion: row.completion };
  const { messages } = row;
  const bare = ({ role, content, name }: Message): MessageRecord =>
    name === undefined ? { role, content } : { role, content, name };
  if (messages.every((message) => isTrained(message) === (message.role === 'assistant'))) {
    return { ...id, messages: messages.map(bare) };
  }
  const start = messages.findIndex(isTrained);
  if (start > 0 && messages.slice(start).every(isTrained)) {
    return { ...id, prompt: messages.slice(0, start).map(bare), completion: messages.slice(start).map(bare) };
  }
  const marked = messages.map((message) =>
    isTrained(message) === (message.role === 'assistant')
      ? bare(message)
      : { ...bare(message), train: isTrained(message) },
  );
  return { ...id, messages: marked };
}

/** One line of rows.jsonl, without its newline. */
export function rowToLine(row: TrainingRow): string {
  return JSON.stringify(rowToRecord(row));
}

/** rows.jsonl as text; for large sets write `rowToLine` row by row. Read back by the importer of JSONL. */
export function rowsToJsonl(rows: Iterable<TrainingRow>): string {
  let text = '';
  for (const row of rows) text += `${rowToLine(row)}\n`;
  return text;
}
