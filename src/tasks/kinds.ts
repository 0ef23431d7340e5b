import type { Task } from '../common/task.ts';
import type { ModelFolder } from '../models/files/folder.ts';
import type { Kind } from './kind.ts';

/** Each is loaded when it is first asked for. */
const KINDS: Readonly<Record<Task, () => Promise<Kind>>> = {
  voice: async () => (await import('./voice/kind.ts')).voiceKind,
  look: async () => (await import('./look/kind.ts')).lookKind,
  sound: async () => (await import('./sound/kind.ts')).soundKind,
};

export const kindOf = (task: Task): Promise<Kind> => KINDS[task]();

/** The kind that a folder's base is of; what none recognises is refused in the words of the one that is left over. */
export async function taskOfFolder(folder: ModelFolder): Promise<Task> {
  const kinds = await Promise.all(Object.values(KINDS).map((load) => load()));
  for (const { task, recognises } of kinds) if (await recognises(folder)) return task;
  return kinds.find(({ fallback }) => fallback === true)!.task;
}
