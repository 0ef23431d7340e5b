import type { Component } from 'svelte';
import type { Task } from '../common/task.ts';
import type { AppKind } from './kind.ts';
import LookEmblem from './look/LookEmblem.svelte';
import SoundEmblem from './sound/SoundEmblem.svelte';
import VoiceEmblem from './voice/VoiceEmblem.svelte';

interface Entry {
  /** Its drawing on the start page. */
  Emblem: Component;
  /** Everything else comes when a project of it is opened. */
  load: () => Promise<AppKind>;
}

export const APP_KINDS: Readonly<Record<Task, Entry>> = {
  voice: { Emblem: VoiceEmblem, load: async () => (await import('./voice/kind.ts')).appVoice },
  look: { Emblem: LookEmblem, load: async () => (await import('./look/kind.ts')).appLook },
  sound: { Emblem: SoundEmblem, load: async () => (await import('./sound/kind.ts')).appSound },
};
