import { rowLength, type TrainingRow } from '../datasets/voice/rows.ts';
import { database, keysOf } from './database.ts';
import { withStorageErrors } from './errors.ts';
import type { DatasetRecord, RowChunkRecord } from './records.ts';

/** A chunk is closed when it holds this many rows or characters: an edit rewrites one chunk only. */
const ROWS_PER_CHUNK = 400;
const CHARACTERS_PER_CHUNK = 1_000_000;

export async function getDataset(id: string): Promise<DatasetRecord | undefined> {
  return (await database()).get('datasets', id);
}

/** The data set of a project that does not name it: its first import was broken off. */
export async function findDataset(projectId: string): Promise<DatasetRecord | undefined> {
  return (await database()).getFromIndex('datasets', 'project', projectId);
}

/** The rows of a data set, in order, as they lie in chunks. */
export async function readChunks(datasetId: string): Promise<TrainingRow[][]> {
  const chunks = await (await database()).getAll('rows', keysOf(datasetId));
  return chunks.map((chunk) => chunk.rows);
}

export async function readRows(datasetId: string): Promise<TrainingRow[]> {
  return (await readChunks(datasetId)).flat();
}

/** Cuts rows into chunks: a pure function, so that a change can be compared with what lies there. */
export function chunkRows(rows: readonly TrainingRow[]): TrainingRow[][] {
  const chunks: TrainingRow[][] = [];
  let chunk: TrainingRow[] = [];
  let characters = 0;
  for (const row of rows) {
    const length = rowLength(row);
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

/** How many characters one transaction writes, so that a large set is never cloned whole. */
const CHARACTERS_PER_TRANSACTION = 8_000_000;

/**
 * Writes a data set: its rows first, under a new name, then the record that names them; what lay there before goes last.
 * A full disk therefore leaves the former set as it was.
 */
export async function writeDataset(record: DatasetRecord, rows: readonly TrainingRow[]): Promise<void> {
  const chunks = chunkRows(rows);
  await withStorageErrors('the data set', async () => {
    const db = await database();
    try {
      let start = 0;
      while (start < chunks.length) {
        const write = db.transaction('rows', 'readwrite');
        let characters = 0;
        const puts: Promise<unknown>[] = [];
        while (start < chunks.length && characters < CHARACTERS_PER_TRANSACTION) {
          const part: RowChunkRecord = { datasetId: record.id, index: start, rows: chunks[start]! };
          characters += part.rows.reduce((sum, row) => sum + rowLength(row), 0);
          puts.push(write.store.put(part));
          start += 1;
        }
        await Promise.all([...puts, write.done]);
      }
      await db.put('datasets', record);
    } catch (error) {
      // The half that was written must not fill the disk.
      await db.delete('rows', keysOf(record.id)).catch(() => undefined);
      throw error;
    }
  });
}

export async function deleteDataset(id: string): Promise<void> {
  const db = await database();
  await db.delete('rows', keysOf(id));
  await db.delete('pictureFiles', keysOf(id));
  await db.delete('pictureRows', id);
  await db.delete('soundFiles', keysOf(id));
  await db.delete('soundRows', id);
  await db.delete('datasets', id);
}

/**
 * The chunks after an edit: every row stays in the chunk where it lies, a new one joins its neighbour before it, and what
 * was appended is cut into chunks of its own. So an edit rewrites one chunk, or two at their border,
 * however large the set.
 */
export function rechunk(before: readonly (readonly TrainingRow[])[], after: readonly TrainingRow[]): TrainingRow[][] {
  if (before.length === 0) return chunkRows(after);
  const owner = new Map<TrainingRow, number>();
  before.forEach((chunk, index) => {
    for (const row of chunk) owner.set(row, index);
  });
  const chunks: TrainingRow[][] = before.map(() => []);
  let current = 0;
  for (const row of after) {
    current = Math.max(current, owner.get(row) ?? current);
    chunks[current]!.push(row);
  }
  const last = chunks.pop()!;
  return last.length === 0 ? [...chunks, last] : [...chunks, ...chunkRows(last)];
}

/** Writes the chunks that changed, and the record, in one transaction. Returns the chunks as they lie now. */
export async function updateRows(
  record: DatasetRecord,
  before: readonly (readonly TrainingRow[])[],
  after: readonly TrainingRow[],
): Promise<TrainingRow[][]> {
  const chunks = rechunk(before, after);
  const same = (a: readonly TrainingRow[] | undefined, b: readonly TrainingRow[]): boolean =>
    a !== undefined && a.length === b.length && a.every((row, i) => row === b[i]);
  await withStorageErrors('the change', async () => {
    const write = (await database()).transaction(['rows', 'datasets'], 'readwrite');
    const rows = write.objectStore('rows');
    const puts: Promise<unknown>[] = [write.objectStore('datasets').put(record)];
    chunks.forEach((chunk, index) => {
      if (!same(before[index], chunk)) puts.push(rows.put({ datasetId: record.id, index, rows: chunk }));
    });
    for (let index = chunks.length; index < before.length; index++) puts.push(rows.delete([record.id, index]));
    await Promise.all([...puts, write.done]);
  });
  return chunks;
}
