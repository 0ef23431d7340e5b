import type { BaseReport } from '../datasets/report.ts';
import type { DatasetRecord } from '../storage/records.ts';

/** What the page knows of every data set. */
export interface DatasetState {
  /** Null where nothing was added yet. */
  record: DatasetRecord | null;
  undoLabel: string | null;
  redoLabel: string | null;
}

/** The types of a kind of data set. */
export interface DatasetTypes {
  /** Everything that curation changes, at one moment; never changed itself. */
  snapshot: object;
  /** What lies on disk, as far as a write must know it to write only what changed. */
  disk: unknown;
  change: { label: string };
  /** What opening a set takes beside its project. */
  options: unknown;
  /** What an import reads. */
  input: unknown;
  /** What an import shows as soon as it is there. */
  item: unknown;
  report: BaseReport<unknown, string>;
  state: DatasetState;
}

/** The set as it is open. */
export interface OpenSet<T extends DatasetTypes> {
  record: DatasetRecord | null;
  options: T['options'];
}

export interface ImportProgress {
  /** Of everything that is read, 0 to 1. */
  fraction: number;
  /** What is being read; empty where that is not known. */
  file: string;
  /** What is kept so far. */
  count: number;
}

/** What an import is handed to work with. */
export interface ImportTask<T extends DatasetTypes> {
  signal: AbortSignal;
  /** The set as it was when the import's turn came. */
  set: OpenSet<T>;
  onProgress(progress: ImportProgress): void;
  onItem(item: T['item']): void;
  /** The set's record, on disk before the first file: what a closed tab leaves behind is found again. */
  record(): Promise<DatasetRecord>;
  /**
   * Keeps what the import has come to: fields of the record, and one step of the history, which replaces the step that this
   * import made before.
   */
  keep(fields: Partial<DatasetRecord>, step?: { label: string; fields: Partial<T['snapshot']> }): Promise<void>;
}

/** All that tells one kind of data set from another. */
export interface DatasetKind<T extends DatasetTypes> {
  /** How many steps undo reaches back; default: History's. */
  steps?: number;
  empty(options: T['options']): T['snapshot'];
  read(record: DatasetRecord): Promise<{ snapshot: T['snapshot']; disk: T['disk'] }>;
  /** Writes what is there now with its record; `disk` is null where nothing lies there yet. Returns what lies there then. */
  write(record: DatasetRecord, now: T['snapshot'], disk: T['disk'] | null): Promise<T['disk']>;
  /** What the record says of a snapshot. */
  describe(now: T['snapshot']): Partial<DatasetRecord> & Pick<DatasetRecord, 'rowCount' | 'characters'>;
  /** What a change makes of it. */
  change(
    now: T['snapshot'],
    change: T['change'],
    set: OpenSet<T>,
  ): Partial<T['snapshot']> | Promise<Partial<T['snapshot']>>;
  /** What opening a set that is there with these options makes of it; null where it stays as it is. */
  reopen?(now: T['snapshot'], options: T['options']): Partial<T['snapshot']> | null;
  /** Reads what was given and keeps it. An import that was stopped keeps what it had and says so in its report. */
  import(now: T['snapshot'], input: T['input'], task: ImportTask<T>): Promise<T['report']>;
  /** How much is in it, in what an import adds. */
  size(now: T['snapshot']): number;
  /** What the page shows beside the record and the history. */
  state(now: T['snapshot']): Omit<T['state'], keyof DatasetState>;
}
