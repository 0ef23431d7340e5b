import { UserError } from '../common/errors.ts';
import type { Task } from '../common/task.ts';
import type { Device } from '../engine/device.ts';
import type { ModelFolder } from '../models/files/folder.ts';
import { getBase, openBase } from '../storage/bases.ts';
import { UrlFolder } from '../storage/folders.ts';
import { kindOf } from '../tasks/kinds.ts';
import type { TaskModel } from '../tasks/task-model.ts';
import { embeddedBase } from './embedded-bases.ts';
import { TaskCacheStore } from './task-cache.ts';

/** Throws UserError where a base makes something else than a project teaches. */
export async function requireTask(model: TaskModel, task: Task): Promise<void> {
  if (model.info.task === task) return;
  const [{ does }, { wanted }] = await Promise.all([kindOf(model.info.task), kindOf(task)]);
  throw new UserError(`This base ${does}. Choose ${wanted} under Base.`);
}

/** The files of a base: one of the page's own, or one kept on this machine. */
export async function openBaseFolder(baseId: string, pageUrl: string): Promise<{ folder: ModelFolder; task: Task }> {
  const embedded = embeddedBase(baseId);
  if (embedded) {
    const { name, path, files, task } = embedded;
    return { folder: new UrlFolder(name, new URL(path, pageUrl).href, files), task };
  }
  const base = await getBase(baseId);
  if (!base) throw new UserError('This base is no longer on this machine. Choose one under Base.');
  return { folder: await openBase(base), task: base.task ?? 'voice' };
}

/** Loads a base by its id. */
export async function loadModel(
  device: Device,
  baseId: string,
  pageUrl: string,
  onProgress: (fraction: number) => void,
): Promise<TaskModel> {
  const { folder, task } = await openBaseFolder(baseId, pageUrl);
  return (await kindOf(task)).load(device, folder, { onProgress, cache: new TaskCacheStore(baseId) });
}

/** What files that were made with a base call it. */
export async function baseName(baseId: string): Promise<string> {
  return embeddedBase(baseId)?.fileName ?? (await getBase(baseId))?.name ?? '';
}
