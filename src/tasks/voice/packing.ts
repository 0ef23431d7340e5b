/**
 * From tokenised rows to sequences of one fixed length, as the training step takes them. Several rows may lie in one
 * sequence: attention stays within a row's segment and its positions start at 0, so the step computes what separate
 * rows would give. Nothing is learnt across a segment's end.
 */

import { IGNORED_LABEL } from '../../common/ignored-label.ts';
import type { KeyRange } from '../../models/causal-lm/key-ranges.ts';
import { firstKey } from '../../models/causal-lm/key-ranges.ts';

export { shuffledOrder, splitHeldOut } from '../../common/order.ts';
export type { HeldOutSplit } from '../../common/order.ts';

/** A tokenised row: labels stand at their own token, not shifted, as in transformers. */
export interface TokenRow {
  inputIds: ArrayLike<number>;
  labels: ArrayLike<number>;
  /** Running text may be cut anywhere: too long a row becomes several. Others are cut off at the end. */
  continuous?: boolean;
}

/** Tokens [start, end) of one row within a sequence. */
export type Segment = readonly [start: number, end: number];

/** A sequence of L positions; what lies outside the segments is padding. */
export interface PackedSequence {
  inputIds: Uint32Array<ArrayBuffer>;
  /** Of each position the token that follows it in its segment, IGNORED_LABEL where none does or it carries no loss. */
  labels: Int32Array<ArrayBuffer>;
  /** From 0 in each segment; 0 on padding. */
  positions: Uint32Array<ArrayBuffer>;
  segments: Segment[];
  /** For each segment, which of the given rows it is of. */
  rows: number[];
  /** Positions that are not padding. */
  tokens: number;
  /** Positions that carry loss. */
  labelTokens: number;
}

/** What had to be done to make the rows fit. */
export interface FitReport {
  /** Continuous rows that were cut into several pieces. */
  split: number;
  /** Other rows that were cut off, and the tokens lost by it. */
  truncated: number;
  truncatedTokens: number;
  /** Rows or pieces left out because no token in them predicts a learnt one, and their tokens. */
  dropped: number;
  droppedTokens: number;
}

/** Tokens [start, end) of row `row`, short enough for a sequence. */
export interface Piece {
  row: number;
  start: number;
  end: number;
}

export interface PackOptions {
  /** L: positions of a sequence, at least 2. */
  maxLength: number;
  /** Token id written on padding; it is attended by itself alone. Default 0. */
  padId?: number;
}

function checkLength(maxLength: number): void {
  if (!Number.isSafeInteger(maxLength) || maxLength < 2) {
    throw new RangeError(`A sequence needs a whole number of at least 2 tokens, not ${String(maxLength)}.`);
  }
}

function predictsAnything({ labels }: TokenRow, start: number, end: number): boolean {
  // The first token of a piece is predicted by none.
  for (let t = start + 1; t < end; t++) if (labels[t] !== IGNORED_LABEL) return true;
  return false;
}

/** Cuts rows to at most `maxLength` tokens and leaves out what would teach nothing; in the order of the rows. */
export function fitRows(rows: readonly TokenRow[], maxLength: number): { pieces: Piece[]; report: FitReport } {
  checkLength(maxLength);
  const pieces: Piece[] = [];
  const report: FitReport = { split: 0, truncated: 0, truncatedTokens: 0, dropped: 0, droppedTokens: 0 };
  rows.forEach((row, index) => {
    const length = row.inputIds.length;
    if (row.labels.length !== length) {
      throw new RangeError(
        `Row ${String(index)} has ${String(length)} tokens but ${String(row.labels.length)} labels; they must be as many.`,
      );
    }
    let used = length;
    if (length > maxLength) {
      if (row.continuous) {
        report.split++;
      } else {
        report.truncated++;
        report.truncatedTokens += length - maxLength;
        used = maxLength;
      }
    }
    for (let start = 0; start < used || start === 0; start += maxLength) {
      const end = Math.min(used, start + maxLength);
      if (predictsAnything(row, start, end)) {
        pieces.push({ row: index, start, end });
      } else {
        report.dropped++;
        report.droppedTokens += end - start;
      }
    }
  });
  return { pieces, report };
}

/** The smallest number in the set that is at least `from`, or -1. */
function smallestFrom(bits: Uint32Array, from: number): number {
  let word = from >>> 5;
  let part = (bits[word] ?? 0) & (~0 << (from & 31));
  while (part === 0) {
    word++;
    if (word >= bits.length) return -1;
    part = bits[word] ?? 0;
  }
  return word * 32 + 31 - Math.clz32(part & -part);
}

/**
 * Best-fit decreasing bin packing: longest pieces first, each into the fullest bin that still has room (for many
 * pieces at most 11/9 of the fewest bins there could be: Johnson 1973). Deterministic; equal lengths keep their order.
 */
function binPack(pieces: readonly Piece[], maxLength: number): Piece[][] {
  const lengthOf = ({ start, end }: Piece): number => end - start;
  const sorted = [...pieces].sort((a, b) => lengthOf(b) - lengthOf(a));
  const bins: Piece[][] = [];
  // Open bins by the room left in them, and the set of rooms that occur.
  const byRoom: Piece[][][] = Array.from({ length: maxLength + 1 }, () => []);
  const rooms = new Uint32Array((maxLength >>> 5) + 1);
  for (const piece of sorted) {
    const length = lengthOf(piece);
    const room = smallestFrom(rooms, length);
    const candidates = room < 0 ? undefined : byRoom[room];
    let bin = candidates?.pop();
    if (bin === undefined) {
      bin = [];
      bins.push(bin);
    } else if (candidates?.length === 0) {
      rooms[room >>> 5] = (rooms[room >>> 5] ?? 0) & ~(1 << (room & 31));
    }
    bin.push(piece);
    const left = (room < 0 ? maxLength : room) - length;
    byRoom[left]?.push(bin);
    rooms[left >>> 5] = (rooms[left >>> 5] ?? 0) | (1 << (left & 31));
  }
  return bins;
}

/** Lays pieces one after another into a sequence. */
function layOut(
  rows: readonly TokenRow[],
  pieces: readonly Piece[],
  { maxLength, padId = 0 }: PackOptions,
): PackedSequence {
  const sequence: PackedSequence = {
    inputIds: new Uint32Array(maxLength).fill(padId),
    labels: new Int32Array(maxLength).fill(IGNORED_LABEL),
    positions: new Uint32Array(maxLength),
    segments: [],
    rows: [],
    tokens: 0,
    labelTokens: 0,
  };
  let at = 0;
  for (const { row, start, end } of pieces) {
    const source = rows[row];
    if (source === undefined) throw new RangeError(`There is no row ${String(row)}.`);
    const begin = at;
    for (let t = start; t < end; t++, at++) {
      sequence.inputIds[at] = source.inputIds[t] ?? 0;
      sequence.positions[at] = t - start;
      const next = t + 1 < end ? (source.labels[t + 1] ?? IGNORED_LABEL) : IGNORED_LABEL;
      sequence.labels[at] = next;
      if (next !== IGNORED_LABEL) sequence.labelTokens++;
    }
    sequence.segments.push([begin, at]);
    sequence.rows.push(row);
  }
  sequence.tokens = at;
  return sequence;
}

/** Packs rows into as few sequences of `maxLength` as best-fit decreasing finds. */
export function packRows(
  rows: readonly TokenRow[],
  options: PackOptions,
): { sequences: PackedSequence[]; report: FitReport } {
  const { pieces, report } = fitRows(rows, options.maxLength);
  const bins = binPack(pieces, options.maxLength);
  return { sequences: bins.map((bin) => layOut(rows, bin, options)), report };
}

/** One row (or piece of one) a sequence, in the order of the rows, padded on the right. */
export function padRows(
  rows: readonly TokenRow[],
  options: PackOptions,
): { sequences: PackedSequence[]; report: FitReport } {
  const { pieces, report } = fitRows(rows, options.maxLength);
  return { sequences: pieces.map((piece) => layOut(rows, [piece], options)), report };
}

/**
 * One row as it is, padded on the right; also where nothing in it is learnt, as a prepared batch may hold such rows.
 * @throws RangeError where it is longer than `maxLength`.
 */
export function padRow(row: TokenRow, options: PackOptions): PackedSequence {
  const length = row.inputIds.length;
  if (length > options.maxLength) {
    throw new RangeError(`A row of ${String(length)} tokens does not fit into ${String(options.maxLength)}.`);
  }
  if (row.labels.length !== length) {
    throw new RangeError(`${String(length)} tokens but ${String(row.labels.length)} labels; they must be as many.`);
  }
  return layOut([row], length > 0 ? [{ row: 0, start: 0, end: length }] : [], options);
}

/** Half-open ranges of each position, for attention within segments. */
export interface TokenRanges {
  /** Query t attends the keys [kBegin[t], kEnd[t]). */
  kBegin: Uint32Array<ArrayBuffer>;
  kEnd: Uint32Array<ArrayBuffer>;
  /** Key t is attended by the queries [qBegin[t], qEnd[t]). */
  qBegin: Uint32Array<ArrayBuffer>;
  qEnd: Uint32Array<ArrayBuffer>;
}

/**
 * Attention ranges of a sequence of `length` positions, causal or in a window. Segments must follow one another without
 * overlap; a position outside of them attends itself alone, so that its softmax is defined and nothing else sees it.
 */
export function tokenRanges(segments: readonly Segment[], length: number, range: KeyRange = 'causal'): TokenRanges {
  const own = Uint32Array.from({ length }, (_, t) => t);
  const next = Uint32Array.from({ length }, (_, t) => t + 1);
  const ranges: TokenRanges = { kBegin: own.slice(), kEnd: next.slice(), qBegin: own, qEnd: next };
  let before = 0;
  for (const [start, end] of segments) {
    if (!(start >= before && end >= start && end <= length)) {
      throw new RangeError(
        `Segment [${String(start)}, ${String(end)}) overlaps another or leaves 0..${String(length)}.`,
      );
    }
    if (range === 'causal') {
      ranges.kBegin.fill(start, start, end);
      ranges.qEnd.fill(end, start, end);
    } else {
      for (let t = start; t < end; t++) {
        ranges.kBegin[t] = start + firstKey(range, t - start);
        ranges.qEnd[t] = Math.min(end, t + range.window);
      }
    }
    before = end;
  }
  return ranges;
}
