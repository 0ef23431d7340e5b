import type { ModelInfo } from '../../tasks/voice/types.ts';
import { bases } from '../base.svelte.ts';

/** What the loaded base says of itself where it is this one and a voice's; else undefined. */
export const voiceInfo = (baseId: string | null): ModelInfo | undefined =>
  bases.info(baseId, 'voice') as ModelInfo | undefined;
