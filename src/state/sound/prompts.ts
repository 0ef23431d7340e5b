import type { Clip, SoundWords } from '../../datasets/sound/types.ts';

/** What one would have composed to hear whether the sound was learnt: words of clips, and something else altogether. */
export function suggestSoundPrompts(
  clips: readonly Pick<Clip, 'words' | 'kept'>[],
  { triggerWord }: Pick<SoundWords, 'triggerWord'>,
): string[] {
  const [first = '', ...rest] = clips.filter(({ kept }) => kept).map(({ words }) => words);
  const other = rest[Math.floor(rest.length / 2)] ?? '';
  const called = triggerWord === '' ? '' : `${triggerWord}, slow and quiet`;
  return [...new Set([first, other, called])].filter((text) => text.trim() !== '');
}
