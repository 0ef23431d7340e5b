/**
 * Scaling of pixels, the same to the last bit wherever JavaScript runs: browsers' own scaling differs from one to the next.
 */
import type { Pixels } from './types.ts';

/** A rectangle in pixels that may begin and end between them. */
export interface Area {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** For each output: the first source pixel it takes, and the weights (adding up to 1) of it and those after it. */
interface Taps {
  first: Int32Array;
  weights: Float64Array[];
}

const LANCZOS_LOBES = 3;

function lanczos(x: number): number {
  if (x === 0) return 1;
  if (Math.abs(x) >= LANCZOS_LOBES) return 0;
  const t = Math.PI * x;
  return (LANCZOS_LOBES * Math.sin(t) * Math.sin(t / LANCZOS_LOBES)) / (t * t);
}

/**
 * One axis: `length` source pixels from `from` become `count`. Smaller: the mean over the area an output covers, parts of pixels
 * counted as parts (what OpenCV calls INTER_AREA and kohya's trainer uses). Larger: Lanczos of three lobes, edges repeated.
 */
function makeTaps(sourceLength: number, from: number, length: number, count: number): Taps {
  const scale = length / count;
  const first = new Int32Array(count);
  const weights: Float64Array[] = [];
  const last = sourceLength - 1;
  for (let i = 0; i < count; i++) {
    const start = from + i * scale;
    const end = start + scale;
    const shrink = scale >= 1;
    const middle = (start + end) / 2 - 0.5;
    const low = shrink ? Math.floor(start + 1e-9) : Math.ceil(middle - LANCZOS_LOBES);
    const high = shrink ? Math.ceil(end - 1e-9) - 1 : Math.floor(middle + LANCZOS_LOBES);
    const clampedLow = Math.min(last, Math.max(0, low));
    const taken = new Float64Array(Math.min(last, Math.max(clampedLow, high)) - clampedLow + 1);
    let sum = 0;
    for (let at = low; at <= high; at++) {
      const weight = shrink ? Math.min(at + 1, end) - Math.max(at, start) : lanczos(at - middle);
      taken[Math.min(last, Math.max(0, at)) - clampedLow]! += weight;
      sum += weight;
    }
    for (let k = 0; k < taken.length; k++) taken[k]! /= sum;
    first[i] = clampedLow;
    weights.push(taken);
  }
  return { first, weights };
}

/** A source of numbers: `channels` a pixel, filled in row by row so that no second copy of a large picture is made. */
export interface Raster {
  width: number;
  height: number;
  channels: number;
  /** Writes row y as width · channels numbers. */
  row(y: number, into: Float64Array): void;
}

/** @returns [height, width, channels], row-major, of `area` of the raster. */
export function resample(raster: Raster, area: Area, width: number, height: number): Float32Array<ArrayBuffer> {
  const { channels } = raster;
  const across = makeTaps(raster.width, area.x, area.width, width);
  const down = makeTaps(raster.height, area.y, area.height, height);
  const out = new Float32Array(width * height * channels);
  const source = new Float64Array(raster.width * channels);
  // Rows already narrowed, by their number; an output row needs a few neighbours, and the next one mostly the same.
  const rows = new Map<number, Float64Array>();
  const spare: Float64Array[] = [];
  const narrow = (y: number): Float64Array => {
    const known = rows.get(y);
    if (known) return known;
    raster.row(y, source);
    const row = spare.pop() ?? new Float64Array(width * channels);
    for (let x = 0; x < width; x++) {
      const taps = across.weights[x]!;
      const start = across.first[x]! * channels;
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let k = 0; k < taps.length; k++) sum += taps[k]! * source[start + k * channels + c]!;
        row[x * channels + c] = sum;
      }
    }
    rows.set(y, row);
    return row;
  };
  const total = new Float64Array(width * channels);
  for (let y = 0; y < height; y++) {
    const top = down.first[y]!;
    for (const [at, row] of rows) {
      if (at >= top) continue;
      rows.delete(at);
      spare.push(row);
    }
    total.fill(0);
    down.weights[y]!.forEach((weight, k) => {
      const row = narrow(top + k);
      for (let i = 0; i < total.length; i++) total[i]! += weight * row[i]!;
    });
    out.set(total, y * total.length);
  }
  return out;
}

/** Red, green and blue, 0 to 255, before a white ground where the picture is transparent. */
export function rgbRaster({ width, height, data }: Pixels): Raster {
  return {
    width,
    height,
    channels: 3,
    row(y, into) {
      let at = y * width * 4;
      for (let x = 0; x < width; x++, at += 4) {
        const alpha = data[at + 3]! / 255;
        const ground = 255 * (1 - alpha);
        into[3 * x] = data[at]! * alpha + ground;
        into[3 * x + 1] = data[at + 1]! * alpha + ground;
        into[3 * x + 2] = data[at + 2]! * alpha + ground;
      }
    },
  };
}

/** One channel of bytes. */
export function byteRaster(width: number, height: number, data: Uint8Array | Uint8ClampedArray): Raster {
  return {
    width,
    height,
    channels: 1,
    row(y, into) {
      for (let x = 0; x < width; x++) into[x] = data[y * width + x]!;
    },
  };
}

/** Opaque pixels of another size; transparent parts become white. Used for looking at a picture, not for training. */
export function scaledPixels(pixels: Pixels, width: number, height: number): Pixels {
  const rgb = resample(rgbRaster(pixels), { x: 0, y: 0, width: pixels.width, height: pixels.height }, width, height);
  const data = new Uint8ClampedArray(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    data[4 * i] = rgb[3 * i]!;
    data[4 * i + 1] = rgb[3 * i + 1]!;
    data[4 * i + 2] = rgb[3 * i + 2]!;
    data[4 * i + 3] = 255;
  }
  return { width, height, data };
}

/** The size at which a picture fits the limits: scaled down with its shape kept, never up, at least one pixel. */
export function reducedSize(
  width: number,
  height: number,
  limit: { shortSide: number; longSide?: number },
): [number, number] {
  const scale = Math.min(
    1,
    limit.shortSide / Math.min(width, height),
    (limit.longSide ?? LONGEST_SIDE) / Math.max(width, height),
  );
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

/** Longest side of decoded pixels: browsers draw no wider ones everywhere. */
export const LONGEST_SIDE = 8192;
