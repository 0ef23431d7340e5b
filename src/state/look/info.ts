import type { Task } from '../../common/task.ts';
import type { LookBaseFacts, LookInfo } from '../../tasks/look/types.ts';
import { bases } from '../base.svelte.ts';
import { modelWorker } from '../workers.ts';

export const TASK: Task & LookInfo['task'] = 'look';

/** What the loaded base says of itself where it is this one and a look's; else undefined. */
export const lookInfo = (baseId: string | null): LookInfo | undefined =>
  bases.info(baseId, TASK) as LookInfo | undefined;

/** What files for other programs say of a base; it need not be loaded. */
export const lookBaseFacts = async (baseId: string): Promise<LookBaseFacts> =>
  (await modelWorker().describeBase(baseId)) as LookBaseFacts;
