import { addCounts } from '../../datasets/report.ts';
import { applyOperation, type Operation } from '../../datasets/voice/curation.ts';
import { importFiles, importPasted } from '../../datasets/voice/import/import.ts';
import { rowLength, type ImportReport, type TrainingRow } from '../../datasets/voice/rows.ts';
import type { DatasetRecord } from '../../storage/records.ts';
import type { DatasetKind, DatasetState, DatasetTypes } from '../dataset-kind.ts';
import { voiceRows } from './rows.ts';

/** Skipped things kept for showing; their counts are complete. */
const MOST_EXAMPLES = 60;

/** The rows stay in the worker: the page asks for those that it shows. */
export type VoiceState = DatasetState;

export interface VoiceSnapshot {
  rows: readonly TrainingRow[];
}

/** Files, or a text that was pasted. */
export type VoiceInput = { files: readonly File[] } | { text: string };

export interface VoiceTypes extends DatasetTypes {
  snapshot: VoiceSnapshot;
  /** The rows in the chunks in which they lie: an edit writes those that changed. */
  disk: TrainingRow[][];
  change: Operation;
  options: Record<never, never>;
  input: VoiceInput;
  item: never;
  report: ImportReport;
  state: VoiceState;
}

/** What all imports together understood. */
function joined(record: DatasetRecord | null, report: ImportReport): Partial<DatasetRecord> {
  const { files, skipped, examples, warnings } = record ?? { files: [], skipped: {}, examples: [], warnings: [] };
  return {
    files: [...files, ...report.files],
    skipped: addCounts(skipped, report.skipped),
    examples: [...examples, ...report.examples].slice(0, MOST_EXAMPLES),
    warnings: [...warnings, ...report.warnings],
  };
}

export const voiceDataset: DatasetKind<VoiceTypes> = {
  // A set may have a million rows, and each step lists them.
  steps: 100,

  empty: () => ({ rows: [] }),

  async read({ id }) {
    const chunks = await voiceRows.readChunks(id);
    return { snapshot: { rows: chunks.flat() }, disk: chunks };
  },

  write: (record, { rows }, chunks) => voiceRows.write(record, chunks, rows),

  describe: ({ rows }) => ({
    rowCount: rows.length,
    characters: rows.reduce((sum, row) => sum + rowLength(row), 0),
  }),

  change: ({ rows }, operation) => ({ rows: applyOperation(rows, operation) }),

  async import({ rows: before }, input, { signal, onProgress, keep, set }) {
    const { rows, report } =
      'files' in input
        ? await importFiles(input.files, { signal }, ({ fraction, file, rows: count }) =>
            onProgress({ fraction, file, count }),
          )
        : await importPasted(input.text, { signal });
    if (rows.length > 0) {
      const label = `Add ${report.files.map(({ name }) => name).join(', ')}`;
      await keep(joined(set.record, report), { label, fields: { rows: [...before, ...rows] } });
    }
    return report;
  },

  size: ({ rows }) => rows.length,

  state: () => ({}),
};
