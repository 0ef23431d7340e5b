import { proxy } from 'comlink';
import { CurationHistory, findDuplicates, searchRows, type Operation } from '../datasets/voice/curation.ts';
import { ImportError, importFiles, importPasted, type ImportOptions } from '../datasets/voice/import/import.ts';
import { qualityLine, type QualityLine } from '../datasets/voice/quality.ts';
import {
  rowLength,
  rowToLine,
  type ImportReport,
  type ImportResult,
  type SkipReason,
  type TrainingRow,
} from '../datasets/voice/rows.ts';
import { UserError } from '../common/errors.ts';
import { importBase, type IncomingFile } from '../storage/bases.ts';
import { chunkRows, getDataset, readChunks, updateRows, writeDataset } from '../storage/datasets.ts';
import { newId } from '../storage/database.ts';
import { getProject } from '../storage/projects.ts';
import type { BaseRecord, DatasetRecord } from '../storage/records.ts';
import type { Task } from '../common/task.ts';
import { errorMessage, isAbort } from './errors.ts';
import { PictureHost } from './look/host.ts';
import { SoundHost } from './sound/host.ts';

/** Skipped things kept for showing; their counts are complete. */
const MOST_EXAMPLES = 60;

export interface DataState {
  /** Null where nothing was added yet. */
  record: DatasetRecord | null;
  undoLabel: string | null;
  redoLabel: string | null;
}

export interface RowPage {
  rows: { index: number; row: TrainingRow }[];
  /** Rows that match the query; all rows without one. */
  matching: number;
}

export interface ImportOutcome {
  state: DataState;
  /** Null where it was stopped. */
  report: ImportReport | null;
  /** Why nothing was kept; empty where something was. */
  failure: string;
}

type Session = {
  projectId: string;
  record: DatasetRecord | null;
  chunks: TrainingRow[][];
  history: CurationHistory;
  search: { query: string; indices: number[] } | null;
};

/** Reads files into the data set of one project at a time, curates it, and keeps every change at once. */
export class DataHost {
  /** The same for pictures. */
  readonly pictures = proxy(new PictureHost());
  /** And for songs. */
  readonly sounds = proxy(new SoundHost());
  #session: Session | null = null;
  #importing: AbortController | null = null;
  #addingBase: AbortController | null = null;

  async open(projectId: string): Promise<DataState> {
    if (this.#session?.projectId !== projectId) {
      const project = await getProject(projectId);
      const record = (project?.datasetId ? await getDataset(project.datasetId) : undefined) ?? null;
      const chunks = record ? await readChunks(record.id) : [];
      this.#session = { projectId, record, chunks, history: new CurationHistory(chunks.flat()), search: null };
    }
    return this.#state();
  }

  #open(): Session {
    if (!this.#session) throw new UserError('No data set is open. Reload the page.');
    return this.#session;
  }

  #state(): DataState {
    const { record, history } = this.#open();
    return { record, undoLabel: history.undoLabel ?? null, redoLabel: history.redoLabel ?? null };
  }

  /** Adds what the files hold to the set; `onProgress` hears the fraction and the rows so far. */
  async importFiles(
    files: File[],
    options: ImportOptions,
    onProgress: (fraction: number, rows: number) => void,
  ): Promise<ImportOutcome> {
    const abort = new AbortController();
    this.#importing = abort;
    return this.#import(() =>
      importFiles(files, { ...options, signal: abort.signal }, ({ fraction, rows }) => onProgress(fraction, rows)),
    );
  }

  async importText(text: string, options: ImportOptions): Promise<ImportOutcome> {
    return this.#import(() => importPasted(text, options));
  }

  cancelImport(): void {
    this.#importing?.abort();
  }

  async #import(work: () => Promise<ImportResult>): Promise<ImportOutcome> {
    try {
      const { rows, report } = await work();
      const names = report.files.map((file) => file.name).join(', ');
      await this.#change({ kind: 'add', index: this.#open().history.rows.length, rows, label: `Add ${names}` }, report);
      return { state: this.#state(), report, failure: '' };
    } catch (error) {
      if (isAbort(error)) return { state: this.#state(), report: null, failure: '' };
      return {
        state: this.#state(),
        report: error instanceof ImportError ? error.report : null,
        failure: errorMessage(error),
      };
    } finally {
      this.#importing = null;
    }
  }

  async apply(operation: Operation): Promise<DataState> {
    await this.#change(operation);
    return this.#state();
  }

  async undo(): Promise<DataState> {
    const { history } = this.#open();
    history.undo();
    await this.#keep(() => history.redo());
    return this.#state();
  }

  async redo(): Promise<DataState> {
    const { history } = this.#open();
    history.redo();
    await this.#keep(() => history.undo());
    return this.#state();
  }

  /** Removes the rows that repeat an earlier one. Returns how many those were. */
  async removeDuplicates(): Promise<{ state: DataState; removed: number }> {
    const indices = findDuplicates(this.#open().history.rows, 'normalised');
    if (indices.length > 0) await this.#change({ kind: 'remove', indices, label: `Remove ${indices.length} repeats` });
    return { state: this.#state(), removed: indices.length };
  }

  async #change(operation: Operation, report?: ImportReport): Promise<void> {
    const { history } = this.#open();
    history.apply(operation);
    await this.#keep(() => history.undo(), report);
  }

  /** Writes the rows as they are now; where that fails, `takeBack` makes the list in memory what lies on disk. */
  async #keep(takeBack: () => void, report?: ImportReport): Promise<void> {
    const session = this.#open();
    const { rows } = session.history;
    const record: DatasetRecord = {
      ...(session.record ?? {
        id: newId(),
        projectId: session.projectId,
        files: [],
        skipped: {},
        examples: [],
        warnings: [],
      }),
      rowCount: rows.length,
      characters: rows.reduce((sum, row) => sum + rowLength(row), 0),
      changedAt: Date.now(),
    };
    if (report) addReport(record, report);
    try {
      if (session.record) {
        session.chunks = await updateRows(record, session.chunks, rows);
      } else {
        await writeDataset(record, rows);
        session.chunks = chunkRows(rows);
      }
    } catch (error) {
      takeBack();
      throw error;
    } finally {
      session.search = null;
    }
    session.record = record;
  }

  /** Rows [start, start + count) of those that hold every word of the query. */
  page(query: string, start: number, count: number): RowPage {
    const session = this.#open();
    const { rows } = session.history;
    if (query.trim() === '') {
      return {
        rows: rows.slice(start, start + count).map((row, i) => ({ index: start + i, row })),
        matching: rows.length,
      };
    }
    if (session.search?.query !== query) session.search = { query, indices: searchRows(rows, query) };
    const { indices } = session.search;
    return {
      rows: indices.slice(start, start + count).map((index) => ({ index, row: rows[index]! })),
      matching: indices.length,
    };
  }

  quality(): QualityLine {
    return qualityLine(this.#open().history.rows);
  }

  /** The set as rows.jsonl, for other trainers. */
  toJsonl(): Blob {
    return new Blob(
      this.#open().history.rows.map((row) => `${rowToLine(row)}\n`),
      { type: 'application/jsonl' },
    );
  }

  /** Streams a model folder into OPFS. */
  async importBase(
    task: Task,
    name: string,
    files: IncomingFile[],
    onProgress: (doneBytes: number) => void,
  ): Promise<BaseRecord> {
    const abort = new AbortController();
    this.#addingBase = abort;
    let told = 0;
    try {
      return await importBase(name, files, {
        task,
        signal: abort.signal,
        onProgress: ({ doneBytes, totalBytes }) => {
          const now = performance.now();
          if (now - told < 100 && doneBytes < totalBytes) return;
          told = now;
          onProgress(doneBytes);
        },
      });
    } catch (error) {
      if (isAbort(error))
        throw new UserError(`Stopped. What has arrived of “${name}” is kept: pick the folder again to go on.`);
      throw error;
    } finally {
      this.#addingBase = null;
    }
  }

  cancelImportBase(): void {
    this.#addingBase?.abort();
  }
}

function addReport(record: DatasetRecord, report: ImportReport): void {
  record.files = [...record.files, ...report.files];
  record.skipped = { ...record.skipped };
  for (const [reason, count] of Object.entries(report.skipped) as [SkipReason, number][]) {
    record.skipped[reason] = (record.skipped[reason] ?? 0) + count;
  }
  record.examples = [...record.examples, ...report.examples].slice(0, MOST_EXAMPLES);
  record.warnings = [...record.warnings, ...report.warnings];
}
