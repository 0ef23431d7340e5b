import { UserError } from '../../common/errors.ts';
import type { TrainingRow } from '../../datasets/voice/rows.ts';
import { getDataset } from '../../storage/datasets.ts';
import type { ProjectRecord } from '../../storage/records.ts';
import type { LearningData, VoiceModel } from '../../tasks/voice/model.ts';
import type { GenerateChunk } from '../../tasks/voice/types.ts';
import type { WorkerKind } from '../kind.ts';
import { voiceRows } from './rows.ts';

/** The rows that were read last: a plan is made again with every setting that changes. */
let known: { key: string; rows: TrainingRow[] } | null = null;

async function rowsOf({ datasetId }: Pick<ProjectRecord, 'datasetId'>): Promise<TrainingRow[]> {
  const record = datasetId ? await getDataset(datasetId) : undefined;
  if (!record || record.rowCount === 0)
    throw new UserError('There is nothing to learn from yet. Add texts or conversations under Data.');
  const key = `${record.id}/${record.changedAt}`;
  if (known?.key !== key) known = { key, rows: await voiceRows.read(record.id) };
  return known.rows;
}

export const workerVoice: WorkerKind<VoiceModel, LearningData, GenerateChunk, string> = {
  learningData: async (project) => ({ rows: await rowsOf(project) }),
  encodeEvent: (chunk) => chunk,
  encodeSample: (text) => text,
  preview: (model, rows) => model.preview(rows as readonly TrainingRow[]),
};
