import { UserError } from '../../common/errors.ts';
import type { QualityLine } from '../../datasets/voice/quality.ts';
import type { TrainingRow } from '../../datasets/voice/rows.ts';
import type { TokenPreview } from '../../tasks/voice/types.ts';
import type { RowPage, VoiceState, VoiceTypes } from '../../worker/voice/host.ts';
import { announcer } from '../announcer.svelte.ts';
import { DatasetManager, type DatasetCalls } from '../dataset.svelte.ts';
import { plural } from '../format.ts';
import { openProject } from '../project.svelte.ts';
import { dataWorker, errorMessage, modelWorker } from '../workers.ts';

export const PAGE_ROWS = 20;
/** Rows that are looked through for words to try. */
const SUGGEST_FROM = 12;
const PROMPT_WORDS = 6;
const LONG_TEXT = 1000;

function firstWords(text: string): string {
  return text.trim().split(/\s+/).slice(0, PROMPT_WORDS).join(' ');
}

/** What one would say to hear whether a row was learnt: its question, or its first words. */
function beginning(row: TrainingRow): string {
  if (row.kind === 'messages')
    return (
      row.messages
        .find(({ role }) => role === 'user')
        ?.content.split('\n')[0]
        ?.trim() ?? ''
    );
  if (row.kind === 'completion') return firstWords(row.prompt);
  // A long text begins with a heading, as a rule: a sentence from within says more.
  const inside = row.text.slice(Math.floor(row.text.length / 3)).replace(/^[^]*?[.!?]['"’”]?\s+/, '');
  return firstWords(row.text.length > LONG_TEXT && inside !== '' ? inside : row.text);
}

const EMPTY_PAGE: RowPage = { rows: [], matching: 0 };

/** The rows of the open project. They stay in the worker; here is the page of them that is looked at. */
class VoiceData extends DatasetManager<VoiceTypes> {
  #page = $state.raw<RowPage>(EMPTY_PAGE);
  #start = $state.raw(0);
  #query = $state.raw('');
  #quality = $state.raw<QualityLine | null>(null);
  #showTokens = $state.raw(false);
  #previews = $state.raw<ReadonlyMap<number, TokenPreview>>(new Map());
  #previewError = $state.raw('');
  /** Counts what was asked for: only the last page that was asked for is shown. */
  #turn = 0;

  constructor() {
    super({ read: { one: 'row', past: 'read' }, kept: 'row' });
  }

  protected override calls(): DatasetCalls<VoiceTypes> {
    return dataWorker().voice;
  }

  protected override options(): VoiceTypes['options'] {
    return {};
  }

  protected override forget(): void {
    this.#turn += 1;
    this.#page = EMPTY_PAGE;
    this.#start = 0;
    this.#query = '';
    this.#quality = null;
    this.#showTokens = false;
    this.#previews = new Map();
    this.#previewError = '';
  }

  get page(): RowPage {
    return this.#page;
  }

  get start(): number {
    return this.#start;
  }

  get query(): string {
    return this.#query;
  }

  get quality(): QualityLine | null {
    return this.#quality;
  }

  get showTokens(): boolean {
    return this.#showTokens;
  }

  get previews(): ReadonlyMap<number, TokenPreview> {
    return this.#previews;
  }

  get previewError(): string {
    return this.#previewError;
  }

  protected override async taken(state: VoiceState): Promise<void> {
    const { projectId } = this;
    await this.#loadPage();
    const quality = state.record ? await dataWorker().voice.quality(projectId) : null;
    if (projectId === this.projectId) this.#quality = quality;
  }

  async #loadPage(): Promise<void> {
    const { projectId } = this;
    const turn = ++this.#turn;
    const ask = (): Promise<RowPage> => dataWorker().voice.page(projectId, this.#query, this.#start, PAGE_ROWS);
    let page = await ask();
    if (turn !== this.#turn) return;
    if (page.rows.length === 0 && page.matching > 0) {
      // The last row of the last page was removed.
      this.#start = Math.floor((page.matching - 1) / PAGE_ROWS) * PAGE_ROWS;
      page = await ask();
      if (turn !== this.#turn) return;
    }
    this.#page = page;
    this.#previews = new Map();
    if (this.#showTokens) await this.#loadPreviews();
  }

  async goTo(start: number): Promise<void> {
    this.#start = Math.max(0, start);
    await this.guarded(this.projectId, () => this.#loadPage());
  }

  async search(query: string): Promise<void> {
    const { projectId } = this;
    this.#query = query;
    this.#start = 0;
    await this.guarded(projectId, () => this.#loadPage());
    if (query !== '' && projectId === this.projectId) announcer.say(`${plural(this.#page.matching, 'row')} found.`);
  }

  protected override async suggestPrompts(projectId: string): Promise<string[]> {
    const { rows } = await dataWorker().voice.page(projectId, '', 0, SUGGEST_FROM);
    return [...new Set(rows.map(({ row }) => beginning(row)).filter((text) => text !== ''))];
  }

  addFiles(files: readonly File[]): Promise<boolean> {
    return this.addAll({ files });
  }

  addText(text: string): Promise<boolean> {
    return this.addAll({ text });
  }

  async addRow(row: TrainingRow): Promise<void> {
    await this.apply({ kind: 'add', index: 0, rows: [row], label: 'Add a row' });
  }

  /** `was`: the row as it was opened at `index`; it is the one that changes, wherever it is by then. */
  async edit(index: number, was: TrainingRow, row: TrainingRow): Promise<void> {
    await this.apply({ kind: 'edit', index, was, row, label: `Edit row ${index + 1}` });
  }

  async remove(index: number): Promise<void> {
    await this.apply({ kind: 'remove', indices: [index], label: `Remove row ${index + 1}` });
    announcer.say(`Row ${index + 1} removed. Undo with Control Z.`);
  }

  async removeDuplicates(): Promise<void> {
    const { projectId } = this;
    await this.guarded(projectId, async () => {
      const { state, removed } = await dataWorker().voice.removeDuplicates(projectId);
      if (projectId === this.projectId) {
        announcer.show(removed === 0 ? 'No row repeats another.' : `${plural(removed, 'repeat')} removed.`);
      }
      await this.take(projectId, state);
    });
  }

  async setShowTokens(show: boolean): Promise<void> {
    this.#showTokens = show;
    if (show) await this.#loadPreviews();
  }

  /** Exactly which tokens of the rows on this page carry loss. */
  async #loadPreviews(): Promise<void> {
    const { project } = openProject;
    this.#previewError = '';
    if (!project || project.id !== this.projectId) return;
    const turn = this.#turn;
    const rows = this.#page.rows;
    try {
      await openProject.flush();
      if (project.baseId === null) throw new UserError('Choose a base first: its tokenizer decides.');
      await modelWorker().load(project.baseId);
      const previews = (await modelWorker().preview(
        project.id,
        rows.map(({ row }) => row),
      )) as readonly TokenPreview[];
      if (turn !== this.#turn) return;
      this.#previews = new Map(rows.map(({ index }, i) => [index, previews[i] ?? { tokens: [] }]));
    } catch (error) {
      if (turn === this.#turn) this.#previewError = errorMessage(error);
    }
  }

  /** The set as a file for other tools; undefined, and `error` says why, where it cannot be made. */
  async download(): Promise<Blob | undefined> {
    const { projectId } = this;
    let file: Blob | undefined;
    await this.guarded(projectId, async () => {
      file = await dataWorker().voice.toJsonl(projectId);
    });
    return file;
  }
}

export const data = new VoiceData();
