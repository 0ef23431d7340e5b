import type { Task } from '../common/task.ts';
import type { KindWords } from './kind-words.ts';
import { lookWords } from './look/words.ts';
import { soundWords } from './sound/words.ts';
import { voiceWords } from './voice/words.ts';

/** What every page needs of a kind; what its own project's page needs comes with that page. */
export interface StateKind {
  words: KindWords;
  /** Makes a project of the example that comes with the page, ready for Train, and opens it; returns its id. */
  makeExample: () => Promise<string>;
}

export const STATE_KINDS: Readonly<Record<Task, StateKind>> = {
  voice: {
    words: voiceWords,
    makeExample: async () => (await import('./voice/example.ts')).makeVoiceExample(),
  },
  look: {
    words: lookWords,
    makeExample: async () => (await import('./look/example.ts')).makeLookExample(),
  },
  sound: {
    words: soundWords,
    makeExample: async () => (await import('./sound/example.ts')).makeSoundExample(),
  },
};

export const kindWords = (task: Task): KindWords => STATE_KINDS[task].words;
