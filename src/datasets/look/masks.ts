/** Painted masks: one byte a pixel, 255 is learnt, 0 is not. Kept as a grey PNG over the whole picture, at any size. */
import { areaInPixels } from './to-tensor.ts';
import type { Bucket } from './buckets.ts';
import { byteRaster, resample } from './resample.ts';
import type { Crop, Pixels } from './types.ts';

export interface Mask {
  width: number;
  height: number;
  /** Length width · height, rows from the top. */
  data: Uint8Array<ArrayBuffer>;
}

/** A mask from decoded pixels: their luminance, nothing where they are transparent. */
export function maskFromPixels({ width, height, data }: Pixels): Mask {
  const out = new Uint8Array(width * height);
  for (let i = 0; i < out.length; i++) {
    const grey = 0.299 * data[4 * i]! + 0.587 * data[4 * i + 1]! + 0.114 * data[4 * i + 2]!;
    out[i] = Math.round((grey * data[4 * i + 3]!) / 255);
  }
  return { width, height, data: out };
}

/** Grey opaque pixels, to be encoded as PNG. */
export function maskToPixels({ width, height, data }: Mask): Pixels {
  const out = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < data.length; i++) {
    out.fill(data[i]!, 4 * i, 4 * i + 3);
    out[4 * i + 3] = 255;
  }
  return { width, height, data: out };
}

/** Whether a mask lets anything be learnt: one that is black all over must not be trained with. */
export function masksAll({ data }: Mask): boolean {
  return data.every((value) => value === 0);
}

/**
 * Weights of the loss, one a latent: the mean of the mask over the pixels that the latent stands for, 0 to 1.
 *
 * @param row the picture's size, crop and bucket; the mask covers the whole picture at a size of its own
 * @param factor pixels of one latent, a side; the bucket's sides are multiples of it
 * @param flip as the picture was flipped
 * @returns [height / factor, width / factor] of the bucket
 */
export function maskToLatents(
  mask: Mask,
  row: { width: number; height: number; crop: Crop; bucket: Bucket },
  factor: number,
  flip = false,
): Float32Array<ArrayBuffer> {
  const width = row.bucket[0] / factor;
  const height = row.bucket[1] / factor;
  const raster = byteRaster(mask.width, mask.height, mask.data);
  const weights = resample(raster, areaInPixels(mask, row), width, height);
  // A mask coarser than the latents is scaled up, which overshoots at its edges.
  for (let i = 0; i < weights.length; i++) weights[i] = Math.min(1, Math.max(0, weights[i]! / 255));
  if (flip) for (let y = 0; y < height; y++) weights.subarray(y * width, (y + 1) * width).reverse();
  return weights;
}
