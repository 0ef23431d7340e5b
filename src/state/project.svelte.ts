import { getProject, updateProject, type ProjectFields } from '../storage/projects.ts';
import { getDataset } from '../storage/datasets.ts';
import type { AskRecord, DatasetRecord, Json, ProjectRecord } from '../storage/records.ts';
import type { LoraConfig } from '../adapters/lora-config.ts';
import { PARSE_LORA } from '../tasks/lora-parsers.ts';
import { parseRecipe, type Recipe } from '../training/recipe.ts';
import { announcer } from './announcer.svelte.ts';
import { errorMessage } from './workers.ts';

/** Typing is written down after this pause, everything else at once; a call of the worker does not wait for it. */
const SAVE_MS = 250;

/** The project that is open. Every change is kept at once, so that a reload loses nothing. */
class OpenProject {
  #project = $state.raw<ProjectRecord | null>(null);
  #dataset = $state.raw<DatasetRecord | null>(null);
  #missing = $state.raw(false);
  #error = $state.raw('');
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What was changed and is not written yet. Nothing else is written: a worker may change other fields meanwhile. */
  #unsaved: { id: string; fields: ProjectFields } | null = null;
  /** The project that was asked for last. */
  #wanted = '';
  #saving: Promise<void> = Promise.resolve();

  constructor() {
    if (typeof document === 'undefined') return;
    document.addEventListener('visibilitychange', () => void this.flush());
    window.addEventListener('pagehide', () => void this.flush());
  }

  get project(): ProjectRecord | null {
    return this.#project;
  }

  get dataset(): DatasetRecord | null {
    return this.#dataset;
  }

  /** The id in the address belongs to no project. */
  get missing(): boolean {
    return this.#missing;
  }

  get error(): string {
    return this.#error;
  }

  readonly recipe: Recipe = $derived.by(() => {
    const task = this.#project?.task ?? 'voice';
    try {
      return parseRecipe(this.#project?.recipe ?? {}, task);
    } catch {
      // A recipe that an older version of the page wrote and this one refuses: the defaults stand in, and the form shows them.
      return parseRecipe({}, task);
    }
  });

  readonly adapter: LoraConfig = $derived.by(() => {
    const task = this.#project?.task ?? 'voice';
    try {
      return PARSE_LORA[task](this.#project?.adapter ?? {});
    } catch {
      return PARSE_LORA[task]({});
    }
  });

  async open(id: string): Promise<void> {
    this.#wanted = id;
    if (this.#project?.id === id) return;
    await this.flush();
    this.#missing = false;
    this.#error = '';
    try {
      const project = await getProject(id);
      const dataset = project?.datasetId ? await getDataset(project.datasetId) : undefined;
      if (this.#wanted !== id) return;
      this.#project = project ?? null;
      this.#missing = !project;
      this.#dataset = dataset ?? null;
    } catch (error) {
      if (this.#wanted === id) this.#error = errorMessage(error);
    }
  }

  async close(): Promise<void> {
    this.#wanted = '';
    await this.flush();
    this.#project = null;
    this.#dataset = null;
  }

  update(fields: ProjectFields, typing = false): void {
    if (!this.#project) return;
    const { id } = this.#project;
    const changed = { ...fields, changedAt: Date.now() };
    if (this.#unsaved && this.#unsaved.id !== id) void this.flush();
    this.#project = { ...this.#project, ...changed };
    this.#unsaved = { id, fields: { ...this.#unsaved?.fields, ...changed } };
    clearTimeout(this.#timer);
    if (typing) this.#timer = setTimeout(() => void this.flush(), SAVE_MS);
    else void this.flush();
  }

  updateAsk(fields: Partial<AskRecord>): void {
    const typing = fields.wish !== undefined || fields.background !== undefined;
    if (this.#project) this.update({ ask: { ...this.#project.ask, ...fields } }, typing);
  }

  /** Sets one field of the recipe; UserError where it is out of range. The default is kept as "not set". */
  setRecipe(name: keyof Recipe, value: Json): void {
    if (!this.#project) return;
    const recipe = { ...this.#project.recipe, [name]: value };
    parseRecipe(recipe, this.#project.task);
    this.update({ recipe });
  }

  setAdapter(name: keyof LoraConfig, value: Json): void {
    if (!this.#project) return;
    const adapter = { ...this.#project.adapter, [name]: value };
    PARSE_LORA[this.#project.task](adapter);
    this.update({ adapter });
  }

  /** Back to the defaults, undoable. */
  resetRecipe(): void {
    if (!this.#project) return;
    const { recipe, adapter, id } = this.#project;
    this.update({ recipe: {}, adapter: {} });
    announcer.show('All settings are back to their defaults.', {
      action: { label: 'Undo', run: () => this.#project?.id === id && this.update({ recipe, adapter }) },
    });
  }

  /** Changes a project that may have been left since: the open one as it is looked at, another one on disk alone. */
  async updateOf(id: string, fields: ProjectFields): Promise<void> {
    if (this.#project?.id === id) this.update(fields);
    else await updateProject(id, { ...fields, changedAt: Date.now() });
  }

  /** Shows the data set as it is now. On disk the project knows it already; a record of another project is none of ours. */
  setDataset(dataset: DatasetRecord): void {
    if (!this.#project || this.#project.id !== dataset.projectId) return;
    this.#dataset = dataset;
    if (this.#project.datasetId !== dataset.id) this.update({ datasetId: dataset.id });
  }

  /** Writes what is waiting to be written. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#unsaved) {
      const { id, fields } = this.#unsaved;
      this.#unsaved = null;
      // One after the other: the last one written is the newest.
      this.#saving = this.#saving.then(async () => {
        try {
          await updateProject(id, fields);
        } catch (error) {
          // The next change of it tries again.
          const newer = this.#unsaved ?? { id, fields: {} };
          if (newer.id === id) this.#unsaved = { id, fields: { ...fields, ...newer.fields } };
          announcer.show(errorMessage(error), { kind: 'error' });
        }
      });
    }
    await this.#saving;
  }
}

export const openProject = new OpenProject();
