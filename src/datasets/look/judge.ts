/** What is said of each picture and decided about it once all of a set are known. */
import { assignBuckets, largestArea } from './buckets.ts';
import type { BucketOptions } from './buckets.ts';
import { cropAround, middleOf } from './crop.ts';
import { areNear, colourDistance } from './measures.ts';
import type { PictureRow, PictureWarning } from './types.ts';

/** Variance of the Laplacian under which a picture of 256 pixels has no sharp edge; photos in focus have 100 and more. */
const BLURRED_UNDER = 45;
/** Pictures full of detail keep more than that when blurred: then this share of what is usual in the set tells. */
const BLURRED_SHARE = 0.17;
const NEVER_BLURRED_FROM = 130;
/** A picture this many times as long as wide loses much, whatever its bucket. */
const VERY_LONG = 3;
/** Of the crop's pixels to the bucket's, each way: less than this share is invented. */
const TOO_SMALL = 0.75;
/** Pictures from which on it can be told that one is unlike the others. */
const ENOUGH_TO_COMPARE = 5;

/** Groups (indices) of two and more pictures that are nearly the same; a chain of near ones is one group. */
export function nearGroups(hashes: readonly string[]): number[][] {
  const group = hashes.map((_, i) => i);
  const head = (i: number): number => {
    let at = i;
    while (group[at] !== at) at = group[at]!;
    return at;
  };
  for (let i = 0; i < hashes.length; i++) {
    for (let j = 0; j < i; j++) {
      if (areNear(hashes[i]!, hashes[j]!)) group[head(i)] = head(j);
    }
  }
  const members = new Map<number, number[]>();
  group.forEach((_, i) => members.set(head(i), [...(members.get(head(i)) ?? []), i]));
  return [...members.values()].filter((list) => list.length > 1).map((list) => list.sort((a, b) => a - b));
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

/**
 * Pictures whose colours are far from all the others'. A weak sign: it sees colours, not subjects. The same person in another
 * light may be named, two people in like clothes are not.
 */
export function unlikeOthers(colours: readonly (readonly number[] | undefined)[]): boolean[] {
  const known = colours.flatMap((value, i) => (value === undefined ? [] : [{ value, i }]));
  if (known.length < ENOUGH_TO_COMPARE) return colours.map(() => false);
  const away = colours.map((own, at) =>
    own === undefined ? 0 : median(known.filter(({ i }) => i !== at).map(({ value }) => colourDistance(own, value))),
  );
  const usual = median(away);
  const spread = median(away.map((value) => Math.abs(value - usual)));
  return away.map((value) => value > 0.75 && value > usual + Math.max(0.2, 4 * spread));
}

/**
 * Rows with bucket, crop and warnings as they are among each other at this resolution. Called after every change of the set
 * or of the resolution. A crop by hand stays and decides the bucket; the middle of the others stays.
 */
export function reassessPictures(rows: readonly PictureRow[], options: BucketOptions): PictureRow[] {
  const shapes = rows.map((row) => (row.cropByHand ? row.crop : row));
  const buckets = assignBuckets(shapes, options);
  const near = new Set(nearGroups(rows.map(({ hash }) => hash)).flat());
  const unlike = unlikeOthers(rows.map(({ colours }) => colours));
  const usual = rows.length < ENOUGH_TO_COMPARE ? 0 : median(rows.map(({ sharpness }) => sharpness));
  const blurredUnder = Math.max(BLURRED_UNDER, Math.min(NEVER_BLURRED_FROM, BLURRED_SHARE * usual));
  return rows.map((row, i) => {
    const bucket = buckets[i]!;
    const crop = row.cropByHand ? row.crop : cropAround(row, bucket, middleOf(row));
    const warnings: PictureWarning[] = [];
    if (row.sharpness < blurredUnder) warnings.push('blurred');
    const used = largestArea(crop, bucket[0] / bucket[1], 0, 0);
    if (used.width < TOO_SMALL * bucket[0]) warnings.push('too small');
    if (near.has(i)) warnings.push('nearly the same');
    if (unlike[i]) warnings.push('very different');
    if (Math.max(row.width / row.height, row.height / row.width) >= VERY_LONG) warnings.push('very long or wide');
    return { ...row, bucket, crop, warnings };
  });
}
