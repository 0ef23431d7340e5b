import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { nodePictureDecoder } from '../../../src/headless/look/pictures.ts';
import { reducedSize, resample, rgbRaster } from '../../../src/datasets/look/resample.ts';
import { sniffPicture } from '../../../src/datasets/look/sniff.ts';
import { areaInPixels, fromTensor, toTensor } from '../../../src/datasets/look/to-tensor.ts';
import { turnPixels } from '../../../src/datasets/look/turn.ts';
import type { Pixels } from '../../../src/datasets/look/types.ts';
import { jpeg, meanColour, paint, png, quarters, scene, seeded } from '../../support/pictures.ts';

const noise = (width: number, height: number, seed: number): Pixels => {
  const random = seeded(seed);
  return paint(width, height, () => [255 * random(), 255 * random(), 255 * random()]);
};

/** The mean over an area, part of a pixel at a time, as the formula says. */
function areaMean({ width, data }: Pixels, c: number, x0: number, y0: number, x1: number, y1: number): number {
  let [sum, weight] = [0, 0];
  for (let y = Math.floor(y0); y < Math.ceil(y1); y++) {
    for (let x = Math.floor(x0); x < Math.ceil(x1); x++) {
      const part = (Math.min(x + 1, x1) - Math.max(x, x0)) * (Math.min(y + 1, y1) - Math.max(y, y0));
      sum += part * data[4 * (y * width + x) + c]!;
      weight += part;
    }
  }
  return sum / weight;
}

describe('a picture as a tensor', () => {
  it('is the mean over each area of the crop, in -1..1, channel by channel', () => {
    const pixels = noise(67, 53, 1);
    const row = {
      width: 67,
      height: 53,
      crop: { x: 5, y: 3, width: 48, height: 40 },
      bucket: [24, 16] as [number, number],
    };
    const area = areaInPixels(pixels, row);
    expect(area).toEqual({ x: 5, y: 7, width: 48, height: 32 });
    const tensor = toTensor(pixels, { ...row, bucket: [20, 12] });
    const used = areaInPixels(pixels, { ...row, bucket: [20, 12] });
    const [sx, sy] = [used.width / 20, used.height / 12];
    for (let c = 0; c < 3; c++) {
      for (let y = 0; y < 12; y++) {
        for (let x = 0; x < 20; x++) {
          const mean = areaMean(
            pixels,
            c,
            used.x + x * sx,
            used.y + y * sy,
            used.x + (x + 1) * sx,
            used.y + (y + 1) * sy,
          );
          expect(tensor[(c * 12 + y) * 20 + x]).toBeCloseTo(mean / 127.5 - 1, 5);
        }
      }
    }
  });

  it('is the pixels themselves at their own size, and comes back as they were', () => {
    const pixels = noise(40, 24, 2);
    const tensor = toTensor(pixels, {
      width: 40,
      height: 24,
      crop: { x: 0, y: 0, width: 40, height: 24 },
      bucket: [40, 24],
    });
    expect(fromTensor(tensor, 40, 24)).toEqual(pixels);
  });

  it('keeps one colour one colour, larger or smaller, and stays in -1..1 at hard edges', () => {
    const even = paint(50, 30, () => [200, 100, 3]);
    for (const bucket of [
      [128, 64],
      [16, 8],
    ] as [number, number][]) {
      const tensor = toTensor(even, { width: 50, height: 30, crop: { x: 1, y: 2, width: 41, height: 27 }, bucket });
      const plane = bucket[0] * bucket[1];
      [200, 100, 3].forEach((value, c) => {
        for (let i = 0; i < plane; i++) expect(tensor[c * plane + i]).toBeCloseTo(value / 127.5 - 1, 5);
      });
    }
    const hard = paint(16, 16, (x) => (x < 0.5 ? [0, 0, 0] : [255, 255, 255]));
    const large = toTensor(hard, {
      width: 16,
      height: 16,
      crop: { x: 0, y: 0, width: 16, height: 16 },
      bucket: [64, 64],
    });
    expect(Math.min(...large)).toBe(-1);
    expect(Math.max(...large)).toBe(1);
  });

  it('turns left and right round on request', () => {
    const pixels = noise(32, 16, 3);
    const row = {
      width: 32,
      height: 16,
      crop: { x: 0, y: 0, width: 32, height: 16 },
      bucket: [16, 8] as [number, number],
    };
    const [plain, flipped] = [toTensor(pixels, row), toTensor(pixels, row, true)];
    for (let at = 0; at < plain.length; at++) {
      const [line, x] = [Math.floor(at / 16), at % 16];
      expect(flipped[line * 16 + 15 - x]).toBe(plain[at]);
    }
  });

  it('lays what is transparent on white', () => {
    const pixels = paint(8, 8, () => [255, 0, 0, 0]);
    const tensor = toTensor(pixels, { width: 8, height: 8, crop: { x: 0, y: 0, width: 8, height: 8 }, bucket: [8, 8] });
    expect([...new Set(tensor)]).toEqual([1]);
    const half = paint(8, 8, () => [0, 0, 0, 51]);
    const grey = toTensor(half, { width: 8, height: 8, crop: { x: 0, y: 0, width: 8, height: 8 }, bucket: [8, 8] });
    expect(grey[0]).toBeCloseTo((255 * 0.8) / 127.5 - 1, 5);
  });

  it('is nearly the same from a copy that was scaled down first', () => {
    const pixels = paint(1200, 900, scene(4));
    const row = {
      width: 1200,
      height: 900,
      crop: { x: 100, y: 50, width: 800, height: 800 },
      bucket: [64, 64] as [number, number],
    };
    const rgb = resample(rgbRaster(pixels), { x: 0, y: 0, width: 1200, height: 900 }, 600, 450);
    const half = paint(600, 450, (x, y) => {
      const at = 3 * (Math.floor(y * 450) * 600 + Math.floor(x * 600));
      return [rgb[at]!, rgb[at + 1]!, rgb[at + 2]!];
    });
    const [full, small] = [toTensor(pixels, row), toTensor(half, row)];
    const error = Math.sqrt(full.reduce((sum, value, i) => sum + (value - small[i]!) ** 2, 0) / full.length);
    expect(error).toBeLessThan(0.01);
  });

  it('has the same bits wherever it is made', () => {
    // Only sums and products of float64 and one rounding to float32; sines where it is made larger.
    const tensor = toTensor(noise(123, 77, 5), {
      width: 123,
      height: 77,
      crop: { x: 7, y: 3, width: 101, height: 70 },
      bucket: [64, 48],
    });
    const hash = createHash('sha256').update(new Uint8Array(tensor.buffer)).digest('hex');
    expect(hash.slice(0, 16)).toBe('9757a7d1f8e843cf');
  });
});

describe('turning', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('by EXIF’s %i is what sharp does', async (orientation) => {
    const picture = paint(60, 36, quarters);
    const file = await jpeg(picture, orientation);
    const { info } = sniffPicture(file);
    const turned = await nodePictureDecoder.decode(file, info!, { shortSide: 999 });
    const ours = turnPixels(picture, orientation);
    expect([ours.width, ours.height]).toEqual([turned.width, turned.height]);
    for (const [x, y] of [
      [0.1, 0.1],
      [0.6, 0.1],
      [0.1, 0.6],
      [0.6, 0.6],
    ] as const) {
      const [a, b] = [meanColour(ours, x, y, x + 0.3, y + 0.3), meanColour(turned, x, y, x + 0.3, y + 0.3)];
      for (let c = 0; c < 3; c++) expect(Math.abs(a[c]! - b[c]!)).toBeLessThan(3);
    }
  });
});

describe('decoding in Node', () => {
  it('scales down to the limits, never up, with the shape kept', async () => {
    expect(reducedSize(6000, 4000, { shortSide: 1536 })).toEqual([2304, 1536]);
    expect(reducedSize(20_000, 1000, { shortSide: 1536 })).toEqual([8192, 410]);
    expect(reducedSize(30, 20, { shortSide: 1536 })).toEqual([30, 20]);
    expect(reducedSize(60_000, 1, { shortSide: 10 })).toEqual([8192, 1]);
    const file = await jpeg(paint(600, 400, quarters), 6);
    const pixels = await nodePictureDecoder.decode(file, sniffPicture(file).info!, { shortSide: 100 });
    expect([pixels.width, pixels.height, pixels.data.length]).toEqual([100, 150, 4 * 100 * 150]);
  });

  it('encodes pixels alone: no metadata, transparency in PNG, white in JPEG', async () => {
    const clear = paint(20, 10, (x) => (x < 0.5 ? [255, 0, 0, 0] : [0, 0, 255, 255]));
    const asPng = await nodePictureDecoder.encode(clear, 'png');
    const back = await nodePictureDecoder.decode(asPng, sniffPicture(asPng).info!, { shortSide: 999 });
    expect(back.data[3]).toBe(0);
    expect([...back.data.subarray(4 * 15, 4 * 16)]).toEqual([0, 0, 255, 255]);
    const asJpeg = await nodePictureDecoder.encode(clear, 'jpeg');
    const white = await nodePictureDecoder.decode(asJpeg, sniffPicture(asJpeg).info!, { shortSide: 999 });
    expect(Math.min(...white.data.subarray(0, 12))).toBeGreaterThan(245);
    expect(Buffer.from(asJpeg).includes('Exif')).toBe(false);
    expect(sniffPicture(await png(clear)).info?.alpha).toBe(true);
  });
});
