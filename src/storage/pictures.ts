import type { PictureRow } from '../datasets/look/types.ts';
import { database, keysOf } from './database.ts';
import { withStorageErrors } from './errors.ts';
import type { DatasetRecord, PictureFileRecord } from './records.ts';

/** The pictures of a data set, in order. */
export async function readPictures(datasetId: string): Promise<PictureRow[]> {
  return (await (await database()).get('pictureRows', datasetId))?.rows ?? [];
}

/** Files by data set and row: two projects may hold the same picture with another mask. */
async function readFile(datasetId: string, id: string): Promise<PictureFileRecord | undefined> {
  return (await database()).get('pictureFiles', [datasetId, id]);
}

/** The picture's normalised file; undefined where it is gone. */
export async function readPictureFile(datasetId: string, id: string): Promise<Blob | undefined> {
  return (await readFile(datasetId, id))?.picture;
}

export async function readThumbnail(datasetId: string, id: string): Promise<Blob | undefined> {
  return (await readFile(datasetId, id))?.thumbnail;
}

/** The painted mask as a grey PNG over the whole picture, white where it is learnt; null without one. */
export async function readMask(datasetId: string, id: string): Promise<Blob | null> {
  return (await readFile(datasetId, id))?.mask ?? null;
}

/** Keeps the pixels of pictures. They count only when writePictures names them in a row. */
export async function writePictureFile(file: PictureFileRecord): Promise<void> {
  await withStorageErrors(`the picture`, async () => {
    await (await database()).put('pictureFiles', file);
  });
}

/** Writes the rows as they are now, the record that counts them, and the masks that changed, in one transaction. */
export async function writePictures(
  record: DatasetRecord,
  rows: readonly PictureRow[],
  masks: ReadonlyMap<string, Blob | null> = new Map(),
): Promise<void> {
  await withStorageErrors('the change', async () => {
    const write = (await database()).transaction(['pictureRows', 'pictureFiles', 'datasets'], 'readwrite');
    const files = write.objectStore('pictureFiles');
    for (const [id, mask] of masks) {
      const file = await files.get([record.id, id]);
      if (file) void files.put({ ...file, mask });
    }
    await Promise.all([
      write.objectStore('pictureRows').put({ datasetId: record.id, rows: [...rows] }),
      write.objectStore('datasets').put(record),
      write.done,
    ]);
  });
}

/** What the files of these rows take. */
export async function pictureBytes(datasetId: string, rows: readonly PictureRow[]): Promise<number> {
  const files = await (await database()).getAll('pictureFiles', keysOf(datasetId));
  const wanted = new Set(rows.map(({ id }) => id));
  return files
    .filter(({ id }) => wanted.has(id))
    .reduce((sum, { picture, thumbnail, mask }) => sum + picture.size + thumbnail.size + (mask?.size ?? 0), 0);
}

/** Drops the files that no row names any more: a removed picture stays while its removal can be undone. */
export async function dropUnusedPictures(datasetId: string, rows: readonly PictureRow[]): Promise<void> {
  const db = await database();
  const wanted = new Set(rows.map(({ id }) => id));
  for (const key of await db.getAllKeys('pictureFiles', keysOf(datasetId))) {
    if (!wanted.has(key[1])) await db.delete('pictureFiles', key);
  }
}
