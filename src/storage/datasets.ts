import type { IDBPTransaction, StoreNames } from 'idb';
import { chunkRows, isSameChunk, rechunk, type RowForm } from './chunks.ts';
import { database, keysOf } from './database.ts';
import { withStorageErrors } from './errors.ts';
import type { DatasetFileRecord, DatasetRecord, FileParts } from './records.ts';
import type { Schema } from './schema.ts';

export async function getDataset(id: string): Promise<DatasetRecord | undefined> {
  return (await database()).get('datasets', id);
}

/** The data set of a project that does not name it: its first import was broken off. */
export async function findDataset(projectId: string): Promise<DatasetRecord | undefined> {
  return (await database()).getFromIndex('datasets', 'project', projectId);
}

export async function deleteDataset(id: string): Promise<void> {
  const db = await database();
  await db.delete('rows', keysOf(id));
  await db.delete('files', keysOf(id));
  await db.delete('datasets', id);
}

/** How many characters one transaction writes, so that a large set is never cloned whole. */
const CHARACTERS_PER_TRANSACTION = 8_000_000;

/** What changes of files together with rows, by the file's id. */
export type FileChanges = ReadonlyMap<string, FileParts>;

type RecordWrite = IDBPTransaction<Schema, StoreNames<Schema>[], 'readwrite'>;

async function putRecord(
  write: Pick<RecordWrite, 'objectStore'>,
  record: DatasetRecord,
  changes: FileChanges,
): Promise<void> {
  const files = write.objectStore('files');
  for (const [id, parts] of changes) {
    const file = await files.get([record.id, id]);
    if (file) await files.put({ ...file, ...parts });
  }
  await write.objectStore('datasets').put(record);
}

/** The rows of the data sets of one kind, which lie in chunks. */
export class DatasetRows<Row extends object> {
  readonly #form: RowForm<Row>;

  constructor(form: RowForm<Row>) {
    this.#form = form;
  }

  /** The rows of a data set, in order, as they lie in chunks. */
  async readChunks(datasetId: string): Promise<Row[][]> {
    const chunks = await (await database()).getAll('rows', keysOf(datasetId));
    // A data set is of one kind: what lies there is what this kind wrote.
    return chunks.map((chunk) => chunk.rows as Row[]);
  }

  async read(datasetId: string): Promise<Row[]> {
    return (await this.readChunks(datasetId)).flat();
  }

  /**
   * Writes the rows as they are now, the record that counts them, and what changed of files with them; `before` is how they lay,
   * null where nothing lies there. A full disk leaves everything as it was. Returns the chunks as they lie now.
   */
  async write(
    record: DatasetRecord,
    before: readonly (readonly Row[])[] | null,
    rows: readonly Row[],
    changes: FileChanges = new Map(),
  ): Promise<Row[][]> {
    if (before) return withStorageErrors('the change', () => this.#update(record, before, rows, changes));
    return withStorageErrors('the data set', () => this.#writeFirst(record, rows, changes));
  }

  /** Rows first, in as many transactions as their size asks for, then the record that names them: until then they do not count. */
  async #writeFirst(record: DatasetRecord, rows: readonly Row[], changes: FileChanges): Promise<Row[][]> {
    const chunks = chunkRows(rows, this.#form);
    const db = await database();
    try {
      let start = 0;
      while (start < chunks.length) {
        const write = db.transaction('rows', 'readwrite');
        let characters = 0;
        const puts: Promise<unknown>[] = [];
        while (start < chunks.length && characters < CHARACTERS_PER_TRANSACTION) {
          const part = chunks[start]!;
          characters += part.reduce((sum, row) => sum + this.#form.characters(row), 0);
          puts.push(write.store.put({ datasetId: record.id, index: start, rows: part }));
          start += 1;
        }
        await Promise.all([...puts, write.done]);
      }
      const write = db.transaction(['files', 'datasets'], 'readwrite');
      await Promise.all([putRecord(write, record, changes), write.done]);
    } catch (error) {
      // The half that was written must not fill the disk.
      await db.delete('rows', keysOf(record.id)).catch(() => undefined);
      throw error;
    }
    return chunks;
  }

  /** The chunks that changed, the record and the files, in one transaction. */
  async #update(
    record: DatasetRecord,
    before: readonly (readonly Row[])[],
    after: readonly Row[],
    changes: FileChanges,
  ): Promise<Row[][]> {
    const chunks = rechunk(before, after, this.#form);
    const write = (await database()).transaction(['rows', 'files', 'datasets'], 'readwrite');
    const rows = write.objectStore('rows');
    const puts = async (): Promise<void> => {
      await putRecord(write, record, changes);
      for (const [index, chunk] of chunks.entries()) {
        if (!isSameChunk(before[index], chunk)) await rows.put({ datasetId: record.id, index, rows: chunk });
      }
      for (let index = chunks.length; index < before.length; index++) await rows.delete([record.id, index]);
    };
    await Promise.all([puts(), write.done]);
    return chunks;
  }
}

/** A file of a data set; undefined where it is gone. Its bytes are read in slices: it may be larger than memory. */
export async function readFile(datasetId: string, id: string): Promise<DatasetFileRecord | undefined> {
  return (await database()).get('files', [datasetId, id]);
}

/** Keeps a file; `what` is what to call it. It counts only when a row names it. */
export async function writeFile(file: DatasetFileRecord, what: string): Promise<void> {
  await withStorageErrors(what, async () => {
    await (await database()).put('files', file);
  });
}

/** Drops the files that no row names any more: what was removed stays while its removal can be undone. */
export async function dropUnusedFiles(datasetId: string, used: readonly { id: string }[]): Promise<void> {
  const db = await database();
  const wanted = new Set(used.map(({ id }) => id));
  for (const key of await db.getAllKeys('files', keysOf(datasetId))) {
    if (!wanted.has(key[1])) await db.delete('files', key);
  }
}
