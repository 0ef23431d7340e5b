/**
 * Aspect-ratio buckets (NovelAI, "Improvements on Stable Diffusion", 2022; sized as kohya's sd-scripts size them): pictures
 * of like shape are trained at the same size, and none is stretched.
 */
import { UserError } from '../../common/errors.ts';
import type { Crop } from './types.ts';
import type { Area } from './resample.ts';

/** Width and height in pixels. */
export type Bucket = [number, number];

export interface BucketOptions {
  /** A bucket has at most resolution² pixels. */
  resolution: number;
  /** Sides are multiples of it. Default 64; a small model takes 8. */
  step?: number;
  /** Shortest and longest side. Default: half and twice the resolution, 256 and 1024 at 512. */
  min?: number;
  max?: number;
}

/** Sizes for training at so many pixels a side: in steps of 64 as usual, finer for models that draw small. */
export function bucketOptions(resolution: number): BucketOptions {
  return { resolution, step: resolution >= 256 ? 64 : 16 };
}

/** What cropping may cost a picture that joins another bucket to be with others. */
const MERGE_LOSS = 0.08;

/** Every bucket, by width, then height: for each width the largest height that keeps the area, and both turned. */
export function makeBuckets(options: BucketOptions): Bucket[] {
  const { resolution, step = 64, min = resolution / 2, max = resolution * 2 } = options;
  if (![resolution, step, min, max].every((value) => value > 0) || step > resolution || min > max) {
    throw new UserError(
      `Pictures cannot be sorted by shape with resolution ${resolution}, step ${step}, shortest side ${min} and longest side ${max}: the step must not be larger than the resolution, and the shortest side not longer than the longest.`,
    );
  }
  const area = resolution * resolution;
  const found = new Map<string, Bucket>();
  const add = (width: number, height: number): void => {
    found.set(`${width}x${height}`, [width, height]);
  };
  const side = Math.floor(resolution / step) * step;
  add(side, side);
  for (let width = Math.ceil(min / step) * step; width <= max; width += step) {
    const height = Math.min(max, Math.floor(Math.floor(area / width) / step) * step);
    if (height < min) continue;
    add(width, height);
    add(height, width);
  }
  return [...found.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}

/** The share of a picture's area that is left after cropping to the bucket's shape, 0 to 1. */
export function keptShare(width: number, height: number, [bucketWidth, bucketHeight]: Bucket): number {
  const ratio = (width * bucketHeight) / (height * bucketWidth);
  return Math.min(ratio, 1 / ratio);
}

/** The bucket whose ratio of width to height is nearest; of equals the first. */
export function nearestBucket(width: number, height: number, buckets: readonly Bucket[]): Bucket {
  const ratio = width / height;
  let best = buckets[0]!;
  for (const bucket of buckets) {
    if (Math.abs(bucket[0] / bucket[1] - ratio) < Math.abs(best[0] / best[1] - ratio)) best = bucket;
  }
  return best;
}

/**
 * A bucket for each of the shapes. A picture alone in its bucket makes batches of one, so it moves to the fullest-fitting
 * bucket that others use where that crops away less than 8 % of what its own would keep.
 */
export function assignBuckets(shapes: readonly { width: number; height: number }[], options: BucketOptions): Bucket[] {
  const buckets = makeBuckets(options);
  const chosen = shapes.map(({ width, height }) => nearestBucket(width, height, buckets));
  const count = new Map<Bucket, number>();
  for (const bucket of chosen) count.set(bucket, (count.get(bucket) ?? 0) + 1);
  shapes.forEach(({ width, height }, i) => {
    const own = chosen[i]!;
    if (count.get(own) !== 1) return;
    let best: Bucket | undefined;
    for (const bucket of count.keys()) {
      if (bucket === own) continue;
      if (!best || keptShare(width, height, bucket) > keptShare(width, height, best)) best = bucket;
    }
    if (!best || keptShare(width, height, best) <= (1 - MERGE_LOSS) * keptShare(width, height, own)) return;
    count.delete(own);
    count.set(best, count.get(best)! + 1);
    chosen[i] = best;
  });
  return chosen;
}

/** The largest rectangle of a shape (width over height) in `bounds`, its middle as near as possible to (x, y). Between pixels. */
export function largestArea(bounds: Area, shape: number, x: number, y: number): Area {
  const width = Math.min(bounds.width, bounds.height * shape);
  const height = Math.min(bounds.height, bounds.width / shape);
  const place = (middle: number, size: number, from: number, length: number): number =>
    Math.min(from + length - size, Math.max(from, middle - size / 2));
  return {
    x: place(x, width, bounds.x, bounds.width),
    y: place(y, height, bounds.y, bounds.height),
    width,
    height,
  };
}

/** Whole pixels inside the picture, at least one. */
export function wholeCrop(area: Area, pictureWidth: number, pictureHeight: number): Crop {
  const width = Math.min(pictureWidth, Math.max(1, Math.round(area.width)));
  const height = Math.min(pictureHeight, Math.max(1, Math.round(area.height)));
  return {
    x: Math.min(pictureWidth - width, Math.max(0, Math.round(area.x))),
    y: Math.min(pictureHeight - height, Math.max(0, Math.round(area.y))),
    width,
    height,
  };
}

/** What is trained of a crop: the largest rectangle of the bucket's exact shape around its middle, so that nothing is stretched. */
export function trainedArea(crop: Crop, [width, height]: Bucket): Area {
  return largestArea(crop, width / height, crop.x + crop.width / 2, crop.y + crop.height / 2);
}
