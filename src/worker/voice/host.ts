import { findDuplicates, searchRows } from '../../datasets/voice/curation.ts';
import { qualityLine, type QualityLine } from '../../datasets/voice/quality.ts';
import { rowToLine, type TrainingRow } from '../../datasets/voice/rows.ts';
import { DatasetHost } from '../dataset-host.ts';
import { voiceDataset, type VoiceState, type VoiceTypes } from './dataset.ts';

export type { VoiceInput, VoiceState, VoiceTypes } from './dataset.ts';

export interface RowPage {
  rows: { index: number; row: TrainingRow }[];
  /** Rows that match the query; all rows without one. */
  matching: number;
}

/** The rows of voices. What only reads does not wait for its turn: it shows what there is. */
export class VoiceHost extends DatasetHost<VoiceTypes> {
  /** The last search; rows are a new list after every change. */
  #search: { rows: readonly TrainingRow[]; query: string; indices: number[] } | null = null;

  constructor() {
    super(voiceDataset);
  }

  /** Removes the rows that repeat an earlier one. Returns how many those were. */
  removeDuplicates(projectId: string): Promise<{ state: VoiceState; removed: number }> {
    return this.use(projectId, async (session) => {
      let removed = 0;
      const state = await session.applyIf(({ rows }) => {
        const indices = findDuplicates(rows, 'normalised');
        removed = indices.length;
        return removed === 0 ? null : { kind: 'remove', indices, label: `Remove ${removed} repeats` };
      });
      return { state, removed };
    });
  }

  /** Rows [start, start + count) of those that hold every word of the query. */
  page(projectId: string, query: string, start: number, count: number): Promise<RowPage> {
    return this.use(projectId, ({ now: { rows } }) => {
      if (query.trim() === '') {
        this.#search = null;
        return {
          rows: rows.slice(start, start + count).map((row, i) => ({ index: start + i, row })),
          matching: rows.length,
        };
      }
      if (this.#search?.rows !== rows || this.#search.query !== query) {
        this.#search = { rows, query, indices: searchRows(rows, query) };
      }
      const { indices } = this.#search;
      return {
        rows: indices.slice(start, start + count).map((index) => ({ index, row: rows[index]! })),
        matching: indices.length,
      };
    });
  }

  quality(projectId: string): Promise<QualityLine> {
    return this.use(projectId, ({ now: { rows } }) => qualityLine(rows));
  }

  /** The set as rows.jsonl, for other trainers. */
  toJsonl(projectId: string): Promise<Blob> {
    return this.use(
      projectId,
      ({ now: { rows } }) =>
        new Blob(
          rows.map((row) => `${rowToLine(row)}\n`),
          { type: 'application/jsonl' },
        ),
    );
  }
}
