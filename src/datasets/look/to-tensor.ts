import { trainedArea } from './buckets.ts';
import type { Bucket } from './buckets.ts';
import { resample, rgbRaster } from './resample.ts';
import type { Area } from './resample.ts';
import type { Crop, Pixels } from './types.ts';

/** The part of decoded pixels that a row's crop means: they may be smaller than the picture was. */
export function areaInPixels(
  pixels: { width: number; height: number },
  row: { width: number; height: number; crop: Crop; bucket: Bucket },
): Area {
  const area = trainedArea(row.crop, row.bucket);
  const across = pixels.width / row.width;
  const down = pixels.height / row.height;
  return { x: area.x * across, y: area.y * down, width: area.width * across, height: area.height * down };
}

/**
 * What the image encoder takes: [3, height, width] of the bucket in -1..1 (2 · value / 255 - 1). Transparent parts lie on white.
 *
 * @param pixels the row's picture, turned, at its full size or scaled down
 * @param flip left becomes right
 */
export function toTensor(
  pixels: Pixels,
  row: { width: number; height: number; crop: Crop; bucket: Bucket },
  flip = false,
): Float32Array<ArrayBuffer> {
  const [width, height] = row.bucket;
  const rgb = resample(rgbRaster(pixels), areaInPixels(pixels, row), width, height);
  const plane = width * height;
  const tensor = new Float32Array(3 * plane);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = 3 * (y * width + (flip ? width - 1 - x : x));
      const to = y * width + x;
      for (let c = 0; c < 3; c++) {
        // Lanczos overshoots at hard edges.
        tensor[c * plane + to] = Math.min(1, Math.max(-1, rgb[from + c]! / 127.5 - 1));
      }
    }
  }
  return tensor;
}

/** The other way: pixels of a tensor [3, height, width] in -1..1. */
export function fromTensor(tensor: Float32Array, width: number, height: number): Pixels {
  const plane = width * height;
  const data = new Uint8ClampedArray(4 * plane);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) data[4 * i + c] = (tensor[c * plane + i]! + 1) * 127.5;
    data[4 * i + 3] = 255;
  }
  return { width, height, data };
}
