import type { PictureRow } from '../../datasets/look/types.ts';
import { DatasetRows } from '../../storage/datasets.ts';

export const lookRows = new DatasetRows<PictureRow>({
  characters: ({ caption }) => caption.length,
  key: ({ id }) => id,
});
