import type { Task } from '../common/task.ts';
import type { WorkerKind } from './kind.ts';

/** Each is loaded when it is first asked for. */
const WORKER_KINDS: Readonly<Record<Task, () => Promise<WorkerKind>>> = {
  voice: async () => (await import('./voice/kind.ts')).workerVoice,
  look: async () => (await import('./look/kind.ts')).workerLook,
  sound: async () => (await import('./sound/kind.ts')).workerSound,
};

export const workerKind = (task: Task): Promise<WorkerKind> => WORKER_KINDS[task]();
