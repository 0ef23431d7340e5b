import { unzlibSync } from 'fflate';
import { expect, test } from 'vitest';
import { encodePng } from '../../../src/datasets/look/png.ts';

test.each([
  [1, 1],
  [7, 3],
  [64, 65],
])('a picture of %i by %i comes out of its PNG as it went in, alpha left out', async (width, height) => {
  const data = Uint8Array.from({ length: 4 * width * height }, (_, i) => (i * 37 + (i >> 3)) % 256);
  const png = encodePng({ width, height, data });
  const { default: sharp } = await import('sharp');
  const { data: read, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height, info.channels]).toEqual([width, height, 3]);
  const expected = data.filter((_, i) => i % 4 < 3);
  expect(new Uint8Array(read)).toEqual(expected);
});

test('the compressed stream is what zlib reads', () => {
  const png = encodePng({ width: 2, height: 1, data: Uint8Array.of(9, 8, 7, 255, 10, 8, 5, 255) });
  const view = new DataView(png.buffer);
  // Signature, then IHDR with its 13 bytes.
  const idat = 8 + 12 + 13;
  const length = view.getUint32(idat);
  expect(Array.from(unzlibSync(png.subarray(idat + 8, idat + 8 + length)))).toEqual([1, 9, 8, 7, 1, 0, 254]);
});
