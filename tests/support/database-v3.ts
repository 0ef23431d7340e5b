/** Records of version 3 of the database as far as tests look into them; src/storage/records.ts has what is written today. */

export interface ProjectV3 {
  id: string;
  task: 'voice' | 'look' | 'sound';
  look: { sampleSeed: number };
  sound: { sampleSeed: number };
  changedAt: number;
  datasetId: string | null;
  realPerson: boolean;
  votes: { better: number; same: number; worse: number };
}

export interface DatasetV3 {
  id: string;
  projectId: string;
  rowCount: number;
  pictureBytes?: number;
  soundBytes?: number;
}

export interface RowChunkV3 {
  datasetId: string;
  index: number;
  rows: { kind: string }[];
}

export interface PictureRowsV3 {
  datasetId: string;
  rows: { id: string; masked: boolean }[];
}

export interface PictureFileV3 {
  datasetId: string;
  id: string;
  picture: Blob;
  thumbnail: Blob;
  mask: Blob | null;
}

export interface SoundRowsV3 {
  datasetId: string;
  files: { id: string }[];
  clips: { id: string; kept: boolean }[];
}

export interface SoundFileV3 {
  datasetId: string;
  id: string;
  file: Blob;
  waveform: { perSecond: number; peaks: Uint8Array };
}

export interface RunV3 {
  id: string;
  projectId: string;
  baseId: string;
  startedAt: number;
  status: 'running' | 'stopped' | 'finished' | 'failed';
}

/** Samples of a voice lie in `samples`, of a look in `pictures`, of a sound in `sounds`. */
export interface MetricsV3 {
  runId: string;
  sequence: number;
  steps: { step: number }[];
  evaluations: { step: number; loss: number }[];
  samples: { step: number; prompt: string; base: string; tuned: string }[];
  pictures?: SampleFilesV3[];
  sounds?: SampleFilesV3[];
}

export interface SampleFilesV3 {
  step: number;
  prompt: string;
  seed: number;
  base: Blob;
  tuned: Blob;
}

export interface CheckpointV3 {
  runId: string;
  step: number;
  size: number;
}

export interface BaseV3 {
  id: string;
  name: string;
  createdAt: number;
  complete: boolean;
}
