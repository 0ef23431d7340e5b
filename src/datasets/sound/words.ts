/** What is said of a clip: a template with what is known and measured of it. */
import type { Clip, SoundFile, SoundWords } from './types.ts';

/** What the music models were told of songs, in words of the kind that they were told. */
export const DEFAULT_SOUND_WORDS: SoundWords = {
  triggerWord: '',
  template: '{trigger}, {genre}, {tags}, {tempo} bpm, {key}',
};

export type SoundPlaceholder = 'trigger' | 'tags' | 'tempo' | 'key' | 'genre' | 'title' | 'artist' | 'file';

/**
 * Fills a template. A part between commas, semicolons or full stops in which nothing is known of what it asks for is left out
 * as a whole: `{tempo} bpm` says nothing where there is no beat. What is unknown by name stays as it is written.
 */
export function fillSoundTemplate(template: string, values: Record<SoundPlaceholder, string>): string {
  const parts = template.split(/([,;.](?:\s+|$))/);
  let text = '';
  let between = '';
  for (let i = 0; i < parts.length; i += 2) {
    const part = parts[i]!;
    const asked = Array.from(part.matchAll(/\{(\w+)\}/g), ([, name]) => name!).filter((name) => name in values);
    const filled = part.replace(/\{(\w+)\}/g, (all, name: string) => values[name as SoundPlaceholder] ?? all).trim();
    const empty = filled === '' || (asked.length > 0 && asked.every((name) => values[name as SoundPlaceholder] === ''));
    if (!empty) {
      text += (text === '' ? '' : between) + filled.replaceAll(/\s+/g, ' ');
      between = parts[i + 1] ?? '';
    }
  }
  return text + (between.startsWith('.') ? '.' : '');
}

/** The words of a clip by the template; what a person wrote is for the caller to spare. */
export function clipWords(
  clip: Pick<Clip, 'tempo' | 'key' | 'tagged' | 'file'>,
  file: Pick<SoundFile, 'tags'> | undefined,
  { triggerWord, template }: SoundWords,
): string {
  const { genre = '', title = '', artist = '' } = file?.tags ?? {};
  return fillSoundTemplate(template, {
    trigger: triggerWord.trim(),
    tags: clip.tagged.join(', '),
    tempo: clip.tempo === null ? '' : String(Math.round(clip.tempo)),
    key: clip.key ?? '',
    genre,
    title,
    artist,
    file: clip.file.replace(/\.[^.]*$/, ''),
  });
}
