import type { Device } from '../engine/device.ts';
import { UserError } from '../common/errors.ts';
import type { ModelFolder } from '../models/files/folder.ts';
import { getBase, openBase } from '../storage/bases.ts';
import { UrlFolder } from '../storage/folders.ts';
import type { Task } from '../common/task.ts';
import { LookModel } from '../tasks/look/model.ts';
import { SoundModel } from '../tasks/sound/model.ts';
import { VoiceModel } from '../tasks/voice/model.ts';
import { TaskCacheStore } from './task-cache.ts';
import {
  EMBEDDED_BASE,
  EMBEDDED_FILES,
  EMBEDDED_LOOK,
  EMBEDDED_LOOK_FILES,
  EMBEDDED_LOOK_NAME,
  EMBEDDED_LOOK_PATH,
  EMBEDDED_NAME,
  EMBEDDED_PATH,
  EMBEDDED_SOUND,
  EMBEDDED_SOUND_FILES,
  EMBEDDED_SOUND_NAME,
  EMBEDDED_SOUND_PATH,
} from './protocol.ts';

export type Model = VoiceModel | LookModel | SoundModel;

interface Embedded {
  /** As the page calls it. */
  name: string;
  /** As files made with it call it. */
  fileName: string;
  path: string;
  files: readonly string[];
  task: Task;
}

const EMBEDDED: Readonly<Record<string, Embedded>> = {
  [EMBEDDED_BASE]: {
    name: EMBEDDED_NAME,
    fileName: 'athanor-small-voice',
    path: EMBEDDED_PATH,
    files: EMBEDDED_FILES,
    task: 'voice',
  },
  [EMBEDDED_LOOK]: {
    name: EMBEDDED_LOOK_NAME,
    fileName: 'athanor-small-look',
    path: EMBEDDED_LOOK_PATH,
    files: EMBEDDED_LOOK_FILES,
    task: 'look',
  },
  [EMBEDDED_SOUND]: {
    name: EMBEDDED_SOUND_NAME,
    fileName: 'athanor-small-sound',
    path: EMBEDDED_SOUND_PATH,
    files: EMBEDDED_SOUND_FILES,
    task: 'sound',
  },
};

/** What a base of another task does, as the person meets it. */
function wrongKindError(model: Model, wanted: string): UserError {
  const does =
    model instanceof VoiceModel ? 'is a chat model' : model instanceof LookModel ? 'draws pictures' : 'plays music';
  return new UserError(`This base ${does}. Choose ${wanted} under Base.`);
}

export function asVoice(model: Model): VoiceModel {
  if (model instanceof VoiceModel) return model;
  throw wrongKindError(model, 'a chat model');
}

export function asLook(model: Model): LookModel {
  if (model instanceof LookModel) return model;
  throw wrongKindError(model, 'one that draws pictures');
}

export function asSound(model: Model): SoundModel {
  if (model instanceof SoundModel) return model;
  throw wrongKindError(model, 'one that plays music');
}

async function openFolder(baseId: string, pageUrl: string): Promise<{ folder: ModelFolder; task: Task }> {
  const embedded = EMBEDDED[baseId];
  if (embedded) {
    const { name, path, files, task } = embedded;
    return { folder: new UrlFolder(name, new URL(path, pageUrl).href, files), task };
  }
  const base = await getBase(baseId);
  if (!base) throw new UserError('This base is no longer on this machine. Choose one under Base.');
  return { folder: await openBase(base), task: base.task ?? 'voice' };
}

/** Loads a base by its id: one of the page's own, or one kept on this machine. */
export async function loadModel(
  device: Device,
  baseId: string,
  pageUrl: string,
  onProgress: (fraction: number) => void,
): Promise<Model> {
  const { folder, task } = await openFolder(baseId, pageUrl);
  if (task === 'voice') return VoiceModel.load(device, folder, { onProgress });
  const options = { onProgress, cache: new TaskCacheStore(baseId) };
  return task === 'look' ? LookModel.load(device, folder, options) : SoundModel.load(device, folder, options);
}

/** What files that were made with a base call it. */
export async function baseName(baseId: string): Promise<string> {
  return EMBEDDED[baseId]?.fileName ?? (await getBase(baseId))?.name ?? '';
}
