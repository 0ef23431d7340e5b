import type { SoundWarning } from './types.ts';

const WORDS: Record<SoundWarning, [mark: string, sentence: string]> = {
  clipped: [
    'Clipped',
    'The loudest places are cut off (clipped), which crackles; the crackle is learnt too. Use a recording that was made less loud, if there is one.',
  ],
  'one channel silent': ['One side silent', 'Only one of the two channels sounds. It is taken for both.'],
  'low bitrate': [
    'Dull',
    'It was stored so small that the high sounds are missing, and the model learns to leave them out. Use a better copy, if there is one.',
  ],
  'nearly the same': [
    'Twice',
    'The same music is there a second time. What is seen twice is learnt twice as hard; leave one of them out.',
  ],
  'breaks off': ['Breaks off', 'The file is cut off or damaged; what could be read of it was taken.'],
  'more than two channels': ['Mixed down', 'It has more than two channels, which were mixed down to two.'],
  'very quiet': ['Very quiet', 'It is very quiet; made as loud as the others, its noise becomes loud too.'],
  noise: [
    'Noise',
    'It sounds like noise, rain or applause from beginning to end. It was taken all the same; leave it out if it is no part of what you teach.',
  ],
  short: ['Short', 'It is shorter than five seconds; there is little in it to learn a manner from.'],
};

/** A word or two for a mark. */
export const warningMark = (warning: SoundWarning): string => WORDS[warning][0];

/** What it means and what to do. */
export const warningSentence = (warning: SoundWarning): string => WORDS[warning][1];
