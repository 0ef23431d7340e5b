import type { Input } from 'mediabunny';
import type { SoundTags } from './types.ts';

const MOST_LETTERS = 300;

/** ID3's numbered genres are written as `(17)`; only words are shown. */
const words = (text: string | undefined): string | undefined => {
  const clean = text
    ?.replace(/^\(\d+\)/, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
  return clean === undefined || clean === '' || /^\d+$/.test(clean) ? undefined : clean.slice(0, MOST_LETTERS);
};

/** What the file says of itself, in ID3, Vorbis comments, MP4's or RIFF's fields; nothing where that cannot be read. */
export async function readTags(input: Input): Promise<SoundTags> {
  try {
    const { title, artist, album, genre, date, comment } = await input.getMetadataTags();
    const year = date && !Number.isNaN(date.getTime()) ? String(date.getUTCFullYear()) : undefined;
    const tags: SoundTags = {};
    const put = (key: keyof SoundTags, text: string | undefined): void => {
      if (text !== undefined) tags[key] = text;
    };
    put('title', words(title));
    put('artist', words(artist));
    put('album', words(album));
    put('genre', words(genre));
    put('year', year);
    put('comment', words(comment));
    return tags;
  } catch {
    // Broken tags are no reason to refuse the sound beside them.
    return {};
  }
}
