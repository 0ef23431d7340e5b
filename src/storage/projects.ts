import { database, newId } from './database.ts';
import { deleteDataset } from './datasets.ts';
import { withStorageErrors } from './errors.ts';
import { newProject, readProject, type Json, type ProjectRecord } from './records.ts';
import type { Task } from '../common/task.ts';
import { deleteRun, listRuns } from './runs.ts';

/** All projects, the last changed first. What is marked as deleted is not among them. */
export async function listProjects(): Promise<ProjectRecord[]> {
  const projects = await (await database()).getAll('projects');
  return projects
    .filter(({ deletedAt }) => deletedAt === undefined)
    .map(readProject)
    .sort((a, b) => b.changedAt - a.changedAt);
}

/** Undefined also where it is marked as deleted. */
export async function getProject(id: string): Promise<ProjectRecord | undefined> {
  const record = await (await database()).get('projects', id);
  return record?.deletedAt === undefined ? record && readProject(record) : undefined;
}

export async function createProject(task: Task, name: string): Promise<ProjectRecord> {
  const project = newProject(newId(), task, name, Date.now());
  await saveProject(project);
  return project;
}

export async function saveProject(project: ProjectRecord): Promise<void> {
  await withStorageErrors(`“${project.name}”`, async () => {
    await (await database()).put('projects', project);
  });
}

/** What may be changed of a project. */
export type ProjectFields = Partial<Omit<ProjectRecord, 'id' | 'task' | 'createdAt'>>;

/**
 * Changes fields of a project in one transaction: whoever changes another field of it at the same time, the page or a worker,
 * is not written over. Undefined where the project is gone: it is not made again.
 */
export async function updateProject(id: string, fields: ProjectFields): Promise<ProjectRecord | undefined> {
  return withStorageErrors('the project', async () => {
    const write = (await database()).transaction('projects', 'readwrite');
    const before = await write.store.get(id);
    const after = before && { ...readProject(before), ...fields };
    await Promise.all([after && write.store.put(after), write.done]);
    return after;
  });
}

/** From now on nobody finds the project; its data stays until `deleteProject`. Resolves when that is on disk. */
export async function markDeleted(id: string): Promise<void> {
  await updateProject(id, { deletedAt: Date.now() });
}

/** Takes the mark away again. */
export async function restoreProject(id: string): Promise<void> {
  await updateProject(id, { deletedAt: undefined });
}

/** Projects that were marked as deleted before a moment (milliseconds since 1970). */
export async function deletedBefore(moment: number): Promise<string[]> {
  const projects = await (await database()).getAll('projects');
  return projects.filter(({ deletedAt = Infinity }) => deletedAt < moment).map(({ id }) => id);
}

/** Deletes a project with its data set, runs and checkpoints. Bases stay: other projects may use them. */
export async function deleteProject(id: string): Promise<void> {
  const db = await database();
  for (const run of await listRuns(id)) await deleteRun(run.id);
  for (const dataset of await db.getAllKeysFromIndex('datasets', 'project', id)) await deleteDataset(dataset);
  await db.delete('projects', id);
}

export async function getSetting(key: string): Promise<Json | undefined> {
  return (await database()).get('settings', key);
}

export async function setSetting(key: string, value: Json): Promise<void> {
  await withStorageErrors('the settings', async () => {
    await (await database()).put('settings', value, key);
  });
}
