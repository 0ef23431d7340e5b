import { UserError } from '../../common/errors.ts';
import type { ImportReport, TrainingRow } from '../../datasets/voice/rows.ts';
import type { QualityLine } from '../../datasets/voice/quality.ts';
import type { Operation } from '../../datasets/voice/curation.ts';
import type { TokenPreview } from '../../tasks/voice/types.ts';
import type { DataState, ImportOutcome, RowPage } from '../../worker/data-host.ts';
import { SAMPLED_PROMPTS } from '../../worker/protocol.ts';
import { announcer } from '../announcer.svelte.ts';
import { plural } from '../format.ts';
import { openProject } from '../project.svelte.ts';
import { callback, dataWorker, errorMessage, modelWorker } from '../workers.ts';

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

/** The data set of the open project. The rows stay in the worker; here is the page of them that is looked at. */
class Data {
  #projectId = '';
  #state = $state.raw<DataState | null>(null);
  #page = $state.raw<RowPage>(EMPTY_PAGE);
  #start = $state.raw(0);
  #query = $state.raw('');
  #quality = $state.raw<QualityLine | null>(null);
  #progress = $state.raw<{ fraction: number; rows: number } | null>(null);
  #report = $state.raw<ImportReport | null>(null);
  #error = $state.raw('');
  #opened: Promise<void> = Promise.resolve();
  #showTokens = $state.raw(false);
  #previews = $state.raw<ReadonlyMap<number, TokenPreview>>(new Map());
  #previewError = $state.raw('');
  #turn = 0;

  get state(): DataState | null {
    return this.#state;
  }

  get undoLabel(): string | null {
    return this.#state?.undoLabel ?? null;
  }

  get redoLabel(): string | null {
    return this.#state?.redoLabel ?? null;
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

  get progress(): { fraction: number; rows: number } | null {
    return this.#progress;
  }

  /** Of the last import. */
  get report(): ImportReport | null {
    return this.#report;
  }

  get error(): string {
    return this.#error;
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

  async open(projectId: string): Promise<void> {
    if (this.#projectId !== projectId) {
      this.#projectId = projectId;
      this.#state = null;
      this.#page = EMPTY_PAGE;
      this.#start = 0;
      this.#query = '';
      this.#quality = null;
      this.#report = null;
      this.#error = '';
      this.#showTokens = false;
    }
    const opened = this.#guarded(async () => this.#take(await dataWorker().open(projectId)));
    this.#opened = opened;
    await opened;
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#error = errorMessage(error);
    }
  }

  async #take(state: DataState): Promise<void> {
    // Shown as kept only when a reload would find it.
    if (state.record) await openProject.setDataset(state.record);
    this.#state = state;
    await this.#loadPage();
    const quality = state.record ? await dataWorker().quality() : null;
    this.#quality = quality;
  }

  async #loadPage(): Promise<void> {
    const turn = ++this.#turn;
    const ask = (): Promise<RowPage> => dataWorker().page(this.#query, this.#start, PAGE_ROWS);
    let page = await ask();
    if (page.rows.length === 0 && page.matching > 0) {
      // The last row of the last page was removed.
      this.#start = Math.floor((page.matching - 1) / PAGE_ROWS) * PAGE_ROWS;
      page = await ask();
    }
    if (turn !== this.#turn) return;
    this.#page = page;
    this.#previews = new Map();
    if (this.#showTokens) await this.#loadPreviews();
  }

  async goTo(start: number): Promise<void> {
    this.#start = Math.max(0, start);
    await this.#guarded(() => this.#loadPage());
  }

  async search(query: string): Promise<void> {
    this.#query = query;
    this.#start = 0;
    await this.#guarded(() => this.#loadPage());
    if (query !== '') announcer.say(`${plural(this.#page.matching, 'row')} found.`);
  }

  async #import(work: () => Promise<ImportOutcome>): Promise<boolean> {
    this.#error = '';
    this.#report = null;
    this.#progress = { fraction: 0, rows: 0 };
    let added = false;
    // Files dropped the moment the step shows must not reach the project that was open before.
    await this.#opened;
    await this.#guarded(async () => {
      const { state, report, failure } = await work();
      this.#report = report;
      this.#error = failure;
      added = failure === '' && report !== null;
      if (added) announcer.say(`${plural(report?.kept ?? 0, 'row')} added.`);
      await this.#take(state);
      if (added) await this.#suggestPrompts();
    });
    this.#progress = null;
    return added;
  }

  /** Words to try along the way, from the set itself, where the person has written none. */
  async #suggestPrompts(): Promise<void> {
    if (openProject.project?.prompts.length !== 0) return;
    const { rows } = await dataWorker().page('', 0, SUGGEST_FROM);
    const prompts = new Set(rows.map(({ row }) => beginning(row)).filter((text) => text !== ''));
    openProject.update({ prompts: [...prompts].slice(0, SAMPLED_PROMPTS) });
  }

  addFiles(files: File[]): Promise<boolean> {
    return this.#import(() =>
      dataWorker().importFiles(
        files,
        {},
        callback((fraction: number, rows: number) => {
          // Progress may come after the answer of the call.
          if (this.#progress) this.#progress = { fraction, rows };
        }),
      ),
    );
  }

  addText(text: string): Promise<boolean> {
    return this.#import(() => dataWorker().importText(text, {}));
  }

  cancel(): void {
    void dataWorker().cancelImport();
  }

  async addRow(row: TrainingRow): Promise<void> {
    await this.#apply({ kind: 'add', index: 0, rows: [row], label: 'Add a row' });
  }

  async edit(index: number, row: TrainingRow): Promise<void> {
    await this.#apply({ kind: 'edit', index, row, label: `Edit row ${index + 1}` });
  }

  async remove(index: number): Promise<void> {
    await this.#apply({ kind: 'remove', indices: [index], label: `Remove row ${index + 1}` });
    announcer.say(`Row ${index + 1} removed. Undo with Control Z.`);
  }

  async removeDuplicates(): Promise<void> {
    await this.#guarded(async () => {
      const { state, removed } = await dataWorker().removeDuplicates();
      announcer.show(removed === 0 ? 'No row repeats another.' : `${plural(removed, 'repeat')} removed.`);
      await this.#take(state);
    });
  }

  async #apply(operation: Operation): Promise<void> {
    this.#error = '';
    await this.#guarded(async () => this.#take(await dataWorker().apply(operation)));
  }

  async undo(): Promise<void> {
    const label = this.undoLabel;
    if (!label) return;
    await this.#guarded(async () => this.#take(await dataWorker().undo()));
    announcer.say(`Undone: ${label}.`);
  }

  async redo(): Promise<void> {
    const label = this.redoLabel;
    if (!label) return;
    await this.#guarded(async () => this.#take(await dataWorker().redo()));
    announcer.say(`Done again: ${label}.`);
  }

  async setShowTokens(show: boolean): Promise<void> {
    this.#showTokens = show;
    if (show) await this.#loadPreviews();
  }

  /** Exactly which tokens of the rows on this page carry loss. */
  async #loadPreviews(): Promise<void> {
    const { project } = openProject;
    this.#previewError = '';
    if (!project) return;
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
      this.#previewError = errorMessage(error);
    }
  }

  /** The set as a file for other tools. */
  async download(): Promise<Blob> {
    return dataWorker().toJsonl();
  }
}

export const data = new Data();
