import { database, newId } from './database.ts';
import { deleteDataset } from './datasets.ts';
import { kept } from './errors.ts';
import { newProject, type Json, type ProjectRecord } from './records.ts';
import { deleteRun, listRuns } from './runs.ts';

/** All projects, the last changed first. */
export async function listProjects(): Promise<ProjectRecord[]> {
  const projects = await (await database()).getAll('projects');
  return projects.sort((a, b) => b.changedAt - a.changedAt);
}

export async function getProject(id: string): Promise<ProjectRecord | undefined> {
  return (await database()).get('projects', id);
}

export async function createProject(name: string): Promise<ProjectRecord> {
  const project = newProject(newId(), name, Date.now());
  await saveProject(project);
  return project;
}

export async function saveProject(project: ProjectRecord): Promise<void> {
  await kept(`“${project.name}”`, async () => {
    await (await database()).put('projects', project);
  });
}

/** Deletes a project with its data set, runs and checkpoints. Bases stay: other projects may use them. */
export async function deleteProject(id: string): Promise<void> {
  const db = await database();
  const project = await db.get('projects', id);
  for (const run of await listRuns(id)) await deleteRun(run.id);
  if (project?.datasetId) await deleteDataset(project.datasetId);
  await db.delete('projects', id);
}

export async function getSetting(key: string): Promise<Json | undefined> {
  return (await database()).get('settings', key);
}

export async function setSetting(key: string, value: Json): Promise<void> {
  await kept('the settings', async () => {
    await (await database()).put('settings', value, key);
  });
}
