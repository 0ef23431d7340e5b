import type { NamedFile } from '../../common/named-file.ts';
import type { SoundQuality } from '../../datasets/sound/quality.ts';
import type { Clip, SoundWords, Waveform } from '../../datasets/sound/types.ts';
import { readFile } from '../../storage/datasets.ts';
import type { OnnxModelSource } from '../../worker/onnx-model.ts';
import type { ClipFields, SoundState, SoundTypes } from '../../worker/sound/host.ts';
import { announcer } from '../announcer.svelte.ts';
import { withEntries } from '../collections.ts';
import { DatasetManager, type DatasetCalls } from '../dataset.svelte.ts';
import { plural } from '../format.ts';
import { clipsOfSongs, freeStretch, type SongClips } from './clip-edges.ts';
import { suggestSoundPrompts } from './prompts.ts';
import { dataWorker } from '../workers.ts';

const NO_WORDS: SoundWords = { triggerWord: '', template: '' };

/** The songs of the open project and the clips of them, and every change. */
class SoundData extends DatasetManager<SoundTypes> {
  #waveforms = $state.raw<ReadonlyMap<string, Waveform>>(new Map());
  readonly #wanted = new Set<string>();

  /** The songs in order, each with its clips. */
  readonly songs: readonly SongClips[] = $derived(clipsOfSongs(this.state?.files ?? [], this.state?.clips ?? []));

  constructor() {
    super({ read: { one: 'song', past: 'heard' }, kept: 'clip' });
  }

  protected override calls(): DatasetCalls<SoundTypes> {
    return dataWorker().sound;
  }

  protected override options(): SoundTypes['options'] {
    return {};
  }

  protected override forget(): void {
    this.#waveforms = new Map();
    this.#wanted.clear();
  }

  get clips(): readonly Clip[] {
    return this.state?.clips ?? [];
  }

  get words(): SoundWords {
    return this.state?.words ?? NO_WORDS;
  }

  get quality(): SoundQuality | null {
    return this.state?.quality ?? null;
  }

  /** The shape of a song; undefined while it is read. */
  waveform(id: string): Waveform | undefined {
    return this.#waveforms.get(id);
  }

  /** Reads the shape of a song that has come into view. */
  async wantWaveform(id: string): Promise<void> {
    const { record, projectId } = this;
    if (!record || this.#wanted.has(id)) return;
    this.#wanted.add(id);
    const waveform = (await readFile(record.id, id).catch(() => undefined))?.waveform;
    if (projectId !== this.projectId) return;
    if (waveform) this.#waveforms = withEntries(this.#waveforms, [[id, waveform]]);
    else this.#wanted.delete(id);
  }

  /** Adds what the files hold; false where nothing was, or where it failed. */
  addFiles(files: readonly NamedFile[], projectId = this.projectId): Promise<boolean> {
    return this.addAll(files, projectId);
  }

  protected override suggestPrompts(_projectId: string, { clips, words }: SoundState): string[] {
    return suggestSoundPrompts(clips, words);
  }

  clip(id: string): Clip | undefined {
    return this.clips.find((clip) => clip.id === id);
  }

  async #set(ids: readonly string[], fields: ClipFields, label: string): Promise<void> {
    await this.apply({ kind: 'set', changes: ids.map((id) => ({ id, fields })), label });
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
    await this.apply({ kind: 'edges', id, start, end, label: `Edges of a clip of ${clip.file}` });
  }

  async add(fileId: string, start: number, end: number): Promise<void> {
    await this.apply({ kind: 'add', fileId, start, end, label: 'Add a clip' });
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
    const undo = this.undoAction();
    await this.apply({ kind: 'remove', ids: [id], label: `Remove a clip of ${clip.file}` });
    announcer.show('The clip was removed.', undo);
  }

  async removeSong(id: string): Promise<void> {
    const name = this.state?.files.find((file) => file.id === id)?.name ?? 'the song';
    const undo = this.undoAction();
    await this.apply({ kind: 'removeFiles', ids: [id], label: `Remove ${name}` });
    announcer.show(`${name} was removed.`, undo);
  }

  fromTemplate(ids: readonly string[]): Promise<void> {
    return this.apply({ kind: 'template', ids, label: `Words of ${plural(ids.length, 'clip')} from the pattern` });
  }

  setAllWords(fields: Partial<SoundWords>): Promise<void> {
    const words = { ...this.words, ...fields };
    return this.apply({ kind: 'words', words, label: 'The words for every clip' });
  }

  /** Lets a model hear the clips and note what it hears; the pattern's {tags} says it. */
  tag(ids: readonly string[], model: OnnxModelSource): Promise<void> {
    return this.useModel(
      (projectId, onProgress) => dataWorker().sound.tag(projectId, ids, model, onProgress),
      (done) => `${plural(done, 'clip')} heard. Read their words once.`,
    );
  }

  /** A clip as it is learnt, its loudness evened: a WAV. */
  async heard(id: string): Promise<Blob> {
    return dataWorker().sound.heard(this.projectId, id);
  }
}

export const sounds = new SoundData();
