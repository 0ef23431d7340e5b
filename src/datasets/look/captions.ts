/** What is said of a picture: made from templates, file names, or by a model that looks at it. */
import { baseName, stemOf } from './sidecars.ts';
import type { Pixels } from './types.ts';

/** Says what a picture shows. */
export interface CaptionModel {
  describe(pixels: Pixels): Promise<string>;
  /** Gives its memory back. */
  close(): Promise<void>;
}

/** Names that cameras, telephones and messengers give; they say nothing about the picture. */
const CAMERA_NAME =
  /^(?:img|image|images|dsc[nf]?|dscn|pxl|mvimg|vid|photo|picture|pic|screenshot|screen shot|scan|signal|untitled|unnamed|download|file|p|mask)$/;

/**
 * The words of a file's name: `IMG_2034.jpg` has none, `red-dress_on beach (2).jpg` says "red dress on beach". Numbers are
 * counters or dates, so they are dropped.
 */
export function fileWords(name: string): string {
  const words = stemOf(baseName(name))
    .replace(/\([^)]*\)|\[[^\]]*\]/g, ' ')
    .replace(/([a-z])([A-Z][a-z])/g, '$1 $2')
    .split(/[^\p{L}\p{N}']+/u)
    .filter((word) => word !== '' && !/\d/.test(word));
  const text = words.join(' ').toLowerCase();
  return CAMERA_NAME.test(text) || /^whats ?app image\b/.test(text) ? '' : text;
}

/**
 * A template with its names filled in: `{word}` the trigger word, `{file}` the words of the file's name. Commas and spaces that an
 * empty one leaves are taken away.
 */
export function captionOf(template: string, { word, file }: { word: string; file: string }): string {
  return template
    .replaceAll('{word}', word)
    .replaceAll('{file}', fileWords(file))
    .split(',')
    .map((part) => part.replace(/\s+/g, ' ').trim())
    .filter((part) => part !== '')
    .join(', ');
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/**
 * A caption that calls the subject: the trigger word takes the place of what the subject is called (`a dog on a sofa` becomes
 * `sks dog on a sofa` for the word `sks dog` and the class `dog`), else it is put first. Nothing is done where it is there.
 *
 * @param className what the subject is, in a word; empty where it is not known
 */
export function withTriggerWord(caption: string, word: string, className = ''): string {
  const text = caption.trim();
  if (word === '' || new RegExp(`(?<![\\p{L}\\p{N}])${escaped(word)}(?![\\p{L}\\p{N}])`, 'iu').test(text)) return text;
  if (text === '') return word;
  if (className !== '') {
    const subject = new RegExp(
      `(?:(?<![\\p{L}\\p{N}])(?:an?|the|one)\\s+)?(?<![\\p{L}\\p{N}])${escaped(className)}(?![\\p{L}\\p{N}])`,
      'iu',
    );
    if (subject.test(text)) return text.replace(subject, () => word);
  }
  return `${word}, ${text}`;
}
