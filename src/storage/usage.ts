import { cachedBytes } from './cache.ts';
import { database } from './database.ts';
import { deleteCheckpoints, deleteSampleFiles, listCheckpoints, listRuns, sampleFileBytes } from './runs.ts';
import { listBases } from './bases.ts';

/** What one thing takes on this machine. */
export interface UsageItem {
  kind: 'base' | 'data' | 'checkpoints' | 'samples' | 'cache';
  /** Id of the base, or of the project whose data, checkpoints or samples these are; the cache has none. */
  id: string;
  name: string;
  bytes: number;
}

export interface StorageUsage {
  items: UsageItem[];
  /** The browser's own figures, which are estimates. */
  usedBytes: number;
  freeBytes: number;
  /** Whether the browser promised not to throw this page's data away when the disk runs low. */
  persisted: boolean;
}

export async function storageUsage(): Promise<StorageUsage> {
  const db = await database();
  const items: UsageItem[] = (await listBases()).map(({ id, name, bytes }) => ({ kind: 'base', id, name, bytes }));
  for (const project of await db.getAll('projects')) {
    const { id, name } = project;
    const dataset = project.datasetId ? await db.get('datasets', project.datasetId) : undefined;
    // Text is mostly one byte a character in IndexedDB where it is Latin, two elsewhere: two is the safe side.
    if (dataset) {
      items.push({ kind: 'data', id, name, bytes: dataset.characters * 2 + (dataset.fileBytes ?? 0) });
    }
    let bytes = 0;
    let made = 0;
    for (const run of await listRuns(id)) {
      for (const checkpoint of await listCheckpoints(run.id)) bytes += checkpoint.size;
      made += await sampleFileBytes(run.id);
    }
    if (bytes > 0) items.push({ kind: 'checkpoints', id, name, bytes });
    if (made > 0) items.push({ kind: 'samples', id, name, bytes: made });
  }
  const prepared = await cachedBytes();
  if (prepared > 0) items.push({ kind: 'cache', id: '', name: '', bytes: prepared });
  const { usage = 0, quota = 0 } = await navigator.storage.estimate();
  const persisted = await navigator.storage.persisted();
  return {
    items: items.sort((a, b) => b.bytes - a.bytes),
    usedBytes: usage,
    freeBytes: Math.max(0, quota - usage),
    persisted,
  };
}

/** Asks the browser to keep this page's data also when the disk runs low. */
export async function askToPersist(): Promise<boolean> {
  return navigator.storage.persist();
}

/** Deletes all checkpoints of a project. */
export async function deleteProjectCheckpoints(projectId: string): Promise<void> {
  for (const run of await listRuns(projectId)) await deleteCheckpoints(run.id);
}

/** Deletes the pictures or sounds that a project's runs made along the way. */
export async function deleteProjectSamples(projectId: string): Promise<void> {
  for (const run of await listRuns(projectId)) await deleteSampleFiles(run.id);
}
