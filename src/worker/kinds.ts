import type { Task } from '../common/task.ts';
import type { WorkerKind } from './kind.ts';
import { workerLook } from './look/kind.ts';
import { workerSound } from './sound/kind.ts';
import { workerVoice } from './voice/kind.ts';

export const WORKER_KINDS: Readonly<Record<Task, WorkerKind>> = {
  voice: workerVoice,
  look: workerLook,
  sound: workerSound,
};
