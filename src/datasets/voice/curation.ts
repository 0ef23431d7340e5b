import { UserError } from '../../common/errors.ts';
import type { TrainingRow } from './rows.ts';
import { isTrained, rowLength } from './rows.ts';

/** A change of the rows, in words that a list of undo steps can show. */
export type Operation =
  | { kind: 'remove'; indices: readonly number[]; label: string }
  /** `was`: the row that was opened to be edited, which may have moved since. */
  | { kind: 'edit'; index: number; was?: TrainingRow; row: TrainingRow; label: string }
  | { kind: 'add'; index: number; rows: readonly TrainingRow[]; label: string };

/** Where a row is now that was seen at `index`, to the letter and with its source. */
function placeOf(rows: readonly TrainingRow[], index: number, was: TrainingRow): number {
  const looked = JSON.stringify(was);
  const isIt = (row: TrainingRow | undefined): boolean => JSON.stringify(row) === looked;
  const at = isIt(rows[index]) ? index : rows.findIndex(isIt);
  if (at >= 0) return at;
  throw new UserError(
    'This row was changed or removed while you edited it, so your change was not kept. Undo brings it back.',
  );
}

/**
 * The rows after a change: a new list, in which rows that did not change are the same ones.
 * @throws RangeError where an index is outside of the rows; UserError where the row that was edited is gone.
 */
export function applyOperation(rows: readonly TrainingRow[], operation: Operation): readonly TrainingRow[] {
  const check = (index: number, end: number): void => {
    if (!Number.isSafeInteger(index) || index < 0 || index >= end) {
      throw new RangeError(`There is no row ${String(index)} among ${String(rows.length)}.`);
    }
  };
  switch (operation.kind) {
    case 'remove': {
      for (const index of operation.indices) check(index, rows.length);
      const gone = new Set(operation.indices);
      return rows.filter((_, index) => !gone.has(index));
    }
    case 'edit': {
      const { index, was, row } = operation;
      const at = was ? placeOf(rows, index, was) : index;
      check(at, rows.length);
      return rows.with(at, row);
    }
    case 'add':
      check(operation.index, rows.length + 1);
      return [...rows.slice(0, operation.index), ...operation.rows, ...rows.slice(operation.index)];
  }
}

/** All text of a row, as it is searched and compared: its turns one below the other. */
export function rowText(row: TrainingRow): string {
  switch (row.kind) {
    case 'text':
      return row.text;
    case 'completion':
      return `${row.prompt}\n${row.completion}`;
    case 'messages':
      return row.messages.map(({ content }) => content).join('\n');
  }
}

const ASCII = /^[\u0000-\u007f]*$/;

/** Case, accents' encoding, punctuation and spacing made alike. */
export function normalised(text: string): string {
  // The same for ASCII, in a tenth of the time.
  const plain = ASCII.test(text)
    ? text.toLowerCase().replace(/[^a-z0-9$+<=>^`|~]+/g, ' ')
    : text
        .normalize('NFKC')
        .toLowerCase()
        .replace(/[^\p{L}\p{M}\p{N}\p{S}]+/gu, ' ');
  return plain.trim();
}

/** Whether two rows count as one: `exact` to the letter, `normalised` apart from case, punctuation and spacing. */
export type Likeness = 'exact' | 'normalised';

/** What is compared of a row: who says what, and whether it is learnt. */
function comparedParts(row: TrainingRow, likeness: Likeness): string[] {
  // Texts of nothing but punctuation keep it.
  const clean = (text: string): string => (likeness === 'exact' ? text : normalised(text) || text.trim());
  switch (row.kind) {
    case 'text':
      return ['text', clean(row.text)];
    case 'completion':
      return ['completion', clean(row.prompt), clean(row.completion)];
    case 'messages':
      return row.messages.flatMap((message) => [
        `${message.role} ${isTrained(message) ? 'learnt' : 'given'} ${message.name ?? ''}`,
        clean(message.content),
      ]);
  }
}

/** 53 bits of two FNV-1a hashes that start apart. */
function hashOf(parts: readonly string[]): number {
  let a = 0x811c9dc5;
  let b = 0x1b873593;
  for (const part of parts) {
    for (let at = 0; at < part.length; at++) {
      const code = part.charCodeAt(at);
      a = Math.imul(a ^ code, 0x01000193);
      b = Math.imul(b ^ code, 0x85ebca6b);
    }
    a = Math.imul(a ^ 0x10000, 0x01000193);
    b = Math.imul(b ^ (b >>> 15) ^ 0x10000, 0x85ebca6b);
  }
  return (a >>> 0) * 2 ** 21 + (b >>> 11);
}

/** Tells of each row, one after another, whether it repeats an earlier one. */
export class DuplicateFinder {
  readonly #likeness: Likeness;
  /** Rows by their hash, so that the texts are not kept a second time; equal hashes are compared in full. */
  readonly #seen = new Map<number, TrainingRow[]>();

  constructor(likeness: Likeness) {
    this.#likeness = likeness;
  }

  repeats(row: TrainingRow): boolean {
    const parts = comparedParts(row, this.#likeness);
    const hash = hashOf(parts);
    const alike = this.#seen.get(hash);
    if (alike === undefined) {
      this.#seen.set(hash, [row]);
      return false;
    }
    const found = alike.some((other) => {
      const otherParts = comparedParts(other, this.#likeness);
      return otherParts.length === parts.length && otherParts.every((part, i) => part === parts[i]);
    });
    if (!found) alike.push(row);
    return found;
  }
}

/** Indices of the rows that repeat an earlier one, ascending: what to remove so that each is there once. */
export function findDuplicates(rows: readonly TrainingRow[], likeness: Likeness): number[] {
  const finder = new DuplicateFinder(likeness);
  return rows.flatMap((row, index) => (finder.repeats(row) ? [index] : []));
}

/**
 * Indices of the rows shorter than `min` or longer than `max`, in characters, or in what `lengthOf` counts (tokens).
 */
export function findOutsideLength(
  rows: readonly TrainingRow[],
  { min = 0, max = Infinity }: { min?: number; max?: number },
  lengthOf: (row: TrainingRow) => number = rowLength,
): number[] {
  return rows.flatMap((row, index) => {
    const length = lengthOf(row);
    return length < min || length > max ? [index] : [];
  });
}

/** Indices of the rows that hold every word of the query, whatever their case; all rows for an empty query. */
export function searchRows(rows: readonly TrainingRow[], query: string): number[] {
  const words = query.normalize('NFKC').toLowerCase().split(/\s+/u).filter(Boolean);
  return rows.flatMap((row, index) => {
    const text = words.length > 0 ? rowText(row).normalize('NFKC').toLowerCase() : '';
    return words.every((word) => text.includes(word)) ? [index] : [];
  });
}
