import { Bytes } from '../bytes.ts';
import type { Pixels } from './types.ts';

/** Pixels turned and mirrored as an EXIF orientation (1 to 8) says they must be shown. */
export function turnPixels({ width, height, data }: Pixels, orientation: number): Pixels {
  const aside = orientation >= 5;
  const [outWidth, outHeight] = aside ? [height, width] : [width, height];
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const fromBottom = [3, 4, 6, 7].includes(orientation);
  // A pixel at a time; a copy where the bytes do not begin at a multiple of four.
  const { buffer, byteOffset } = data.byteOffset % 4 === 0 ? data : data.slice();
  const source = new Uint32Array(buffer, byteOffset, width * height);
  const out = new Uint32Array(width * height);
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      const [u, v] = aside ? [y, x] : [x, y];
      out[y * outWidth + x] = source[(fromBottom ? height - 1 - v : v) * width + (fromRight ? width - 1 - u : u)]!;
    }
  }
  return { width: outWidth, height: outHeight, data: new Uint8ClampedArray(out.buffer) };
}

/** A WebP whose EXIF no reader finds: its part gets a name that means nothing, which readers pass over. */
export function withoutWebpExif(file: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const bytes = new Bytes(file);
  const copy = file.slice();
  for (let at = 12; at + 8 <= bytes.length;) {
    const length = bytes.u32(at + 4, true)!;
    if (bytes.has(at, 'EXIF')) copy.set([0x78, 0x78, 0x78, 0x78], at);
    // The flag of the extended header that announces it.
    if (bytes.has(at, 'VP8X')) copy[at + 8]! &= ~0x08;
    at += 8 + length + (length & 1);
  }
  return copy;
}
