import type { CompletionRow, FileKind, MessagesRow, SkipReason, TextRow } from '../rows.ts';

/** A JSON object of unknown fields. */
export type Fields = Readonly<Record<string, unknown>>;

/** What a record holds, or why it is skipped. */
export type Reading = TextRow | MessagesRow | CompletionRow | { skip: SkipReason };

/** Takes remarks on a file, each said once however often it is made: {count} in it becomes how often. */
export type Note = (remark: string) => void;

/** One layout of a data set's records: how it is recognised, by its fields alone, and read. */
export interface Shape {
  kind: FileKind;
  matches(fields: Fields): boolean;
  read(fields: Fields, note: Note): Reading;
}

export const skip = (reason: SkipReason): { skip: SkipReason } => ({ skip: reason });

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field that should be text: absent and null count as empty; undefined where it is of another type. */
export function textField(value: unknown): string | undefined {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : undefined;
}

export const isBlank = (text: string): boolean => text.trim() === '';
