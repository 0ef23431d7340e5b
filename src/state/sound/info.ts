import type { SoundInfo } from '../../tasks/sound/types.ts';
import { bases } from '../base.svelte.ts';

/** What the loaded base says of itself where it is this one and a sound's; else undefined. */
export const soundInfo = (baseId: string | null): SoundInfo | undefined =>
  bases.info(baseId, 'sound') as SoundInfo | undefined;
