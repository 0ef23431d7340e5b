import type { Pixels } from '../../datasets/look/types.ts';
import { UserError } from '../../common/errors.ts';
import { readFile } from '../../storage/datasets.ts';
import type { ProjectRecord } from '../../storage/records.ts';
import type { PictureSource } from '../../tasks/look/types.ts';
import { lookRows } from './rows.ts';

async function decoded(blob: Blob, name: string): Promise<Pixels> {
  const bitmap = await createImageBitmap(blob).catch(() => {
    throw new UserError(`The picture “${name}” can no longer be read. Remove it under Data, or add it again.`);
  });
  try {
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    if (!context) throw new UserError('This browser gives the page no canvas to read pictures with.');
    context.drawImage(bitmap, 0, 0);
    const { width, height, data } = context.getImageData(0, 0, canvas.width, canvas.height);
    return { width, height, data: data as Uint8ClampedArray<ArrayBuffer> };
  } finally {
    bitmap.close();
  }
}

/** The pictures of a project in order, their pixels read one at a time when they are asked for. */
export async function pictureSources({ datasetId }: Pick<ProjectRecord, 'datasetId'>): Promise<PictureSource[]> {
  const rows = datasetId === null ? [] : await lookRows.read(datasetId);
  if (datasetId === null || rows.length === 0) {
    throw new UserError('There is nothing to learn from yet. Add pictures under Data.');
  }
  return rows.map((row) => ({
    row,
    async pixels() {
      const blob = (await readFile(datasetId, row.id))?.file;
      if (!blob) throw new UserError(`The picture “${row.file}” is gone. Remove it under Data, or add it again.`);
      return decoded(blob, row.file);
    },
    async mask() {
      const mask = row.masked ? (await readFile(datasetId, row.id))?.mask : null;
      return mask ? decoded(mask, row.file) : null;
    },
  }));
}
