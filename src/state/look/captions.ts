import type { PictureRow, PictureWarning } from '../../datasets/look/types.ts';

/** What a picture's mark says: a word on the grid, a sentence on the big view. */
export const WARNING_WORDS: Record<PictureWarning, { mark: string; sentence: string }> = {
  blurred: {
    mark: 'Blurred',
    sentence: 'It is blurred, and blur is learnt like everything else. A sharper one teaches more.',
  },
  'too small': {
    mark: 'Small',
    sentence: 'The part that is used has fewer pixels than training wants, so it is enlarged and stays soft.',
  },
  'nearly the same': {
    mark: 'Nearly the same',
    sentence: 'It is nearly the same as another one. Repeats make a look stiff: keep the better of the two.',
  },
  'very different': {
    mark: 'Unlike the others',
    sentence: 'It looks unlike the others. Does it show the same subject?',
  },
  'very long or wide': {
    mark: 'Very long or wide',
    sentence: 'It is so long or wide that only a part of it can be used. Check what the box holds.',
  },
};

const SYLLABLES = ['zi', 'lo', 'vex', 'mu', 'qua', 'ro', 'tix', 'ne', 'bol', 'ja', 'ky', 'dru'];

/** A made-up word that no model knows yet; the same for the same project. */
export function suggestWord(projectId: string): string {
  let hash = 7;
  for (const letter of projectId) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0;
  const first = hash % SYLLABLES.length;
  const second = Math.floor(hash / SYLLABLES.length) % SYLLABLES.length;
  return SYLLABLES[first]! + SYLLABLES[second === first ? (second + 1) % SYLLABLES.length : second]!;
}

/** What one would have drawn to see whether the look was learnt. */
export function suggestPrompts(
  rows: readonly Pick<PictureRow, 'caption'>[],
  { triggerWord }: { triggerWord: string },
): string[] {
  const first = rows[0]?.caption ?? '';
  const word = triggerWord === '' ? '' : `a photo of ${triggerWord}`;
  const prompts = word === '' ? [first] : [word, `${word} on a beach`, `a painting of ${triggerWord}`];
  return [...new Set(prompts)].filter((text) => text !== '');
}
