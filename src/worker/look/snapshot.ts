import { captionOf } from '../../datasets/look/captions.ts';
import type { PictureRow } from '../../datasets/look/types.ts';

/** What all captions that were not written by hand are made from. */
export interface PictureWords {
  /** The made-up word that will call the subject; empty where a style is taught without one. */
  triggerWord: string;
  /** A caption in which {word} stands for the trigger word and {file} for the words of the file's name. */
  template: string;
}

/** Everything that curation changes, at one moment; never changed itself. */
export interface PictureSnapshot {
  rows: readonly PictureRow[];
  words: PictureWords;
  /** Painted masks by row; rows without one are absent. */
  masks: ReadonlyMap<string, Blob>;
}

type Masks = Pick<PictureSnapshot, 'masks'>;

/** The masks that differ between two moments: what is there now, null where none is. */
export function changedMasks(before: Masks, now: Masks): Map<string, Blob | null> {
  const changed = new Map<string, Blob | null>();
  for (const [id, mask] of now.masks) if (before.masks.get(id) !== mask) changed.set(id, mask);
  for (const id of before.masks.keys()) if (!now.masks.has(id)) changed.set(id, null);
  return changed;
}

/** The caption that the template gives a picture. */
export function captionFrom({ triggerWord, template }: PictureWords, { file }: Pick<PictureRow, 'file'>): string {
  return captionOf(template, { word: triggerWord, file });
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** Rows after the words changed: captions from the template are written anew, others get the new word for the old one. */
export function withWords(rows: readonly PictureRow[], before: PictureWords, after: PictureWords): PictureRow[] {
  const old =
    before.triggerWord === '' || before.triggerWord === after.triggerWord
      ? null
      : new RegExp(`(?<![\\p{L}\\p{N}])${escaped(before.triggerWord)}(?![\\p{L}\\p{N}])`, 'gu');
  return rows.map((row) => {
    const text = row.captionByHand
      ? old
        ? row.caption.replace(old, () => after.triggerWord)
        : row.caption
      : captionFrom(after, row);
    return text === row.caption ? row : { ...row, caption: text };
  });
}
