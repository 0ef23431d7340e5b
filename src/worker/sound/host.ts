import { hearClip, moveEdges, readClip } from '../../datasets/sound/clips.ts';
import { importSounds, SoundImportError, type SoundImport } from '../../datasets/sound/import-sounds.ts';
import { blobInput } from '../../datasets/sound/input.ts';
import { settleClips } from '../../datasets/sound/judge.ts';
import { soundQuality, type SoundQuality } from '../../datasets/sound/quality.ts';
import type { Clip, SoundFile, SoundInput, SoundReport, SoundWords } from '../../datasets/sound/types.ts';
import { DEFAULT_SOUND_WORDS } from '../../datasets/sound/words.ts';
import { UserError } from '../../common/errors.ts';
import { newId } from '../../storage/database.ts';
import { findDataset, getDataset } from '../../storage/datasets.ts';
import { getProject } from '../../storage/projects.ts';
import type { DatasetRecord } from '../../storage/records.ts';
import { dropUnusedSounds, readSounds, writeSoundFile, writeSounds } from '../../storage/sounds.ts';
import type { BundleClip } from '../../tasks/sound/bundle.ts';
import { errorMessage } from '../errors.ts';
import { History } from '../history.ts';
import type { OnnxModelSource } from '../onnx-model.ts';
import type { NamedFile } from '../../common/named-file.ts';
import {
  applySoundChange,
  joinReports,
  withClip,
  type EdgeChange,
  type SoundChange,
  type SoundSnapshot,
} from './changes.ts';
import { songInput } from './sources.ts';
import { openTags } from './tagger-model.ts';
import { encodeWav } from '../wav.ts';

export type { ClipFields, SoundChange } from './changes.ts';

export interface SoundState {
  /** Null where nothing was added yet. */
  record: DatasetRecord | null;
  files: readonly SoundFile[];
  clips: readonly Clip[];
  words: SoundWords;
  undoLabel: string | null;
  redoLabel: string | null;
  quality: SoundQuality;
}

export interface SoundImportOutcome {
  state: SoundState;
  /** Null where it failed before anything was told. */
  report: SoundReport | null;
  /** Songs that were added: those that were heard before it was stopped or failed. */
  added: number;
  stopped: boolean;
  /** Why it ended; empty where it did not fail. */
  failure: string;
}

type Session = { projectId: string; record: DatasetRecord | null; history: History<SoundSnapshot> };

/** Samples a second at which clips are heard: what browsers play best. */
const HEARD_RATE = 48_000;

/** Reads songs into the data set of one project at a time, curates their clips, and keeps every change at once. */
export class SoundHost {
  #session: Session | null = null;
  #working: AbortController | null = null;
  /** Changes are written one after the other: the last one written is the newest. */
  #queue: Promise<unknown> = Promise.resolve();

  open(projectId: string): Promise<SoundState> {
    return this.#inTurn(async () => {
      if (this.#session?.projectId !== projectId) {
        const project = await getProject(projectId);
        const record =
          (project?.datasetId ? await getDataset(project.datasetId) : await findDataset(projectId)) ?? null;
        const { files, clips } = record ? await readSounds(record.id) : { files: [], clips: [] };
        if (record) await dropUnusedSounds(record.id, files);
        const words = record?.words ?? DEFAULT_SOUND_WORDS;
        this.#session = { projectId, record, history: new History<SoundSnapshot>({ files, clips, words }) };
      }
      return this.#state();
    });
  }

  #open(): Session {
    if (!this.#session) throw new UserError('No data set is open. Reload the page.');
    return this.#session;
  }

  #state(): SoundState {
    const { record, history } = this.#open();
    const { now, undoLabel, redoLabel } = history;
    return { record, ...now, undoLabel, redoLabel, quality: soundQuality(now.files, now.clips) };
  }

  #inTurn<R>(work: () => Promise<R>): Promise<R> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }

  /** The bytes of a song of the set. */
  async #input({ id, name }: SoundFile): Promise<SoundInput> {
    return songInput(this.#open().record?.id ?? '', id, name);
  }

  #file(id: string): SoundFile {
    const file = this.#open().history.now.files.find((one) => one.id === id);
    if (!file) throw new UserError('This song is no longer in the set. Reload the page.');
    return file;
  }

  #clip(id: string): Clip {
    const clip = this.#open().history.now.clips.find((one) => one.id === id);
    if (!clip) throw new UserError('This clip is no longer in the set. Reload the page.');
    return clip;
  }

  /** Listens to a stretch that was drawn or dragged. */
  async #heard(change: EdgeChange): Promise<Clip> {
    const { words } = this.#open().history.now;
    if (change.kind === 'edges') {
      const clip = this.#clip(change.id);
      const file = this.#file(clip.fileId);
      return moveEdges(await this.#input(file), file, clip, change, words);
    }
    const file = this.#file(change.fileId);
    return hearClip(await this.#input(file), file, newId(), change, words);
  }

  apply(change: SoundChange): Promise<SoundState> {
    return this.#inTurn(async () => {
      const { history } = this.#open();
      const before = history.now;
      const listens = change.kind === 'edges' || change.kind === 'add';
      const after = listens ? { clips: withClip(before, await this.#heard(change)) } : applySoundChange(before, change);
      // Whether a clip is there twice depends on all of them.
      history.apply(change.label, after.clips ? { ...after, clips: settleClips(after.clips) } : after);
      await this.#keep(() => history.drop());
      return this.#state();
    });
  }

  undo(): Promise<SoundState> {
    return this.#inTurn(async () => {
      const { history } = this.#open();
      history.undo();
      await this.#keep(() => history.redo());
      return this.#state();
    });
  }

  redo(): Promise<SoundState> {
    return this.#inTurn(async () => {
      const { history } = this.#open();
      history.redo();
      await this.#keep(() => history.undo());
      return this.#state();
    });
  }

  /** Writes what is there now; where that fails, `takeBack` makes what is in memory what lies on disk. */
  async #keep(takeBack: () => void, fields: Partial<DatasetRecord> = {}): Promise<void> {
    const session = this.#open();
    const { now } = session.history;
    try {
      const record = this.#record(now, fields);
      await writeSounds(record, now.files, now.clips);
      session.record = record;
    } catch (error) {
      takeBack();
      throw error;
    }
  }

  #record({ files, clips, words }: SoundSnapshot, fields: Partial<DatasetRecord>): DatasetRecord {
    const session = this.#open();
    const kept = clips.filter((clip) => clip.kept);
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
      rowCount: kept.length,
      characters: kept.reduce((sum, clip) => sum + clip.words.length, 0),
      seconds: kept.reduce((sum, { start, end }) => sum + end - start, 0),
      soundBytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      words,
      changedAt: Date.now(),
    };
  }

  /**
   * Adds what the files hold, each song as soon as it was heard; `onProgress` hears the fraction, the song that is listened to,
   * and the clips so far.
   */
  importFiles(
    files: readonly NamedFile[],
    onProgress: (fraction: number, name: string, clips: number) => void,
  ): Promise<SoundImportOutcome> {
    const abort = new AbortController();
    this.#working = abort;
    return this.#inTurn(async () => {
      const before = this.#open().history.now.files.length;
      let [report, stopped, failure]: [SoundReport | null, boolean, string] = [null, false, ''];
      try {
        ({ report, stopped } = await this.#import(files, abort.signal, onProgress));
      } catch (error) {
        if (error instanceof SoundImportError) ({ report } = error);
        failure = errorMessage(error);
      } finally {
        this.#working = null;
      }
      const state = this.#state();
      return { state, report, added: state.files.length - before, stopped, failure };
    });
  }

  async #import(
    named: readonly NamedFile[],
    signal: AbortSignal,
    onProgress: (fraction: number, name: string, clips: number) => void,
  ): Promise<SoundImport> {
    const session = this.#open();
    const { history } = session;
    const before = history.now;
    // The record is there before the first file, so that what a closed tab leaves behind is found again.
    if (!session.record) {
      const record = this.#record(before, {});
      await writeSounds(record, [], []);
      session.record = record;
    }
    const { id: datasetId, sounds: reported } = session.record;
    const blobs = new Map<SoundInput, Blob>();
    const inputs = named.map(({ name, file }) => {
      const input = blobInput(name, file);
      blobs.set(input, file);
      return input;
    });
    const add = ({ files, clips }: Pick<SoundImport, 'files' | 'clips'>): void => {
      const count = clips.length - before.clips.length;
      history.apply(`Add ${count} ${count === 1 ? 'clip' : 'clips'}`, { files, clips });
    };
    let added: SoundImport | null = null;
    /** All songs of one import are one step of the history, which grows with each of them. */
    const grow = async (soFar: SoundImport): Promise<void> => {
      const last = added;
      if (last) history.drop();
      add(soFar);
      const takeBack = (): void => {
        history.drop();
        if (last) add(last);
      };
      await this.#keep(takeBack, { sounds: joinReports(reported, soFar.report) });
      added = soFar;
    };
    const result = await importSounds(
      inputs,
      {
        existing: before,
        words: before.words,
        signal,
        async keep(file, input, waveform, soFar) {
          await writeSoundFile({ datasetId, id: file.id, file: blobs.get(input)!, waveform });
          await grow(soFar());
        },
      },
      ({ fraction, file, clips }) => onProgress(fraction, file, clips),
    );
    // What was left out after the last song.
    await this.#keep(() => undefined, { sounds: joinReports(reported, result.report) });
    return result;
  }

  /** A clip as it is learnt, its loudness evened: a WAV. */
  async heard(id: string): Promise<Blob> {
    const clip = this.#clip(id);
    const file = this.#file(clip.fileId);
    const channels = file.channels === 1 ? 1 : 2;
    return encodeWav(await readClip(await this.#input(file), clip, HEARD_RATE, channels), HEARD_RATE);
  }

  /**
   * Lets a model hear clips and note what it hears; one step of the history. `onProgress` hears how much of the model has
   * come, then how many clips are done. Returns how many were heard.
   */
  async tag(
    ids: readonly string[],
    model: OnnxModelSource,
    onProgress: (what: 'model' | 'clips', fraction: number) => void,
  ): Promise<{ state: SoundState; tagged: number }> {
    const abort = new AbortController();
    this.#working = abort;
    const tagger = await openTags(model, (fraction) => onProgress('model', fraction));
    try {
      const changes: { id: string; fields: { tagged: string[] } }[] = [];
      for (const [i, id] of ids.entries()) {
        if (abort.signal.aborted) break;
        onProgress('clips', i / ids.length);
        const clip = this.#clip(id);
        const [samples] = await readClip(await this.#input(this.#file(clip.fileId)), clip, tagger.sampleRate, 1);
        changes.push({ id, fields: { tagged: await tagger.tags(samples!) } });
      }
      const label = `Tags of ${changes.length} ${changes.length === 1 ? 'clip' : 'clips'}, heard by a model`;
      const state = changes.length > 0 ? await this.apply({ kind: 'set', changes, label }) : this.#state();
      return { state, tagged: changes.length };
    } finally {
      this.#working = null;
      await tagger.close();
    }
  }

  /** The clips as they are to be learnt, as WAV, for a bundle. */
  async bundleClips(rate: number, channels: 1 | 2): Promise<BundleClip[]> {
    const clips: BundleClip[] = [];
    // One after the other: only one clip's samples are in memory beside the files.
    for (const clip of this.#open().history.now.clips.filter(({ kept }) => kept)) {
      const samples = await readClip(await this.#input(this.#file(clip.fileId)), clip, rate, channels);
      const bytes = new Uint8Array(await encodeWav(samples, rate).arrayBuffer());
      clips.push({ file: clip.file, bytes, words: clip.words });
    }
    return clips;
  }

  /** Stops an import, or the hearing of clips. */
  cancel(): void {
    this.#working?.abort();
  }
}
