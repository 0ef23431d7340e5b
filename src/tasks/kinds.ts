import type { Task } from '../common/task.ts';
import type { ModelFolder } from '../models/files/folder.ts';
import type { Kind } from './kind.ts';
import { lookKind } from './look/kind.ts';
import { soundKind } from './sound/kind.ts';
import { voiceKind } from './voice/kind.ts';

export const KINDS = { voice: voiceKind, look: lookKind, sound: soundKind } as const satisfies Record<Task, Kind>;

/** A kind as those see it who know none. */
export const kindOf = (task: Task): Kind => KINDS[task];

/** The kind that a folder's base is of; what no other recognises is said to be by the look's own words. */
export async function taskOfFolder(folder: ModelFolder): Promise<Task> {
  for (const { task, recognises } of Object.values(KINDS)) if (await recognises(folder)) return task;
  return 'look';
}
