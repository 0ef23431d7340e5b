import type { DBSchema, IDBPDatabase } from 'idb';
import type {
  BaseRecord,
  CheckpointInfo,
  DatasetFileRecord,
  DatasetRecord,
  Json,
  MetricsRecord,
  PreviewRecord,
  ProjectRecord,
  RowChunkRecord,
  RunRecord,
} from './records.ts';

/** The stores of the database as they are now. */
export interface Schema extends DBSchema {
  projects: { key: string; value: ProjectRecord };
  datasets: { key: string; value: DatasetRecord; indexes: { project: string } };
  rows: { key: [string, number]; value: RowChunkRecord };
  files: { key: [string, string]; value: DatasetFileRecord };
  bases: { key: string; value: BaseRecord };
  runs: { key: string; value: RunRecord; indexes: { project: string } };
  metrics: { key: [string, number]; value: MetricsRecord };
  previews: { key: string; value: PreviewRecord };
  /** The newest picture of each run that makes some, apart: it is not written again with every step. */
  previewPictures: { key: string; value: Blob };
  checkpoints: { key: [string, number]; value: CheckpointInfo };
  checkpointBytes: { key: [string, number]; value: Uint8Array<ArrayBuffer> };
  settings: { key: string; value: Json };
}

export type Database = IDBPDatabase<Schema>;

export const NAME = 'athanor';
export const VERSION = 4;
