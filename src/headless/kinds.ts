import type { Task } from '../common/task.ts';
import type { HeadlessKind } from './kind.ts';
import { headlessLook } from './look/task.ts';
import { headlessSound } from './sound/task.ts';
import { headlessVoice } from './voice/task.ts';

export const HEADLESS_KINDS: Readonly<Record<Task, HeadlessKind>> = {
  voice: headlessVoice,
  look: headlessLook,
  sound: headlessSound,
};
