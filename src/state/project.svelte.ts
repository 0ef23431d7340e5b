import { getProject, saveProject } from '../storage/projects.ts';
import { getDataset } from '../storage/datasets.ts';
import type { AskRecord, DatasetRecord, Json, JsonObject, ProjectRecord } from '../storage/records.ts';
import type { Task } from '../common/task.ts';
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
  #unsaved = false;
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
    if (this.#project?.id === id) return;
    await this.flush();
    this.#missing = false;
    this.#error = '';
    try {
      const project = await getProject(id);
      this.#project = project ?? null;
      this.#missing = !project;
      this.#dataset = project?.datasetId ? ((await getDataset(project.datasetId)) ?? null) : null;
    } catch (error) {
      this.#error = errorMessage(error);
    }
  }

  async close(): Promise<void> {
    await this.flush();
    this.#project = null;
    this.#dataset = null;
  }

  update(fields: Partial<Omit<ProjectRecord, 'id' | 'task' | 'createdAt'>>, typing = false): void {
    if (!this.#project) return;
    this.#project = { ...this.#project, ...fields, changedAt: Date.now() };
    this.#unsaved = true;
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

  /** Resolves when the project on disk knows its data set. */
  async setDataset(dataset: DatasetRecord): Promise<void> {
    this.#dataset = dataset;
    if (this.#project && this.#project.datasetId !== dataset.id) this.update({ datasetId: dataset.id });
    await this.flush();
  }

  /** Writes what is waiting to be written. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#unsaved && this.#project) {
      const project = this.#project;
      this.#unsaved = false;
      // One after the other: the last one written is the newest.
      this.#saving = this.#saving.then(() => saveProject(project));
    }
    try {
      await this.#saving;
    } catch (error) {
      this.#saving = Promise.resolve();
      announcer.show(errorMessage(error), { kind: 'error' });
    }
  }
}

export const openProject = new OpenProject();
