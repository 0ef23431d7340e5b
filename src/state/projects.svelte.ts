import {
  createProject,
  deletedBefore,
  deleteProject,
  listProjects,
  markDeleted,
  restoreProject,
  updateProject,
} from '../storage/projects.ts';
import { getDataset, readFile } from '../storage/datasets.ts';
import { listRuns, readPreview } from '../storage/runs.ts';
import type { ProjectRecord, RunRecord } from '../storage/records.ts';
import type { Task } from '../common/task.ts';
import { announcer } from './announcer.svelte.ts';
import { formatLoss, plural } from './format.ts';
import { kindWords } from './kinds.ts';
import { lockedRuns, whileNotTraining } from './locks.ts';
import { errorMessage, onWorkerEvent } from './workers.ts';

export interface ProjectCard {
  project: ProjectRecord;
  /** Where it stands, in words. */
  state: string;
  training: boolean;
  /** A few losses of the newest run, for the drawing. */
  curve: readonly number[];
  /** Of a look: its newest sample, or its first picture. */
  picture: Blob | null;
}

/** A little longer than the message that offers the undo. */
const UNDO_MS = 21_000;

/** How far a run got, in words. */
export function runState(run: RunRecord, alive: boolean): string {
  if (alive) return run.totalSteps > 0 ? `Training: step ${run.step} of ${run.totalSteps}` : 'Training';
  switch (run.status) {
    case 'running':
      return `Interrupted at step ${run.step}; can go on`;
    case 'stopped':
      return `Stopped and kept at step ${run.step} of ${run.totalSteps}`;
    case 'failed':
      return 'The last run broke off';
    case 'finished':
      return `Taught${run.loss === null ? '' : `, loss ${formatLoss(run.heldOutLoss ?? run.loss)}`}`;
  }
}

/** What stands for a project's data, where it has a picture. */
async function coverOf({ datasetId }: ProjectRecord): Promise<Blob | null> {
  const dataset = datasetId === null ? undefined : await getDataset(datasetId);
  const file = dataset?.cover ? await readFile(dataset.id, dataset.cover) : undefined;
  return file?.thumbnail ?? null;
}

async function describe(project: ProjectRecord, alive: ReadonlySet<string>): Promise<ProjectCard> {
  const [run] = await listRuns(project.id);
  if (run) {
    const training = alive.has(project.id);
    const { losses, picture } = await readPreview(run.id);
    const state = runState(run, training);
    return { project, state, training, curve: losses, picture: picture ?? (await coverOf(project)) };
  }
  const dataset = project.datasetId ? await getDataset(project.datasetId) : undefined;
  const words = kindWords(project.task);
  const state = !dataset?.rowCount
    ? words.needs
    : project.baseId === null
      ? `${plural(dataset.rowCount, words.one)}; needs a base`
      : 'Ready to train';
  return { project, state, training: false, curve: [], picture: await coverOf(project) };
}

/** The visitor's projects, as Home shows them. */
class Projects {
  #cards = $state.raw<readonly ProjectCard[]>([]);
  #loaded = $state.raw(false);
  #error = $state.raw('');

  constructor() {
    onWorkerEvent((event) => {
      if (event.type === 'run' && event.phase === 'ended') void this.load();
    });
  }

  get cards(): readonly ProjectCard[] {
    return this.#cards;
  }

  get loaded(): boolean {
    return this.#loaded;
  }

  get error(): string {
    return this.#error;
  }

  async load(): Promise<void> {
    try {
      const alive = await lockedRuns();
      this.#cards = await Promise.all((await listProjects()).map((project) => describe(project, alive)));
      this.#error = '';
    } catch (error) {
      this.#error = errorMessage(error);
    }
    this.#loaded = true;
  }

  async create(task: Task, name: string): Promise<ProjectRecord> {
    const taken = new Set(this.#cards.map((card) => card.project.name));
    let free = name;
    for (let n = 2; taken.has(free); n++) free = `${name} ${n}`;
    const project = await createProject(task, free);
    await this.load();
    return project;
  }

  async rename(id: string, name: string): Promise<void> {
    if (name.trim() === '') return;
    await updateProject(id, { name: name.trim(), changedAt: Date.now() });
    await this.load();
  }

  /**
   * Takes a project off the list, also for a page that is opened anew or stands in another tab, and off the disk when the moment to
   * undo has passed: by this page, or by the next one where this one was closed before.
   */
  async remove(card: ProjectCard): Promise<void> {
    const { id, name } = card.project;
    this.#cards = this.#cards.filter((other) => other.project.id !== id);
    try {
      await markDeleted(id);
    } catch (error) {
      announcer.show(errorMessage(error), { kind: 'error' });
      await this.load();
      return;
    }
    const timer = setTimeout(() => void this.#takeOffDisk(id), UNDO_MS);
    announcer.show(`“${name}” was deleted.`, {
      action: {
        label: 'Undo',
        run: () => {
          clearTimeout(timer);
          void this.#restore(id);
        },
      },
    });
  }

  async #restore(id: string): Promise<void> {
    try {
      await restoreProject(id);
    } catch (error) {
      announcer.show(errorMessage(error), { kind: 'error' });
    }
    await this.load();
  }

  async #takeOffDisk(id: string): Promise<void> {
    try {
      if (await whileNotTraining(id, () => deleteProject(id))) return;
      // Another tab has it open and began a run of it: what it learns must not be lost.
      await this.#restore(id);
      announcer.show('The project that was deleted is training in another tab, so it is here again.');
    } catch (error) {
      announcer.show(errorMessage(error), { kind: 'error' });
    }
  }

  /** What earlier visits deleted and had no time left to take off the disk. */
  async sweep(): Promise<void> {
    const left = await deletedBefore(Date.now() - UNDO_MS).catch(() => []);
    for (const id of left) await this.#takeOffDisk(id);
  }
}

export const projects = new Projects();
