import type { SoundQuality } from '../../datasets/sound/quality.ts';
import type { Clip, SoundReport, SoundWords, Waveform } from '../../datasets/sound/types.ts';
import type { DatasetRecord } from '../../storage/records.ts';
import { readWaveform } from '../../storage/sounds.ts';
import type { NamedFile } from '../../common/named-file.ts';
import type { OnnxModelSource } from '../../worker/onnx-model.ts';
import type { ClipFields, SoundChange, SoundState } from '../../worker/sound/host.ts';
import { SAMPLED_PROMPTS } from '../../worker/protocol.ts';
import { announcer } from '../announcer.svelte.ts';
import { clipsOfSongs, freeStretch, type SongClips } from './clip-edges.ts';
import { withEntries } from '../collections.ts';
import { plural } from '../format.ts';
import { openProject } from '../project.svelte.ts';
import { suggestSoundPrompts } from './prompts.ts';
import { callback, dataWorker, errorMessage } from '../workers.ts';

const NO_WORDS: SoundWords = { triggerWord: '', template: '' };

/** What stays of an import that ended early. */
function heardUntilThen(songs: number): string {
  if (songs === 0) return 'No song was heard to its end until then, so nothing was added.';
  return songs === 1 ? 'The one song heard until then is kept.' : `The ${songs} songs heard until then are kept.`;
}

/** The songs of the open project and the clips of them, and every change. */
class Sounds {
  #projectId = '';
  #state = $state.raw<SoundState | null>(null);
  #waveforms = $state.raw<ReadonlyMap<string, Waveform>>(new Map());
  readonly #wanted = new Set<string>();
  #progress = $state.raw<{ fraction: number; name: string; count: number } | null>(null);
  #report = $state.raw<SoundReport | null>(null);
  #tagging = $state.raw<{ what: 'model' | 'clips'; fraction: number } | null>(null);
  #error = $state.raw('');

  /** The songs in order, each with its clips. */
  readonly songs: readonly SongClips[] = $derived(clipsOfSongs(this.#state?.files ?? [], this.#state?.clips ?? []));

  get record(): DatasetRecord | null {
    return this.#state?.record ?? null;
  }

  get clips(): readonly Clip[] {
    return this.#state?.clips ?? [];
  }

  get words(): SoundWords {
    return this.#state?.words ?? NO_WORDS;
  }

  get undoLabel(): string | null {
    return this.#state?.undoLabel ?? null;
  }

  get redoLabel(): string | null {
    return this.#state?.redoLabel ?? null;
  }

  get quality(): SoundQuality | null {
    return this.#state?.quality ?? null;
  }

  get progress(): { fraction: number; name: string; count: number } | null {
    return this.#progress;
  }

  /** Of the last import; all imports together stand in the record. */
  get report(): SoundReport | null {
    return this.#report;
  }

  /** A model is fetched, or hears the clips. */
  get tagging(): { what: 'model' | 'clips'; fraction: number } | null {
    return this.#tagging;
  }

  get error(): string {
    return this.#error;
  }

  /** The shape of a song; undefined while it is read. */
  waveform(id: string): Waveform | undefined {
    return this.#waveforms.get(id);
  }

  /** Reads the shape of a song that has come into view. */
  async wantWaveform(id: string): Promise<void> {
    const { record } = this;
    if (!record || this.#wanted.has(id)) return;
    this.#wanted.add(id);
    const waveform = await readWaveform(record.id, id).catch(() => undefined);
    if (waveform) this.#waveforms = withEntries(this.#waveforms, [[id, waveform]]);
    else this.#wanted.delete(id);
  }

  async open(projectId: string): Promise<void> {
    if (this.#projectId !== projectId) {
      this.#projectId = projectId;
      this.#state = null;
      this.#waveforms = new Map();
      this.#wanted.clear();
      this.#report = null;
      this.#error = '';
    }
    await this.#guarded(async () => this.#take(await dataWorker().sounds.open(projectId)));
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#error = errorMessage(error);
    }
  }

  async #take(state: SoundState): Promise<void> {
    // Shown as kept only when a reload would find it.
    if (state.record) await openProject.setDataset(state.record);
    this.#state = state;
  }

  /** Adds what the files hold; false where nothing was, or where it failed. */
  async addFiles(files: readonly NamedFile[]): Promise<boolean> {
    if (this.#progress) return false;
    this.#error = '';
    this.#report = null;
    this.#progress = { fraction: 0, name: '', count: 0 };
    let added = false;
    await this.#guarded(async () => {
      const { state, report, failure, stopped, ...outcome } = await dataWorker().sounds.importFiles(
        files,
        callback((fraction: number, name: string, count: number) => {
          // Progress may come after the answer of the call.
          if (this.#progress) this.#progress = { fraction, name, count };
        }),
      );
      const until = heardUntilThen(outcome.added);
      this.#report = report;
      this.#error = failure !== '' && outcome.added > 0 ? `${failure} ${until}` : failure;
      added = failure === '' && outcome.added > 0;
      await this.#take(state);
      if (stopped) {
        const undo = { action: { label: 'Undo', run: () => void this.undo() } };
        announcer.show(`Stopped. ${until}`, added ? undo : {});
      } else if (added) announcer.say(`${plural(report?.kept ?? 0, 'clip')} added.`);
      if (outcome.added > 0 && openProject.project?.prompts.length === 0) {
        openProject.update({ prompts: suggestSoundPrompts(state.clips, state.words).slice(0, SAMPLED_PROMPTS) });
      }
    });
    this.#progress = null;
    return added;
  }

  cancel(): void {
    void dataWorker().sounds.cancel();
  }

  async #apply(change: SoundChange): Promise<void> {
    this.#error = '';
    await this.#guarded(async () => this.#take(await dataWorker().sounds.apply(change)));
  }

  clip(id: string): Clip | undefined {
    return this.clips.find((clip) => clip.id === id);
  }

  async #set(ids: readonly string[], fields: ClipFields, label: string): Promise<void> {
    await this.#apply({ kind: 'set', changes: ids.map((id) => ({ id, fields })), label });
  }

  /** Whether clips are learnt from. */
  keep(ids: readonly string[], kept: boolean): Promise<void> {
    const what = ids.length === 1 ? '1 clip' : plural(ids.length, 'clip');
    announcer.say(kept ? `${what} taken back.` : `${what} left out.`);
    return this.#set(ids, { kept }, kept ? `Take back ${what}` : `Leave out ${what}`);
  }

  setWords(id: string, words: string): Promise<void> {
    const clip = this.clip(id);
    if (!clip || clip.words === words) return Promise.resolve();
    return this.#set([id], { words, wordsByHand: true }, `Words of a clip of ${clip.file}`);
  }

  /** Moves the edges of a clip, in seconds of the song. */
  async setEdges(id: string, start: number, end: number): Promise<void> {
    const clip = this.clip(id);
    if (!clip || (clip.start === start && clip.end === end)) return;
    await this.#apply({ kind: 'edges', id, start, end, label: `Edges of a clip of ${clip.file}` });
  }

  async add(fileId: string, start: number, end: number): Promise<void> {
    await this.#apply({ kind: 'add', fileId, start, end, label: 'Add a clip' });
    announcer.say('Clip added.');
  }

  /** A clip where the song has none yet; false where there is no room. */
  async addFree({ file, clips }: SongClips): Promise<boolean> {
    const free = freeStretch(file.seconds, clips);
    if (!free) {
      announcer.show('This song is covered by clips from beginning to end. Move an edge to make room for another one.');
      return false;
    }
    await this.add(file.id, free.start, free.end);
    return true;
  }

  async removeClip(id: string): Promise<void> {
    const clip = this.clip(id);
    if (!clip) return;
    await this.#apply({ kind: 'remove', ids: [id], label: `Remove a clip of ${clip.file}` });
    announcer.show('The clip was removed.', { action: { label: 'Undo', run: () => void this.undo() } });
  }

  async removeSong(id: string): Promise<void> {
    const name = this.#state?.files.find((file) => file.id === id)?.name ?? 'the song';
    await this.#apply({ kind: 'removeFiles', ids: [id], label: `Remove ${name}` });
    announcer.show(`${name} was removed.`, { action: { label: 'Undo', run: () => void this.undo() } });
  }

  fromTemplate(ids: readonly string[]): Promise<void> {
    return this.#apply({ kind: 'template', ids, label: `Words of ${plural(ids.length, 'clip')} from the pattern` });
  }

  setAllWords(fields: Partial<SoundWords>): Promise<void> {
    const words = { ...this.words, ...fields };
    return this.#apply({ kind: 'words', words, label: 'The words for every clip' });
  }

  /** Lets a model hear the clips and note what it hears; the pattern's {tags} says it. */
  async tag(ids: readonly string[], model: OnnxModelSource): Promise<void> {
    if (this.#tagging) return;
    this.#error = '';
    this.#tagging = { what: 'model', fraction: 0 };
    await this.#guarded(async () => {
      const { state, tagged } = await dataWorker().sounds.tag(
        ids,
        model,
        callback((what, fraction) => {
          if (this.#tagging) this.#tagging = { what, fraction };
        }),
      );
      await this.#take(state);
      announcer.show(`${plural(tagged, 'clip')} heard. Read their words once.`);
    });
    this.#tagging = null;
  }

  async undo(): Promise<void> {
    const label = this.undoLabel;
    if (label === null) return;
    await this.#guarded(async () => this.#take(await dataWorker().sounds.undo()));
    announcer.say(`Undone: ${label}.`);
  }

  async redo(): Promise<void> {
    const label = this.redoLabel;
    if (label === null) return;
    await this.#guarded(async () => this.#take(await dataWorker().sounds.redo()));
    announcer.say(`Done again: ${label}.`);
  }

  /** A clip as it is learnt, its loudness evened: a WAV. */
  async heard(id: string): Promise<Blob> {
    return dataWorker().sounds.heard(id);
  }
}

export const sounds = new Sounds();
