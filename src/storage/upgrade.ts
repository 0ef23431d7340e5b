import type { DBSchema, IDBPDatabase, IDBPTransaction, StoreNames } from 'idb';
import type { PictureRow } from '../datasets/look/types.ts';
import type { Clip, SoundFile } from '../datasets/sound/types.ts';
import { chunkRows } from './chunks.ts';
import { emptyPreview, extendPreview, type Preview } from './preview.ts';
import type { DatasetFileRecord, DatasetRecord, MetricsRecord, SamplePoint } from './records.ts';
import type { Database, Schema } from './schema.ts';

export type UpgradeTransaction = IDBPTransaction<Schema, StoreNames<Schema>[], 'versionchange'>;

/** Before version 4 what was drawn and composed along the way had lists of its own. */
type OlderMetrics = MetricsRecord & { pictures?: SamplePoint[]; sounds?: SamplePoint[] };

/**
 * Joins the lists of samples, and makes every run's preview: each piece of history is read this once, and never again for a
 * list. Pieces come in the order of runs and of time.
 */
async function joinSamples(change: UpgradeTransaction): Promise<void> {
  let preview: Preview | null = null;
  const keep = async (): Promise<void> => {
    if (!preview) return;
    const { record, picture } = preview;
    await change.objectStore('previews').put(record);
    if (picture) await change.objectStore('previewPictures').put(picture, record.runId);
  };
  for (let cursor = await change.objectStore('metrics').openCursor(); cursor; cursor = await cursor.continue()) {
    const { pictures, sounds, ...record }: OlderMetrics = cursor.value;
    const samples = [...record.samples, ...(pictures ?? []), ...(sounds ?? [])];
    if (pictures ?? sounds) await cursor.update({ ...record, samples });
    if (preview?.record.runId !== record.runId) {
      await keep();
      preview = emptyPreview(record.runId);
    }
    preview = extendPreview(preview, { steps: record.steps, samples });
  }
  await keep();
}

/** What pictures and sounds lay in before version 4: each kind had stores of its own. */
interface OlderSchema extends DBSchema {
  datasets: { key: string; value: DatasetRecord & { pictureBytes?: number; soundBytes?: number } };
  pictureRows: { key: string; value: { datasetId: string; rows: PictureRow[] } };
  pictureFiles: {
    key: [string, string];
    value: { datasetId: string; id: string; picture: Blob; thumbnail: Blob; mask: Blob | null };
  };
  soundRows: { key: string; value: { datasetId: string; files: SoundFile[]; clips: Clip[] } };
  soundFiles: { key: [string, string]; value: DatasetFileRecord };
}
type OlderTransaction = IDBPTransaction<OlderSchema, StoreNames<OlderSchema>[], 'versionchange'>;

/** Rows of pictures and of sounds are short: as many go into a chunk as it takes. */
const SHORT = { characters: () => 0 };

/**
 * Songs, which may be gigabytes, stay where they lie: their store gets the new name. Pictures move into it one by one; of each
 * only the handles of its files pass through here, and what it takes is noted in its row.
 */
async function joinFiles(change: UpgradeTransaction, older: OlderTransaction): Promise<Map<string, number>> {
  (older.objectStore('soundFiles') as { name: string }).name = 'files';
  const bytes = new Map<string, number>();
  let cursor = await older.objectStore('pictureFiles').openCursor();
  for (; cursor; cursor = await cursor.continue()) {
    const { datasetId, id, picture, thumbnail, mask } = cursor.value;
    await change.objectStore('files').put({ datasetId, id, file: picture, thumbnail, mask });
    bytes.set(`${datasetId}/${id}`, picture.size + thumbnail.size);
  }
  return bytes;
}

/** One store of rows, and one of files. */
async function joinDatasets(db: IDBPDatabase<OlderSchema>, change: UpgradeTransaction): Promise<void> {
  const older = change as unknown as OlderTransaction;
  const bytes = await joinFiles(change, older);
  const keep = async (datasetId: string, rows: readonly object[]): Promise<void> => {
    for (const [index, chunk] of chunkRows(rows, SHORT).entries()) {
      await change.objectStore('rows').put({ datasetId, index, rows: chunk });
    }
  };
  const covers = new Map<string, string | null>();
  let pictures = await older.objectStore('pictureRows').openCursor();
  for (; pictures; pictures = await pictures.continue()) {
    const { datasetId, rows } = pictures.value;
    await keep(
      datasetId,
      rows.map((row) => ({ ...row, bytes: bytes.get(`${datasetId}/${row.id}`) ?? 0 })),
    );
    covers.set(datasetId, rows[0]?.id ?? null);
  }
  let sounds = await older.objectStore('soundRows').openCursor();
  for (; sounds; sounds = await sounds.continue()) {
    const { datasetId, files, clips } = sounds.value;
    await keep(datasetId, [...files, ...clips]);
  }
  let datasets = await older.objectStore('datasets').openCursor();
  for (; datasets; datasets = await datasets.continue()) {
    const { pictureBytes, soundBytes, ...record } = datasets.value;
    const fileBytes = pictureBytes ?? soundBytes;
    const cover = covers.get(record.id);
    if (fileBytes === undefined && cover === undefined) continue;
    await datasets.update({
      ...record,
      ...(fileBytes !== undefined && { fileBytes }),
      ...(cover !== undefined && { cover }),
    });
  }
  for (const name of ['pictureRows', 'pictureFiles', 'soundRows'] as const) db.deleteObjectStore(name);
}

/** Makes a database of version `from`, 0 where there is none, one of the present. */
export async function upgrade(db: Database, from: number, change: UpgradeTransaction): Promise<void> {
  if (from < 1) {
    db.createObjectStore('projects', { keyPath: 'id' });
    db.createObjectStore('datasets', { keyPath: 'id' }).createIndex('project', 'projectId');
    db.createObjectStore('rows', { keyPath: ['datasetId', 'index'] });
    db.createObjectStore('bases', { keyPath: 'id' });
    db.createObjectStore('runs', { keyPath: 'id' }).createIndex('project', 'projectId');
    db.createObjectStore('metrics', { keyPath: ['runId', 'sequence'] });
    db.createObjectStore('checkpoints', { keyPath: ['runId', 'step'] });
    db.createObjectStore('checkpointBytes');
    db.createObjectStore('settings');
  }
  const older = db as unknown as IDBPDatabase<OlderSchema>;
  if (from < 2) {
    older.createObjectStore('pictureRows', { keyPath: 'datasetId' });
    older.createObjectStore('pictureFiles', { keyPath: ['datasetId', 'id'] });
  }
  if (from < 3) {
    older.createObjectStore('soundRows', { keyPath: 'datasetId' });
    older.createObjectStore('soundFiles', { keyPath: ['datasetId', 'id'] });
  }
  if (from < 4) {
    db.createObjectStore('previews', { keyPath: 'runId' });
    db.createObjectStore('previewPictures');
    await joinSamples(change);
    await joinDatasets(older, change);
  }
}
