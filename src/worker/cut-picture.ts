import { trainedArea } from '../datasets/pictures/buckets.ts';
import type { PictureRow } from '../datasets/pictures/types.ts';

/** A picture as it is to be learnt. */
export interface CutPicture {
  file: string;
  /** PNG. */
  bytes: Uint8Array<ArrayBuffer>;
  caption: string;
  repeats: number;
  /** A grey PNG of the picture's own size. */
  mask?: Uint8Array<ArrayBuffer>;
}

/** Part of a picture file at a size, as PNG. The part is given in shares of the picture. */
async function cut(
  file: Blob,
  [x, y, width, height]: readonly [number, number, number, number],
  size?: readonly [number, number],
): Promise<{ bytes: Uint8Array<ArrayBuffer>; size: readonly [number, number] }> {
  const bitmap = await createImageBitmap(file);
  const across = Math.max(1, Math.round(width * bitmap.width));
  const down = Math.max(1, Math.round(height * bitmap.height));
  const [toWidth, toHeight] = size ?? [across, down];
  const canvas = new OffscreenCanvas(toWidth, toHeight);
  const context = canvas.getContext('2d')!;
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, x * bitmap.width, y * bitmap.height, across, down, 0, 0, toWidth, toHeight);
  bitmap.close();
  const blob = await canvas.convertToBlob({ type: 'image/png' });
  return { bytes: new Uint8Array(await blob.arrayBuffer()), size: [toWidth, toHeight] };
}

/** The part of a picture that training sees, and of its mask, at the picture's own resolution. */
export async function cutPicture(row: PictureRow, picture: Blob, mask: Blob | null): Promise<CutPicture> {
  const area = trainedArea(row.crop, row.bucket);
  const part = [area.x / row.width, area.y / row.height, area.width / row.width, area.height / row.height] as const;
  const { bytes, size } = await cut(picture, part);
  const { file, caption, repeats } = row;
  return { file, bytes, caption, repeats, ...(mask ? { mask: (await cut(mask, part, size)).bytes } : {}) };
}
