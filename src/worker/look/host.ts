import type { NamedFile } from '../../common/named-file.ts';
import { bucketOptions } from '../../datasets/look/buckets.ts';
import { browserDecoder } from '../../datasets/look/browser-decoder.ts';
import { withTriggerWord } from '../../datasets/look/captions.ts';
import { importPictures, PictureImportError, type PictureFiles } from '../../datasets/look/import-pictures.ts';
import { reassessPictures } from '../../datasets/look/judge.ts';
import { pictureQuality, type PictureQuality } from '../../datasets/look/quality.ts';
import type { PictureReport, PictureRow } from '../../datasets/look/types.ts';
import { UserError } from '../../common/errors.ts';
import { bundlePicture } from '../../tasks/look/bundle-pictures.ts';
import type { BundlePicture } from '../../tasks/look/bundle.ts';
import { newId } from '../../storage/database.ts';
import { findDataset, getDataset } from '../../storage/datasets.ts';
import {
  dropUnusedPictures,
  pictureBytes,
  readMask,
  readPictureFile,
  readPictures,
  writePictureFile,
  writePictures,
} from '../../storage/pictures.ts';
import { getProject } from '../../storage/projects.ts';
import type { DatasetRecord } from '../../storage/records.ts';
import { openCaptions, pixelsOf } from './caption-model.ts';
import { errorMessage, isAbort } from '../errors.ts';
import { History } from '../history.ts';
import type { OnnxModelSource } from '../onnx-model.ts';
import { pictureSources } from './sources.ts';
import { applyPictureChange, joinReports, type PictureChange, type PictureFields } from './changes.ts';
import { captionFrom, changedMasks, type PictureSnapshot, type PictureWords } from './snapshot.ts';

export type { PictureChange, PictureFields } from './changes.ts';
export type { PictureWords } from './snapshot.ts';

export interface PictureState {
  /** Null where nothing was added yet. */
  record: DatasetRecord | null;
  rows: readonly PictureRow[];
  words: PictureWords;
  undoLabel: string | null;
  redoLabel: string | null;
  quality: PictureQuality;
}

export interface PictureImportOutcome {
  state: PictureState;
  /** Null where it was stopped. */
  report: PictureReport | null;
  /** Why nothing was kept; empty where something was. */
  failure: string;
}

type Session = {
  projectId: string;
  record: DatasetRecord | null;
  history: History<PictureSnapshot>;
  resolution: number;
};

const NO_WORDS: PictureWords = { triggerWord: '', template: 'a photo of {word}' };

/** Reads pictures into the data set of one project at a time, curates it, and keeps every change at once. */
export class PictureHost {
  #session: Session | null = null;
  #importing: AbortController | null = null;
  /** Changes are written one after the other: the last one written is the newest. */
  #queue: Promise<unknown> = Promise.resolve();

  /**
   * Opens a project's pictures, or looks at them at another resolution: shapes and warnings follow. `triggerWord` is
   * proposed where there are none yet.
   */
  open(projectId: string, triggerWord: string, resolution: number): Promise<PictureState> {
    return this.#inTurn(async () => {
      await this.#load(projectId, triggerWord, resolution);
      const { history, record } = this.#open();
      this.#open().resolution = resolution;
      const settled = reassessPictures(history.now.rows, bucketOptions(resolution));
      if (record && JSON.stringify(settled) !== JSON.stringify(history.now.rows)) {
        history.replace({ rows: settled });
        await writePictures(this.#record(history.now, {}), settled);
      }
      return this.#state();
    });
  }

  async #load(projectId: string, triggerWord: string, resolution: number): Promise<void> {
    if (this.#session?.projectId !== projectId) {
      const project = await getProject(projectId);
      const record = (project?.datasetId ? await getDataset(project.datasetId) : await findDataset(projectId)) ?? null;
      const rows = record ? await readPictures(record.id) : [];
      const masks = new Map<string, Blob>();
      if (record) {
        await dropUnusedPictures(record.id, rows);
        for (const { id, masked } of rows) {
          const mask = masked ? await readMask(record.id, id) : null;
          if (mask) masks.set(id, mask);
        }
      }
      const words = record?.words ?? { ...NO_WORDS, triggerWord };
      this.#session = { projectId, record, history: new History<PictureSnapshot>({ rows, words, masks }), resolution };
    }
  }

  #open(): Session {
    if (!this.#session) throw new UserError('No data set is open. Reload the page.');
    return this.#session;
  }

  #state(): PictureState {
    const { record, history } = this.#open();
    const { rows, words } = history.now;
    return {
      record,
      rows,
      words,
      undoLabel: history.undoLabel,
      redoLabel: history.redoLabel,
      quality: pictureQuality(rows),
    };
  }

  #inTurn<R>(work: () => Promise<R>): Promise<R> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  apply(change: PictureChange): Promise<PictureState> {
    return this.#inTurn(async () => {
      const { history, resolution } = this.#open();
      const before = history.now;
      const after = applyPictureChange(before, change);
      // Shapes and near repeats depend on all pictures and their crops.
      if (change.kind === 'remove' || change.kind === 'set') {
        after.rows = reassessPictures(after.rows ?? before.rows, bucketOptions(resolution));
      }
      history.apply(change.label, after);
      await this.#keep(before, () => history.drop());
      return this.#state();
    });
  }

  undo(): Promise<PictureState> {
    return this.#inTurn(async () => {
      const { history } = this.#open();
      const before = history.now;
      history.undo();
      await this.#keep(before, () => history.redo());
      return this.#state();
    });
  }

  redo(): Promise<PictureState> {
    return this.#inTurn(async () => {
      const { history } = this.#open();
      const before = history.now;
      history.redo();
      await this.#keep(before, () => history.undo());
      return this.#state();
    });
  }

  /** Writes what is there now; where that fails, `takeBack` makes what is in memory what lies on disk. */
  async #keep(before: PictureSnapshot, takeBack: () => void, fields: Partial<DatasetRecord> = {}): Promise<void> {
    const session = this.#open();
    const { now } = session.history;
    try {
      const record = this.#record(now, fields);
      await writePictures(record, now.rows, changedMasks(before, now));
      session.record = record;
    } catch (error) {
      takeBack();
      throw error;
    }
  }

  #record(now: PictureSnapshot, fields: Partial<DatasetRecord>): DatasetRecord {
    const session = this.#open();
    return {
      ...(session.record ?? {
        id: newId(),
        projectId: session.projectId,
        files: [],
        skipped: {},
        examples: [],
        warnings: [],
      }),
      ...fields,
      rowCount: now.rows.length,
      characters: now.rows.reduce((sum, { caption }) => sum + caption.length, 0),
      words: now.words,
      changedAt: Date.now(),
    };
  }

  /** Adds what the files hold; `onPicture` hears of each picture as soon as it is read. */
  async importFiles(
    files: readonly NamedFile[],
    onProgress: (fraction: number) => void,
    onPicture: (row: PictureRow, thumbnail: Blob) => void,
  ): Promise<PictureImportOutcome> {
    const abort = new AbortController();
    this.#importing = abort;
    return this.#inTurn(async () => {
      try {
        return {
          state: this.#state(),
          failure: '',
          report: await this.#import(files, abort.signal, onProgress, onPicture),
        };
      } catch (error) {
        const report = error instanceof PictureImportError ? error.report : null;
        return { state: this.#state(), report, failure: isAbort(error) ? '' : errorMessage(error) };
      } finally {
        this.#importing = null;
      }
    }).then((outcome) => ({ ...outcome, state: this.#state() }));
  }

  async #import(
    files: readonly NamedFile[],
    signal: AbortSignal,
    onProgress: (fraction: number) => void,
    onPicture: (row: PictureRow, thumbnail: Blob) => void,
  ): Promise<PictureReport> {
    const session = this.#open();
    const { history, resolution } = session;
    const before = history.now;
    // The record is there before the first file, so that what a closed tab leaves behind is found again.
    if (!session.record) {
      const record = this.#record(before, {});
      await writePictures(record, []);
      session.record = record;
    }
    const datasetId = session.record.id;
    const words = (row: PictureRow): string => captionFrom(before.words, row);
    const masks = new Map(before.masks);
    const { rows, report } = await importPictures(
      files.map(({ name, file }) => ({ name, size: file.size, stream: () => file.stream() })),
      browserDecoder,
      {
        buckets: bucketOptions(resolution),
        existing: before.rows,
        signal,
        keep: async (row, kept) => {
          const file = pictureFile(datasetId, row.id, kept);
          await writePictureFile(file);
          if (file.mask) masks.set(row.id, file.mask);
          onPicture({ ...row, caption: row.caption === '' ? words(row) : row.caption }, file.thumbnail);
        },
      },
      ({ fraction }) => onProgress(fraction),
    );
    if (report.kept > 0) {
      history.apply(`Add ${report.kept} ${report.kept === 1 ? 'picture' : 'pictures'}`, {
        rows: rows.map((row) => (row.captionByHand || row.caption !== '' ? row : { ...row, caption: words(row) })),
        masks,
      });
    }
    const joined = joinReports(session.record.pictures, report);
    const bytes = await pictureBytes(datasetId, history.now.rows);
    await this.#keep(before, () => report.kept > 0 && history.drop(), { pictures: joined, pictureBytes: bytes });
    return report;
  }

  mask(id: string): Blob | null {
    return this.#open().history.now.masks.get(id) ?? null;
  }

  /**
   * Lets a model look at pictures and write their words, the trigger word in them; one step of the history. `onProgress`
   * hears how much of the model has come, then how many pictures are done. Returns how many were written.
   */
  async writeCaptions(
    ids: readonly string[],
    { model, className }: { model: OnnxModelSource; className: string },
    onProgress: (what: 'model' | 'pictures', fraction: number) => void,
  ): Promise<{ state: PictureState; written: number }> {
    const abort = new AbortController();
    this.#importing = abort;
    const captioner = await openCaptions(model, (fraction) => onProgress('model', fraction));
    try {
      const { record, history } = this.#open();
      const { triggerWord } = history.now.words;
      const changes: { id: string; fields: PictureFields }[] = [];
      for (const [i, id] of ids.entries()) {
        if (abort.signal.aborted) break;
        onProgress('pictures', i / ids.length);
        const file = record && (await readPictureFile(record.id, id));
        if (!file) continue;
        const said = await captioner.describe(await pixelsOf(file));
        if (said !== '') {
          changes.push({ id, fields: { caption: withTriggerWord(said, triggerWord, className), captionByHand: true } });
        }
      }
      const label = `Words of ${changes.length} ${changes.length === 1 ? 'picture' : 'pictures'}, written by a model`;
      const state = changes.length > 0 ? await this.apply({ kind: 'set', changes, label }) : this.#state();
      return { state, written: changes.length };
    } finally {
      this.#importing = null;
      await captioner.close();
    }
  }

  /** The pictures as they are to be learnt, with their masks, for a bundle. */
  async bundlePictures(): Promise<BundlePicture[]> {
    const sources = await pictureSources({ datasetId: this.#open().record?.id ?? null });
    const pictures: BundlePicture[] = [];
    // One after the other: only one picture's pixels are in memory.
    for (const source of sources) pictures.push(await bundlePicture(source));
    return pictures;
  }

  cancelImport(): void {
    this.#importing?.abort();
  }
}

function pictureFile(datasetId: string, id: string, { picture, format, thumbnail, mask }: PictureFiles) {
  return {
    datasetId,
    id,
    picture: new Blob([picture], { type: `image/${format}` }),
    thumbnail: new Blob([thumbnail], { type: 'image/jpeg' }),
    mask: mask && new Blob([mask], { type: 'image/png' }),
  };
}
