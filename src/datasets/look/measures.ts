/** What can be measured of a picture without a model that knows what it shows. */
import { resample, rgbRaster, scaledPixels, reducedSize } from './resample.ts';
import type { Pixels } from './types.ts';

/** Short side of the pixels that are measured, and the longest they may be. */
const LOOK_SIDE = 256;
const LOOK_LONGEST = 2048;

/** Scaled down and opaque: what the measures and the proposed crop look at. */
export function lookOf(pixels: Pixels): Pixels {
  const [width, height] = reducedSize(pixels.width, pixels.height, { shortSide: LOOK_SIDE, longSide: LOOK_LONGEST });
  return scaledPixels(pixels, width, height);
}

const luma = (red: number, green: number, blue: number): number => 0.299 * red + 0.587 * green + 0.114 * blue;

function grey(pixels: Pixels, width: number, height: number): Float64Array {
  const rgb = resample(rgbRaster(pixels), { x: 0, y: 0, width: pixels.width, height: pixels.height }, width, height);
  return Float64Array.from({ length: width * height }, (_, i) => luma(rgb[3 * i]!, rgb[3 * i + 1]!, rgb[3 * i + 2]!));
}

/** Grey steps of 255 that are noise: an even ground would else give bits by chance. */
const EVEN = 1.5;

/** Difference hash (N. Krawetz, "Kind of like that", 2013): whether each of 8 by 8 places is brighter than the one to its right. */
export function differenceHash(pixels: Pixels): string {
  const values = grey(pixels, 9, 8);
  let hash = '';
  for (let y = 0; y < 8; y++) {
    let byte = 0;
    for (let x = 0; x < 8; x++) byte = (byte << 1) | (values[9 * y + x]! > values[9 * y + x + 1]! + EVEN ? 1 : 0);
    hash += byte.toString(16).padStart(2, '0');
  }
  return hash;
}

function countBits(bits: bigint): number {
  let count = 0;
  for (let left = bits; left > 0n; left &= left - 1n) count++;
  return count;
}

/** Bits in which two hashes differ, 0 to 64. */
export function hashDistance(a: string, b: string): number {
  return countBits(BigInt(`0x${a}`) ^ BigInt(`0x${b}`));
}

/** Bits up to which two hashes are of nearly the same picture. */
const NEAR_BITS = 6;
/** And at most this share of the bits that are set in either: a small thing on an even ground sets few. */
const NEAR_SHARE = 0.17;

/**
 * Whether two hashes are of nearly the same picture: scaled, recompressed, brightened, or cut by a few per cent. Moments of one
 * scene from one place count too; the same thing elsewhere or turned does not.
 */
export function areNear(a: string, b: string): boolean {
  const [x, y] = [BigInt(`0x${a}`), BigInt(`0x${b}`)];
  return countBits(x ^ y) <= Math.min(NEAR_BITS, NEAR_SHARE * countBits(x | y));
}

/** Variance of the Laplacian (4-neighbour) of the luminance, 0 to 255: small where no edge is sharp. */
export function sharpnessOf(look: Pixels): number {
  const { width, height } = look;
  const values = grey(look, width, height);
  let sum = 0;
  let squares = 0;
  let count = 0;
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      const value = 4 * values[at]! - values[at - 1]! - values[at + 1]! - values[at - width]! - values[at + width]!;
      sum += value;
      squares += value * value;
      count++;
    }
  }
  return count === 0 ? 0 : squares / count - (sum / count) ** 2;
}

/** Hues told apart, and three steps of grey. */
const HUES = 8;
const GREYS = 3;

/**
 * Shares of coarse colours: 8 hues, light and dark, and black, grey and white, of the middle two thirds each way, where a subject
 * tends to be. They add up to 1.
 */
export function colourShares(look: Pixels): number[] {
  const side = 48;
  const rgb = resample(
    rgbRaster(look),
    { x: look.width / 6, y: look.height / 6, width: (look.width * 2) / 3, height: (look.height * 2) / 3 },
    side,
    side,
  );
  const shares = new Array<number>(HUES * 2 + GREYS).fill(0);
  for (let i = 0; i < side * side; i++) {
    const [red, green, blue] = [rgb[3 * i]!, rgb[3 * i + 1]!, rgb[3 * i + 2]!];
    const most = Math.max(red, green, blue);
    const range = most - Math.min(red, green, blue);
    let bin: number;
    if (range < 24 || range < 0.15 * most) {
      bin = HUES * 2 + Math.min(GREYS - 1, Math.floor((most * GREYS) / 256));
    } else {
      const hue =
        most === red ? (green - blue) / range : most === green ? 2 + (blue - red) / range : 4 + (red - green) / range;
      bin = (Math.floor(((hue + 6) * HUES) / 6 + 0.5) % HUES) + (most > 140 ? HUES : 0);
    }
    shares[bin]!++;
  }
  return shares.map((value) => Math.round((value / (side * side)) * 1000) / 1000);
}

/** Half the sum of differences: 0 the same colours, 1 none in common. */
export function colourDistance(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? 0)), 0) / 2;
}
