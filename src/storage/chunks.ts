/** What the rows of a kind are, as far as keeping them in chunks asks. */
export interface RowForm<Row extends object> {
  /** UTF-16 units of text in a row. */
  characters(row: Row): number;
  /** What stays the same when a row is edited; the row itself where an edited row is another one. */
  key(row: Row): unknown;
}

/** A chunk is closed when it holds this many rows or characters: an edit rewrites one chunk only. */
const ROWS_PER_CHUNK = 400;
const CHARACTERS_PER_CHUNK = 1_000_000;

/** Cuts rows into chunks: a pure function, so that a change can be compared with what lies there. */
export function chunkRows<Row extends object>(
  rows: readonly Row[],
  { characters: lengthOf }: Pick<RowForm<Row>, 'characters'>,
): Row[][] {
  const chunks: Row[][] = [];
  let chunk: Row[] = [];
  let characters = 0;
  for (const row of rows) {
    const length = lengthOf(row);
    if (chunk.length > 0 && (chunk.length >= ROWS_PER_CHUNK || characters + length > CHARACTERS_PER_CHUNK)) {
      chunks.push(chunk);
      chunk = [];
      characters = 0;
    }
    chunk.push(row);
    characters += length;
  }
  if (chunk.length > 0) chunks.push(chunk);
  return chunks;
}

/**
 * The chunks after an edit: every row stays in the chunk where it lies, a new one joins its neighbour before it, and what
 * was appended is cut into chunks of its own. So an edit rewrites one chunk, or two at their border,
 * however large the set.
 */
export function rechunk<Row extends object>(
  before: readonly (readonly Row[])[],
  after: readonly Row[],
  form: RowForm<Row>,
): Row[][] {
  if (before.length === 0) return chunkRows(after, form);
  const owner = new Map<unknown, number>();
  before.forEach((chunk, index) => {
    for (const row of chunk) owner.set(form.key(row), index);
  });
  const chunks: Row[][] = before.map(() => []);
  let current = 0;
  for (const row of after) {
    current = Math.max(current, owner.get(form.key(row)) ?? current);
    chunks[current]!.push(row);
  }
  const last = chunks.pop()!;
  return last.length === 0 ? [...chunks, last] : [...chunks, ...chunkRows(last, form)];
}

/** Whether two chunks hold the very same rows. */
export const isSameChunk = (a: readonly object[] | undefined, b: readonly object[]): boolean =>
  a !== undefined && a.length === b.length && a.every((row, i) => row === b[i]);
