/**
 * Where a picture is cut. The place comes from smartcrop (MIT, 18 KB before packing, no dependencies, settled for years): it
 * scores places by edges, skin tones and saturated colours. A face detector would be better for portraits, but those on npm
 * bring megabytes of model and a runtime, or fetch them from elsewhere; the box can be dragged by hand.
 */
import smartcrop from 'smartcrop';
import { largestArea, wholeCrop } from './buckets.ts';
import type { Bucket } from './buckets.ts';
import type { Crop, Pixels } from './types.ts';

interface ScoredCrop {
  x: number;
  y: number;
  width: number;
  height: number;
  score: { total: number };
}

/** Places that are scored, about; more are no better. */
const PLACES = 48;
/** A place must beat the middle by this share of the spread of all scores: in an even picture nothing does. */
const BETTER_THAN_MIDDLE = 0.1;

/**
 * Where the middle of the largest crop of a shape should lie, both from 0 to 1 of the picture.
 * @param look the picture scaled down, opaque; about 256 pixels on its short side
 */
export async function proposeMiddle(look: Pixels, [bucketWidth, bucketHeight]: Bucket): Promise<[number, number]> {
  const shape = bucketWidth / bucketHeight;
  const room = largestArea({ x: 0, y: 0, width: look.width, height: look.height }, shape, 0, 0);
  const slide = Math.max(look.width - room.width, look.height - room.height);
  if (slide < 2) return [0.5, 0.5];
  const { crops } = (await smartcrop.crop(
    look as never,
    {
      width: bucketWidth,
      height: bucketHeight,
      prescale: false,
      step: Math.max(1, Math.floor(slide / PLACES)),
      // The subject of a picture to learn from belongs in the middle, not at a third.
      ruleOfThirds: false,
      // Gives every place with its score, not the best alone.
      debug: true,
      imageOperations: {
        open: (pixels: Pixels) => Promise.resolve(pixels),
        resample: (pixels: Pixels) => Promise.resolve(pixels),
        getData: (pixels: Pixels) => Promise.resolve(pixels),
      },
    } as never,
  )) as unknown as { crops: ScoredCrop[] };
  if (crops.length === 0) return [0.5, 0.5];
  const away = (crop: ScoredCrop): number =>
    Math.abs(crop.x + crop.width / 2 - look.width / 2) + Math.abs(crop.y + crop.height / 2 - look.height / 2);
  let best = crops[0]!;
  let middle = crops[0]!;
  let worst = Infinity;
  for (const crop of crops) {
    if (crop.score.total > best.score.total) best = crop;
    if (away(crop) < away(middle)) middle = crop;
    worst = Math.min(worst, crop.score.total);
  }
  const gain = best.score.total - middle.score.total;
  if (!(gain > BETTER_THAN_MIDDLE * (best.score.total - worst))) return [0.5, 0.5];
  return [(best.x + best.width / 2) / look.width, (best.y + best.height / 2) / look.height];
}

/** The largest crop of the bucket's shape, its middle near a point that is given as shares of the picture. */
export function cropAround(
  { width, height }: { width: number; height: number },
  bucket: Bucket,
  [x, y]: readonly [number, number],
): Crop {
  const area = largestArea({ x: 0, y: 0, width, height }, bucket[0] / bucket[1], x * width, y * height);
  return wholeCrop(area, width, height);
}

/** The middle of a crop, as shares of the picture: what stays when its shape changes. */
export function middleOf(row: { width: number; height: number; crop: Crop }): [number, number] {
  return [(row.crop.x + row.crop.width / 2) / row.width, (row.crop.y + row.crop.height / 2) / row.height];
}
