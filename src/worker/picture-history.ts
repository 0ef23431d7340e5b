import { captionOf } from '../datasets/pictures/captions.ts';
import type { PictureRow } from '../datasets/pictures/types.ts';

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

/** Undo reaches this far back; a snapshot shares with its neighbours whatever did not change. */
const MOST_STEPS = 500;

/** The pictures of a set and what was done to them, each step named and undoable. */
export class PictureHistory {
  #now: PictureSnapshot;
  #past: { label: string; before: PictureSnapshot }[] = [];
  #future: { label: string; after: PictureSnapshot }[] = [];

  constructor(start: PictureSnapshot) {
    this.#now = start;
  }

  get now(): PictureSnapshot {
    return this.#now;
  }

  get undoLabel(): string | null {
    return this.#past.at(-1)?.label ?? null;
  }

  get redoLabel(): string | null {
    return this.#future.at(-1)?.label ?? null;
  }

  apply(label: string, fields: Partial<PictureSnapshot>): void {
    this.#past = [...this.#past.slice(1 - MOST_STEPS), { label, before: this.#now }];
    this.#now = { ...this.#now, ...fields };
    this.#future = [];
  }

  /** Another look at the same pictures: no step of its own. */
  replace(fields: Partial<PictureSnapshot>): void {
    this.#now = { ...this.#now, ...fields };
  }

  undo(): void {
    const last = this.#past.pop();
    if (!last) return;
    this.#future.push({ label: last.label, after: this.#now });
    this.#now = last.before;
  }

  redo(): void {
    const next = this.#future.pop();
    if (!next) return;
    this.#past.push({ label: next.label, before: this.#now });
    this.#now = next.after;
  }

  /** Takes the last step back as if it had never been: what it wanted could not be kept. */
  drop(): void {
    const last = this.#past.pop();
    if (last) this.#now = last.before;
  }
}

/** The masks that differ between two moments: what is there now, null where none is. */
export function changedMasks(before: PictureSnapshot, now: PictureSnapshot): Map<string, Blob | null> {
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
