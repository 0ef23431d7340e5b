import type { PictureQuality } from '../../datasets/look/quality.ts';
import type { Crop, PictureReport, PictureRow } from '../../datasets/look/types.ts';
import type { DatasetRecord } from '../../storage/records.ts';
import { readPictureFile, readThumbnail } from '../../storage/pictures.ts';
import type { PictureChange, PictureFields, PictureState, PictureWords } from '../../worker/look/host.ts';
import type { NamedFile } from '../../common/named-file.ts';
import type { OnnxModelSource } from '../../worker/onnx-model.ts';
import { SAMPLED_PROMPTS } from '../../worker/protocol.ts';
import { announcer } from '../announcer.svelte.ts';
import { bases } from '../base.svelte.ts';
import { lookInfo } from './info.ts';
import { withEntries, withMember } from '../collections.ts';
import { plural } from '../format.ts';
import { openProject } from '../project.svelte.ts';
import { suggestPrompts, suggestWord } from './captions.ts';
import { callback, dataWorker, errorMessage } from '../workers.ts';

const NO_WORDS: PictureWords = { triggerWord: '', template: '' };
/** Where neither the recipe nor a loaded base says how large pictures are: Stable Diffusion 1.5's. */
const USUAL_RESOLUTION = 512;

/** The pictures of the open project: rows, thumbnails, what is selected, and every change. */
class Pictures {
  #projectId = '';
  #state = $state.raw<PictureState | null>(null);
  #thumbnails = $state.raw<ReadonlyMap<string, string>>(new Map());
  /** Pictures of an import that goes on, in order of arrival. */
  #arriving = $state.raw<readonly PictureRow[]>([]);
  #progress = $state.raw<{ fraction: number; count: number } | null>(null);
  #report = $state.raw<PictureReport | null>(null);
  #captioning = $state.raw<{ what: 'model' | 'pictures'; fraction: number } | null>(null);
  #error = $state.raw('');
  #selected = $state.raw<ReadonlySet<string>>(new Set());
  /** Counts undo and redo, after which what is shown of a mask must be read anew. */
  #restored = $state.raw(0);

  /** All pictures in order, those that are just arriving last. */
  readonly rows: readonly PictureRow[] = $derived([...(this.#state?.rows ?? []), ...this.#arriving]);

  get record(): DatasetRecord | null {
    return this.#state?.record ?? null;
  }

  get words(): PictureWords {
    return this.#state?.words ?? NO_WORDS;
  }

  get undoLabel(): string | null {
    return this.#state?.undoLabel ?? null;
  }

  get redoLabel(): string | null {
    return this.#state?.redoLabel ?? null;
  }

  get quality(): PictureQuality | null {
    return this.#state?.quality ?? null;
  }

  get progress(): { fraction: number; count: number } | null {
    return this.#progress;
  }

  /** Of the last import; all imports together stand in the record. */
  get report(): PictureReport | null {
    return this.#report;
  }

  /** A model is fetched, or looks at the pictures. */
  get captioning(): { what: 'model' | 'pictures'; fraction: number } | null {
    return this.#captioning;
  }

  get error(): string {
    return this.#error;
  }

  get selected(): ReadonlySet<string> {
    return this.#selected;
  }

  get restored(): number {
    return this.#restored;
  }

  /** The address of a row's thumbnail; undefined while it is read. */
  thumbnail(id: string): string | undefined {
    return this.#thumbnails.get(id);
  }

  /** Pixels a side that the run would use. */
  get resolution(): number {
    const { project, recipe } = openProject;
    return recipe.resolution || (lookInfo(project?.baseId ?? null)?.resolution ?? USUAL_RESOLUTION);
  }

  async open(projectId: string): Promise<void> {
    if (this.#projectId !== projectId) {
      this.#projectId = projectId;
      this.#state = null;
      this.#forgetThumbnails();
      this.#arriving = [];
      this.#report = null;
      this.#error = '';
      this.#selected = new Set();
    }
    await this.#guarded(async () =>
      this.#take(await dataWorker().pictures.open(projectId, suggestWord(projectId), this.resolution)),
    );
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#error = errorMessage(error);
    }
  }

  async #take(state: PictureState): Promise<void> {
    // Shown as kept only when a reload would find it.
    if (state.record) await openProject.setDataset(state.record);
    this.#state = state;
    const there = new Set(state.rows.map(({ id }) => id));
    this.#selected = new Set([...this.#selected].filter((id) => there.has(id)));
    await this.#loadThumbnails(state);
  }

  async #loadThumbnails({ record, rows }: PictureState): Promise<void> {
    if (!record) return;
    const missing = rows.filter(({ id }) => !this.#thumbnails.has(id));
    if (missing.length === 0) return;
    const blobs = await Promise.all(missing.map(({ id }) => readThumbnail(record.id, id)));
    const found = missing.flatMap(({ id }, i): [string, string][] => {
      const blob = blobs[i];
      return blob && !this.#thumbnails.has(id) ? [[id, URL.createObjectURL(blob)]] : [];
    });
    this.#thumbnails = withEntries(this.#thumbnails, found);
  }

  #forgetThumbnails(): void {
    for (const url of this.#thumbnails.values()) URL.revokeObjectURL(url);
    this.#thumbnails = new Map();
  }

  /** Adds what the files hold; pictures show one by one as they are read. */
  async addFiles(files: readonly NamedFile[]): Promise<boolean> {
    if (this.#progress) return false;
    this.#error = '';
    this.#report = null;
    this.#progress = { fraction: 0, count: 0 };
    let added = false;
    await this.#guarded(async () => {
      const { state, report, failure } = await dataWorker().pictures.importFiles(
        files,
        callback((fraction: number) => {
          // Progress may come after the answer of the call.
          if (this.#progress) this.#progress = { ...this.#progress, fraction };
        }),
        callback((row: PictureRow, thumbnail: Blob) => {
          if (!this.#progress || this.#thumbnails.has(row.id)) return;
          this.#thumbnails = withEntries(this.#thumbnails, [[row.id, URL.createObjectURL(thumbnail)]]);
          this.#arriving = [...this.#arriving, row];
          this.#progress = { ...this.#progress, count: this.#arriving.length };
        }),
      );
      this.#report = report;
      this.#error = failure;
      added = failure === '' && report !== null && report.kept > 0;
      this.#arriving = [];
      await this.#take(state);
      if (added) {
        announcer.say(`${plural(report?.kept ?? 0, 'picture')} added.`);
        if (openProject.project?.prompts.length === 0) {
          openProject.update({ prompts: suggestPrompts(state.rows, state.words).slice(0, SAMPLED_PROMPTS) });
        }
      }
    });
    this.#arriving = [];
    this.#progress = null;
    return added;
  }

  cancel(): void {
    void dataWorker().pictures.cancelImport();
  }

  async #apply(change: PictureChange): Promise<void> {
    this.#error = '';
    await this.#guarded(async () => this.#take(await dataWorker().pictures.apply(change)));
  }

  row(id: string | null): PictureRow | undefined {
    return id === null ? undefined : this.#state?.rows.find((row) => row.id === id);
  }

  async remove(ids: readonly string[]): Promise<void> {
    const what = ids.length === 1 ? (this.row(ids[0]!)?.file ?? '1 picture') : plural(ids.length, 'picture');
    await this.#apply({ kind: 'remove', ids, label: `Remove ${what}` });
    announcer.show(`${what} removed.`, { action: { label: 'Undo', run: () => void this.undo() } });
  }

  async set(ids: readonly string[], fields: PictureFields, label: string): Promise<void> {
    await this.#apply({ kind: 'set', changes: ids.map((id) => ({ id, fields })), label });
  }

  setCaption(id: string, caption: string): Promise<void> {
    const row = this.row(id);
    if (!row || row.caption === caption) return Promise.resolve();
    return this.set([id], { caption, captionByHand: true }, `Words of ${row.file}`);
  }

  setCrop(id: string, crop: Crop): Promise<void> {
    return this.set([id], { crop, cropByHand: true }, `Crop of ${this.row(id)?.file ?? 'a picture'}`);
  }

  fromTemplate(ids: readonly string[]): Promise<void> {
    return this.#apply({ kind: 'template', ids, label: `Words of ${plural(ids.length, 'picture')} from the pattern` });
  }

  setWords(fields: Partial<PictureWords>): Promise<void> {
    const words = { ...this.words, ...fields };
    return this.#apply({ kind: 'words', words, label: 'The words for every picture' });
  }

  /** Null: the whole picture is learnt. */
  setMask(id: string, mask: Blob | null): Promise<void> {
    return this.#apply({ kind: 'mask', id, mask, label: `Mask of ${this.row(id)?.file ?? 'a picture'}` });
  }

  /** Lets a model write the words of these pictures. */
  async writeCaptions(ids: readonly string[], model: OnnxModelSource, className: string): Promise<void> {
    if (this.#captioning) return;
    this.#error = '';
    this.#captioning = { what: 'model', fraction: 0 };
    await this.#guarded(async () => {
      const { state, written } = await dataWorker().pictures.writeCaptions(
        ids,
        { model, className },
        callback((what, fraction) => {
          if (this.#captioning) this.#captioning = { what, fraction };
        }),
      );
      await this.#take(state);
      announcer.show(`The words of ${plural(written, 'picture')} were written. Read them once.`);
    });
    this.#captioning = null;
  }

  async undo(): Promise<void> {
    const label = this.undoLabel;
    if (label === null) return;
    await this.#guarded(async () => this.#take(await dataWorker().pictures.undo()));
    this.#restored += 1;
    announcer.say(`Undone: ${label}.`);
  }

  async redo(): Promise<void> {
    const label = this.redoLabel;
    if (label === null) return;
    await this.#guarded(async () => this.#take(await dataWorker().pictures.redo()));
    this.#restored += 1;
    announcer.say(`Done again: ${label}.`);
  }

  select(id: string, on: boolean): void {
    this.#selected = withMember(this.#selected, id, on);
  }

  selectAll(on: boolean): void {
    this.#selected = new Set(on ? (this.#state?.rows.map(({ id }) => id) ?? []) : []);
  }

  async picture(id: string): Promise<Blob | undefined> {
    const record = this.record;
    return record ? readPictureFile(record.id, id) : undefined;
  }

  async mask(id: string): Promise<Blob | null> {
    return dataWorker().pictures.mask(id);
  }
}

export const pictures = new Pictures();
