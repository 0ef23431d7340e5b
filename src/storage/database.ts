import { openDB, type DBSchema, type IDBPDatabase, type IDBPObjectStore, type StoreNames } from 'idb';
import { storageError } from './errors.ts';
import type {
  BaseRecord,
  CheckpointInfo,
  DatasetRecord,
  Json,
  MetricsRecord,
  PictureFileRecord,
  PictureRowsRecord,
  ProjectRecord,
  RowChunkRecord,
  RunRecord,
  SamplePoint,
  SoundFileRecord,
  SoundRowsRecord,
} from './records.ts';

interface Schema extends DBSchema {
  projects: { key: string; value: ProjectRecord };
  datasets: { key: string; value: DatasetRecord; indexes: { project: string } };
  rows: { key: [string, number]; value: RowChunkRecord };
  bases: { key: string; value: BaseRecord };
  runs: { key: string; value: RunRecord; indexes: { project: string } };
  metrics: { key: [string, number]; value: MetricsRecord };
  checkpoints: { key: [string, number]; value: CheckpointInfo };
  checkpointBytes: { key: [string, number]; value: Uint8Array<ArrayBuffer> };
  settings: { key: string; value: Json };
  pictureRows: { key: string; value: PictureRowsRecord };
  pictureFiles: { key: [string, string]; value: PictureFileRecord };
  soundRows: { key: string; value: SoundRowsRecord };
  soundFiles: { key: [string, string]; value: SoundFileRecord };
}

export type Database = IDBPDatabase<Schema>;

const NAME = 'athanor';
const VERSION = 4;

/** Before version 4 what was drawn and composed along the way had lists of its own. */
async function joinSamples(
  store: IDBPObjectStore<Schema, StoreNames<Schema>[], 'metrics', 'versionchange'>,
): Promise<void> {
  type Older = MetricsRecord & { pictures?: SamplePoint[]; sounds?: SamplePoint[] };
  for (let cursor = await store.openCursor(); cursor; cursor = await cursor.continue()) {
    const { pictures = [], sounds = [], ...record }: Older = cursor.value;
    await cursor.update({ ...record, samples: [...record.samples, ...pictures, ...sounds] });
  }
}

let opened: Promise<Database> | null = null;

/**
 * The one connection of this thread. A newer page elsewhere that must upgrade the schema is let through: the connection
 * closes and the next call opens it anew.
 */
export function database(): Promise<Database> {
  opened ??= openDB<Schema>(NAME, VERSION, {
    async upgrade(db, from, _to, change) {
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
      if (from > 0 && from < 4) await joinSamples(change.objectStore('metrics'));
    },
    blocking(_current, _blocked, event) {
      (event.target as IDBDatabase).close();
      opened = null;
    },
    terminated() {
      opened = null;
    },
  }).catch((error: unknown) => {
    opened = null;
    throw storageError(error, 'your projects');
  });
  return opened;
}

/** All keys of a compound key [id, number or string] that begin with this id. */
export function keysOf(id: string): IDBKeyRange {
  // Arrays come after every number and string in the database's order.
  return IDBKeyRange.bound([id, -Infinity], [id, []]);
}

/** A random id, also where crypto.randomUUID is missing (pages not served over https). */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(36).padStart(2, '0')).join('');
}
