import type { IDBPTransaction, StoreNames } from 'idb';
import { emptyPreview, extendPreview, type Preview } from './preview.ts';
import type { MetricsRecord, SamplePoint } from './records.ts';
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
  if (from < 2) {
    db.createObjectStore('pictureRows', { keyPath: 'datasetId' });
    db.createObjectStore('pictureFiles', { keyPath: ['datasetId', 'id'] });
  }
  if (from < 3) {
    db.createObjectStore('soundRows', { keyPath: 'datasetId' });
    db.createObjectStore('soundFiles', { keyPath: ['datasetId', 'id'] });
  }
  if (from < 4) {
    db.createObjectStore('previews', { keyPath: 'runId' });
    db.createObjectStore('previewPictures');
    await joinSamples(change);
  }
}
