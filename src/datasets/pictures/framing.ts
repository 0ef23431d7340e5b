import type { PictureFraming, Pixels } from './types.ts';

/** Not guessed yet. */
export function guessFraming(_look: Pixels): PictureFraming {
  return 'unknown';
}
