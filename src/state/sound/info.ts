import type { SoundBaseFacts, SoundInfo } from '../../tasks/sound/types.ts';
import { bases } from '../base.svelte.ts';
import { modelWorker } from '../workers.ts';

/** What the loaded base says of itself where it is this one and a sound's; else undefined. */
export const soundInfo = (baseId: string | null): SoundInfo | undefined =>
  bases.info(baseId, 'sound') as SoundInfo | undefined;

/** What a bundle says of a base; it need not be loaded. */
export const soundBaseFacts = async (baseId: string): Promise<SoundBaseFacts> =>
  (await modelWorker().describeBase(baseId)) as SoundBaseFacts;
