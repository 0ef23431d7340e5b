import type { PictureRow } from '../../datasets/look/types.ts';
import { captionFrom, withWords, type PictureSnapshot, type PictureWords } from './snapshot.ts';

/** What curation may set of a picture. */
export type PictureFields = Partial<Pick<PictureRow, 'caption' | 'captionByHand' | 'crop' | 'cropByHand' | 'repeats'>>;

export type PictureChange =
  | { kind: 'remove'; ids: readonly string[]; label: string }
  | { kind: 'set'; changes: readonly { id: string; fields: PictureFields }[]; label: string }
  /** Captions of these from the template again. */
  | { kind: 'template'; ids: readonly string[]; label: string }
  | { kind: 'words'; words: PictureWords; label: string }
  /** Null: the whole picture is learnt. */
  | { kind: 'mask'; id: string; mask: Blob | null; label: string };

/** What a change makes of the pictures. */
export function applyPictureChange(before: PictureSnapshot, change: PictureChange): Partial<PictureSnapshot> {
  const { rows } = before;
  switch (change.kind) {
    case 'remove': {
      const gone = new Set(change.ids);
      return { rows: rows.filter(({ id }) => !gone.has(id)) };
    }
    case 'set': {
      const fields = new Map(change.changes.map((one) => [one.id, one.fields]));
      return {
        rows: rows.map((row) => {
          const set = fields.get(row.id);
          return set ? { ...row, ...set } : row;
        }),
      };
    }
    case 'template': {
      const wanted = new Set(change.ids);
      return {
        rows: rows.map((row) =>
          wanted.has(row.id) ? { ...row, caption: captionFrom(before.words, row), captionByHand: false } : row,
        ),
      };
    }
    case 'words':
      return { words: change.words, rows: withWords(rows, before.words, change.words) };
    case 'mask': {
      const masks = new Map(before.masks);
      if (change.mask) masks.set(change.id, change.mask);
      else masks.delete(change.id);
      const masked = change.mask !== null;
      return { masks, rows: rows.map((row) => (row.id === change.id ? { ...row, masked } : row)) };
    }
  }
}
