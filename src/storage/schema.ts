import type { DBSchema, IDBPDatabase } from 'idb';
import type {
  BaseRecord,
  CheckpointInfo,
  DatasetRecord,
  Json,
  MetricsRecord,
  PictureFileRecord,
  PictureRowsRecord,
  PreviewRecord,
  ProjectRecord,
  RowChunkRecord,
  RunRecord,
  SoundFileRecord,
  SoundRowsRecord,
} from './records.ts';

/** The stores of the database as they are now. */
export interface Schema extends DBSchema {
  projects: { key: string; value: ProjectRecord };
  datasets: { key: string; value: DatasetRecord; indexes: { project: string } };
  rows: { key: [string, number]; value: RowChunkRecord };
  bases: { key: string; value: BaseRecord };
  runs: { key: string; value: RunRecord; indexes: { project: string } };
  metrics: { key: [string, number]; value: MetricsRecord };
  previews: { key: string; value: PreviewRecord };
  /** The newest picture of each run that makes some, apart: it is not written again with every step. */
  previewPictures: { key: string; value: Blob };
  checkpoints: { key: [string, number]; value: CheckpointInfo };
  checkpointBytes: { key: [string, number]; value: Uint8Array<ArrayBuffer> };
  settings: { key: string; value: Json };
  pictureRows: { key: string; value: PictureRowsRecord };
  pictureFiles: { key: [string, string]; value: PictureFileRecord };
  soundRows: { key: string; value: SoundRowsRecord };
  soundFiles: { key: [string, string]; value: SoundFileRecord };
}

export type Database = IDBPDatabase<Schema>;

export const NAME = 'athanor';
export const VERSION = 4;
