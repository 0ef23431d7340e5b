import { rowLength, type TrainingRow } from '../../datasets/voice/rows.ts';
import { DatasetRows } from '../../storage/datasets.ts';

/** A row that is edited is another one. */
export const voiceRows = new DatasetRows<TrainingRow>({ characters: rowLength, key: (row) => row });
