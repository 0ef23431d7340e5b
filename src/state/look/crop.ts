import type { Crop } from '../../datasets/look/types.ts';

export const CROP_EDGES = ['nw', 'n', 'ne', 'e', 'se', 's', 'sw', 'w'] as const;
export type CropEdge = (typeof CROP_EDGES)[number];

/** A crop is never smaller than this a side, unless the picture is. */
const SMALLEST = 16;

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** The crop moved by so many pixels, as far as the picture reaches. */
export function moveCrop(crop: Crop, dx: number, dy: number, width: number, height: number): Crop {
  return {
    ...crop,
    x: clamp(Math.round(crop.x + dx), 0, width - crop.width),
    y: clamp(Math.round(crop.y + dy), 0, height - crop.height),
  };
}

/** The crop with one side or corner dragged by so many pixels; the opposite one stays where it is. */
export function dragCrop(crop: Crop, side: CropEdge, dx: number, dy: number, width: number, height: number): Crop {
  let left = crop.x;
  let top = crop.y;
  let right = crop.x + crop.width;
  let bottom = crop.y + crop.height;
  const least = { x: Math.min(SMALLEST, width), y: Math.min(SMALLEST, height) };
  if (side.includes('w')) left = clamp(Math.round(left + dx), 0, right - least.x);
  if (side.includes('e')) right = clamp(Math.round(right + dx), left + least.x, width);
  if (side.includes('n')) top = clamp(Math.round(top + dy), 0, bottom - least.y);
  if (side.includes('s')) bottom = clamp(Math.round(bottom + dy), top + least.y, height);
  return { x: left, y: top, width: right - left, height: bottom - top };
}
