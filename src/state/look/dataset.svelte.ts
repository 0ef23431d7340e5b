import type { NamedFile } from '../../common/named-file.ts';
import type { PictureQuality } from '../../datasets/look/quality.ts';
import type { Crop, PictureRow } from '../../datasets/look/types.ts';
import { readFile } from '../../storage/datasets.ts';
import type { LookTypes, PictureFields, PictureOptions, PictureState, PictureWords } from '../../worker/look/host.ts';
import type { OnnxModelSource } from '../../worker/onnx-model.ts';
import { untrack } from 'svelte';
import { announcer } from '../announcer.svelte.ts';
import { lookInfo } from './info.ts';
import { withEntries, withMember } from '../collections.ts';
import { DatasetManager, type DatasetCalls } from '../dataset.svelte.ts';
import { plural } from '../format.ts';
import { openProject } from '../project.svelte.ts';
import { suggestPrompts, suggestWord } from './captions.ts';
import { dataWorker } from '../workers.ts';

const NO_WORDS: PictureWords = { triggerWord: '', template: '' };
/** Where neither the recipe nor a loaded base says how large pictures are: Stable Diffusion 1.5's. */
const USUAL_RESOLUTION = 512;

/** Edits of one picture. */
export interface PictureEdits {
  setCrop(crop: Crop): Promise<void>;
  /** Null: the whole picture is learnt. */
  setMask(mask: Blob | null): Promise<void>;
  /** As it is kept; null where the whole picture is learnt. */
  mask(): Promise<Blob | null>;
}

/** The pictures of the open project: rows, thumbnails, what is selected, and every change. */
class LookData extends DatasetManager<LookTypes> {
  #thumbnails = $state.raw<ReadonlyMap<string, string>>(new Map());
  /** Pictures of an import that goes on, in order of arrival. */
  #arriving = $state.raw<readonly PictureRow[]>([]);
  #selected = $state.raw<ReadonlySet<string>>(new Set());
  /** Counts undo, redo and the like, after which what is shown of a mask must be read anew. */
  #restored = $state.raw(0);

  /** All pictures in order, those that are just arriving last. */
  readonly rows: readonly PictureRow[] = $derived([...(this.state?.rows ?? []), ...this.#arriving]);

  constructor() {
    super({ read: { one: 'picture', past: 'read' }, kept: 'picture' });
  }

  protected override calls(): DatasetCalls<LookTypes> {
    return dataWorker().look;
  }

  protected override options(projectId: string): PictureOptions {
    return { triggerWord: suggestWord(projectId), resolution: this.resolution };
  }

  protected override forget(): void {
    for (const url of this.#thumbnails.values()) URL.revokeObjectURL(url);
    this.#thumbnails = new Map();
    this.#arriving = [];
    this.#selected = new Set();
  }

  get words(): PictureWords {
    return this.state?.words ?? NO_WORDS;
  }

  get quality(): PictureQuality | null {
    return this.state?.quality ?? null;
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

  protected override async taken(state: PictureState): Promise<void> {
    const there = new Set(state.rows.map(({ id }) => id));
    this.#arriving = this.#arriving.filter(({ id }) => !there.has(id));
    this.#selected = new Set([...this.#selected].filter((id) => there.has(id)));
    await this.#loadThumbnails(state);
  }

  async #loadThumbnails({ record, rows }: PictureState): Promise<void> {
    const { projectId } = this;
    if (!record) return;
    const missing = rows.filter(({ id }) => !this.#thumbnails.has(id));
    if (missing.length === 0) return;
    const files = await Promise.all(missing.map(({ id }) => readFile(record.id, id)));
    if (projectId !== this.projectId) return;
    const found = missing.flatMap(({ id }, i): [string, string][] => {
      const blob = files[i]?.thumbnail;
      return blob && !this.#thumbnails.has(id) ? [[id, URL.createObjectURL(blob)]] : [];
    });
    this.#thumbnails = withEntries(this.#thumbnails, found);
  }

  protected override arrived({ row, thumbnail }: LookTypes['item']): void {
    if (this.#thumbnails.has(row.id) || this.row(row.id)) return;
    this.#thumbnails = withEntries(this.#thumbnails, [[row.id, URL.createObjectURL(thumbnail)]]);
    this.#arriving = [...this.#arriving, row];
  }

  /** Adds what the files hold; pictures show one by one as they are read. */
  async addFiles(files: readonly NamedFile[], projectId = this.projectId): Promise<boolean> {
    const added = await this.addAll(files, projectId);
    // Of an import that failed nothing is there.
    if (projectId === this.projectId && this.progress === null) this.#arriving = [];
    return added;
  }

  protected override suggestPrompts(_projectId: string, { rows, words }: PictureState): string[] {
    return suggestPrompts(rows, words);
  }

  row(id: string | null): PictureRow | undefined {
    return id === null ? undefined : this.state?.rows.find((row) => row.id === id);
  }

  async remove(ids: readonly string[]): Promise<void> {
    const undo = this.undoAction();
    const what = ids.length === 1 ? (this.row(ids[0]!)?.file ?? '1 picture') : plural(ids.length, 'picture');
    await this.apply({ kind: 'remove', ids, label: `Remove ${what}` });
    announcer.show(`${what} removed.`, undo);
  }

  async set(ids: readonly string[], fields: PictureFields, label: string): Promise<void> {
    await this.apply({ kind: 'set', changes: ids.map((id) => ({ id, fields })), label });
  }

  setCaption(id: string, caption: string): Promise<void> {
    const row = this.row(id);
    if (!row || row.caption === caption) return Promise.resolve();
    return this.set([id], { caption, captionByHand: true }, `Words of ${row.file}`);
  }

  /**
   * Edits that may end after another picture, or another project, has been opened: they stay with this one, whenever they are called.
   * Not read anew when anything changes.
   */
  editsOf(id: string): PictureEdits {
    return untrack(() => {
      const { projectId } = this;
      const file = this.row(id)?.file ?? 'a picture';
      return {
        setCrop: (crop) => {
          const changes = [{ id, fields: { crop, cropByHand: true } }];
          return this.apply({ kind: 'set', changes, label: `Crop of ${file}` }, projectId);
        },
        setMask: (mask) => this.apply({ kind: 'mask', id, mask, label: `Mask of ${file}` }, projectId),
        mask: async () => {
          let mask: Blob | null = null;
          await this.guarded(projectId, async () => {
            mask = await dataWorker().look.mask(projectId, id);
          });
          return mask;
        },
      };
    });
  }

  fromTemplate(ids: readonly string[]): Promise<void> {
    return this.apply({ kind: 'template', ids, label: `Words of ${plural(ids.length, 'picture')} from the pattern` });
  }

  setWords(fields: Partial<PictureWords>): Promise<void> {
    const words = { ...this.words, ...fields };
    return this.apply({ kind: 'words', words, label: 'The words for every picture' });
  }

  /** Lets a model write the words of these pictures. */
  writeCaptions(ids: readonly string[], model: OnnxModelSource, className: string): Promise<void> {
    return this.useModel(
      (projectId, onProgress) => dataWorker().look.writeCaptions(projectId, ids, { model, className }, onProgress),
      (done) => `The words of ${plural(done, 'picture')} were written. Read them once.`,
    );
  }

  override async undo(projectId?: string): Promise<void> {
    await super.undo(projectId);
    this.#restored += 1;
  }

  override async redo(projectId?: string): Promise<void> {
    await super.redo(projectId);
    this.#restored += 1;
  }

  protected override async reopen(): Promise<void> {
    await super.reopen();
    this.#restored += 1;
  }

  select(id: string, on: boolean): void {
    this.#selected = withMember(this.#selected, id, on);
  }

  selectAll(on: boolean): void {
    this.#selected = new Set(on ? (this.state?.rows.map(({ id }) => id) ?? []) : []);
  }

  async picture(id: string): Promise<Blob | undefined> {
    const { record } = this;
    return record ? (await readFile(record.id, id))?.file : undefined;
  }
}

export const pictures = new LookData();
