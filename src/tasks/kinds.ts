import { UserError } from '../common/errors.ts';
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

/** The kind that a folder's base is of: the first that is sure of it, else the first for which it is possible. */
export async function taskOfFolder(folder: ModelFolder): Promise<Task> {
  const kinds = await Promise.all(Object.values(KINDS).map((load) => load()));
  const told = await Promise.all(kinds.map(async (kind) => ({ kind, sure: await kind.recognises(folder) })));
  const found = told.find(({ sure }) => sure === 'certain') ?? told.find(({ sure }) => sure === 'possible');
  if (!found) throw new UserError(`“${folder.name}” holds no base that is understood.`);
  return found.kind.task;
}
