import type { Task } from '../../common/task.ts';
import type { LookInfo } from '../../tasks/look/types.ts';
import { bases } from '../base.svelte.ts';

export const TASK: Task & LookInfo['task'] = 'look';

/** What the loaded base says of itself where it is this one and a look's; else undefined. */
export const lookInfo = (baseId: string | null): LookInfo | undefined =>
  bases.info(baseId, TASK) as LookInfo | undefined;
