import { unzlibSync } from 'fflate';
import { expect, test } from 'vitest';
import type { Pixels, PictureRow } from '../../../src/datasets/look/types.ts';
import { bundlePicture } from '../../../src/tasks/look/bundle-pictures.ts';

/** Red, green and blue of a PNG whose rows are filtered by Sub. */
function decode(png: Uint8Array): { width: number; height: number; rgb: number[] } {
  const view = new DataView(png.buffer, png.byteOffset);
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const length = view.getUint32(33);
  const raw = unzlibSync(png.subarray(41, 41 + length));
  const rgb: number[] = [];
  for (let y = 0; y < height; y++) {
    const row = raw.subarray(y * (1 + 3 * width) + 1, (y + 1) * (1 + 3 * width));
    for (let i = 0; i < 3 * width; i++) rgb.push((row[i]! + (i < 3 ? 0 : rgb.at(-3)!)) & 255);
  }
  return { width, height, rgb };
}

const row = {
  file: 'a.png',
  width: 8,
  height: 4,
  crop: { x: 2, y: 0, width: 4, height: 4 },
  cropByHand: true,
  bucket: [512, 512],
  caption: 'c',
  repeats: 3,
  masked: true,
} as unknown as PictureRow;

/** Red says the column. */
function columns(width: number, height: number, value: (x: number) => number): Pixels {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < width * height; i++) data.set([value(i % width), 0, 0, 255], 4 * i);
  return { width, height, data };
}

test('a picture is cut to its crop, its mask alike and as large', async () => {
  const grey = (width: number, height: number, from: number): Pixels => {
    const data = new Uint8ClampedArray(4 * width * height);
    for (let i = 0; i < width * height; i++) data.set(i % width >= from ? [255, 255, 255, 255] : [0, 0, 0, 255], 4 * i);
    return { width, height, data };
  };
  const made = await bundlePicture({
    row,
    pixels: () => Promise.resolve(columns(8, 4, (x) => 10 * x)),
    // Painted at twice the size: white from column 4 of the picture on.
    mask: () => Promise.resolve(grey(16, 8, 8)),
  });
  expect(made).toMatchObject({ file: 'a.png', caption: 'c', repeats: 3 });
  const picture = decode(made.bytes);
  expect([picture.width, picture.height]).toEqual([4, 4]);
  expect(picture.rgb.slice(0, 12).filter((_, i) => i % 3 === 0)).toEqual([20, 30, 40, 50]);
  const mask = decode(made.mask!);
  expect([mask.width, mask.height]).toEqual([4, 4]);
  const first = mask.rgb.slice(0, 12).filter((_, i) => i % 3 === 0);
  expect(first[0]).toBeLessThan(16);
  expect(first[1]).toBeLessThan(64);
  expect(first[2]).toBeGreaterThan(192);
  expect(first[3]).toBeGreaterThan(240);
});

test('pixels may be fewer than the picture had; a mask that hides all is none', async () => {
  const made = await bundlePicture({
    row,
    pixels: () => Promise.resolve(columns(4, 2, (x) => 10 * x)),
    mask: () => Promise.resolve(columns(4, 2, () => 0)),
  });
  const { width, height } = decode(made.bytes);
  expect([width, height]).toEqual([2, 2]);
  expect(made).not.toHaveProperty('mask');
  const bare = await bundlePicture({
    row: { ...row, masked: false },
    pixels: () => Promise.resolve(columns(4, 2, () => 9)),
    mask: () => Promise.reject(new Error('there is none')),
  });
  expect(bare).not.toHaveProperty('mask');
});
