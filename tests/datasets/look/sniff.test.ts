import { afterEach, describe, expect, it, vi } from 'vitest';
import { Bytes as Reader } from '../../../src/datasets/bytes.ts';
import { sniffPicture, turnedSize } from '../../../src/datasets/look/sniff.ts';
import type { PictureKind } from '../../../src/datasets/look/types.ts';
import {
  animatedGif,
  animatedWebp,
  bmp,
  cmykJpeg,
  encoded,
  heicHead,
  jpeg,
  paint,
  png,
  quarters,
  seeded,
  statedPng,
  toSharp,
} from '../../support/pictures.ts';
import type { Bytes } from '../../support/pictures.ts';

const [WIDTH, HEIGHT] = [64, 40];
const picture = paint(WIDTH, HEIGHT, quarters);
const opaque = () => toSharp(picture).removeAlpha();
const ascii = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

/** A PNG with another chunk before its pixels. */
function withChunk(file: Bytes, type: string, data: number[]): Bytes {
  const chunk = new Uint8Array(12 + data.length);
  new DataView(chunk.buffer).setUint32(0, data.length);
  chunk.set(ascii(type), 4);
  chunk.set(data, 8);
  return new Uint8Array([...file.subarray(0, 33), ...chunk, ...file.subarray(33)]);
}

describe('what a file is', () => {
  const kinds: [PictureKind, () => Promise<Bytes>][] = [
    ['jpeg', () => jpeg(picture)],
    ['jpeg', () => encoded(opaque().jpeg({ progressive: true }))],
    ['png', () => png(picture)],
    ['png', () => encoded(opaque().png({ palette: true }))],
    ['webp', () => encoded(opaque().webp())],
    ['webp', () => encoded(opaque().webp({ lossless: true }))],
    ['webp', () => encoded(toSharp(picture).webp())],
    ['avif', () => encoded(opaque().avif({ effort: 0 }))],
    ['gif', () => encoded(opaque().gif())],
    ['tiff', () => encoded(opaque().tiff())],
    ['bmp', () => Promise.resolve(bmp(picture))],
  ];
  it.each(kinds)('%s with its size', async (kind, make) => {
    const { info, refused } = sniffPicture(await make());
    expect(refused).toBeUndefined();
    expect(info).toMatchObject({ kind, width: WIDTH, height: HEIGHT, orientation: 1, animated: false, cmyk: false });
  });

  it('the size of the whole picture in a HEIC, not of its tiles, turned', () => {
    const { info } = sniffPicture(heicHead(4032, 3024));
    expect(info).toMatchObject({ kind: 'heic', width: 3024, height: 4032 });
    expect(turnedSize(info!)).toEqual([3024, 4032]);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('EXIF turning %i', async (orientation) => {
    const files = [
      await jpeg(picture, orientation),
      await encoded(opaque().withMetadata({ orientation }).webp()),
      await encoded(opaque().withMetadata({ orientation }).png()),
      await encoded(opaque().withMetadata({ orientation }).tiff()),
    ];
    for (const file of files) {
      const { info } = sniffPicture(file);
      expect(info).toMatchObject({ width: WIDTH, height: HEIGHT, orientation });
      expect(turnedSize(info!)).toEqual(orientation >= 5 ? [HEIGHT, WIDTH] : [WIDTH, HEIGHT]);
    }
  });

  it('what moves', async () => {
    const frames = [picture, paint(WIDTH, HEIGHT, () => [0, 0, 0])];
    expect(sniffPicture(await animatedWebp(frames)).info).toMatchObject({ kind: 'animated webp', animated: true });
    expect(sniffPicture(await animatedGif(frames)).info).toMatchObject({ kind: 'gif', animated: true });
    const apng = withChunk(await png(picture), 'acTL', [0, 0, 0, 2, 0, 0, 0, 0]);
    expect(sniffPicture(apng).info).toMatchObject({ kind: 'animated png', animated: true });
    const still = withChunk(await png(picture), 'acTL', [0, 0, 0, 1, 0, 0, 0, 0]);
    expect(sniffPicture(still).info).toMatchObject({ kind: 'png', animated: false });
  });

  it('printing colours and transparency', async () => {
    expect(sniffPicture(await cmykJpeg(picture)).info).toMatchObject({ kind: 'jpeg', cmyk: true });
    expect(sniffPicture(await png(picture)).info?.alpha).toBe(true);
    expect(sniffPicture(await encoded(opaque().png())).info?.alpha).toBe(false);
    expect(sniffPicture(withChunk(await encoded(opaque().png()), 'tRNS', [0, 0])).info?.alpha).toBe(true);
  });
});

describe('what is refused', () => {
  it.each<[string, Uint8Array, string, RegExp]>([
    ['nothing', new Uint8Array(), 'empty', /empty/],
    ['text', ascii('These are words, nothing else.\n'.repeat(9)), 'not a picture', /text, not a picture/],
    [
      'text of another alphabet',
      new TextEncoder().encode('Το κείμενο δεν είναι εικόνα. '.repeat(200)),
      'not a picture',
      /text/,
    ],
    ['a web page', ascii('<!DOCTYPE html><html><body>404'), 'not a picture', /web page/],
    ['a drawing of lines', ascii('<?xml version="1.0"?>\n<svg viewBox="0 0 9 9"/>'), 'not readable here', /SVG/],
    ['a PDF', ascii('%PDF-1.7\n'), 'not a picture', /PDF/],
    ['an archive', ascii('PK\x03\x04\x14\0'), 'not a picture', /ZIP/],
    ['a film', ascii('\0\0\0\x18ftypisom\0\0\0\0isommp42'), 'not a picture', /film/],
    ['Photoshop', ascii('8BPS\0\x01'), 'not readable here', /Photoshop/],
    ['JPEG XL', ascii('\xff\x0a\xfa\x7f'), 'not readable here', /JPEG XL/],
    ['a raw file', ascii('II*\0\x10\0\0\0CR\x02\0\0\0\0\0'), 'not readable here', /raw file/],
    ['noise', Uint8Array.from({ length: 99 }, (_, i) => (i * 73) % 256), 'not a picture', /no picture format/],
  ])('%s', (_, bytes, reason, message) => {
    const { refused } = sniffPicture(bytes);
    expect(refused?.reason).toBe(reason);
    expect(refused?.message).toMatch(message);
    expect(refused?.message).toMatch(/[.]$/);
  });

  it('what breaks off, of every kind that has an end', async () => {
    const files = [
      await jpeg(picture),
      await png(picture),
      await encoded(opaque().webp()),
      await encoded(opaque().gif()),
    ];
    for (const file of files) {
      expect(sniffPicture(file).refused).toBeUndefined();
      const cut = sniffPicture(file.subarray(0, Math.floor(file.length * 0.8)));
      expect(cut.refused).toMatchObject({ reason: 'damaged' });
      expect(cut.refused?.message).toMatch(/breaks off/);
    }
  });

  it('what states more pixels than memory should hold, before any is decoded', () => {
    const { info, refused } = sniffPicture(statedPng(60_000, 60_000));
    expect(info).toMatchObject({ width: 60_000, height: 60_000 });
    expect(refused?.reason).toBe('too large');
    expect(refused?.message).toMatch(/60000 by 60000 pixels, 3,600 million; at most 120 million/);
    expect(sniffPicture(statedPng(20_000, 5_000)).refused).toBeUndefined();
    expect(sniffPicture(statedPng(0, 50)).refused?.message).toMatch(/does not state its size/);
  });
});

describe('hostile bytes', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('never throws nor goes round in circles on files with bytes changed, dropped and repeated', async () => {
    let reads = 0;
    for (const name of ['u8', 'u16', 'u24', 'u32', 'i32'] as const) {
      const real = Reader.prototype[name] as (at: number, little?: boolean) => number | undefined;
      vi.spyOn(Reader.prototype, name).mockImplementation(function (this: Reader, at: number, little?: boolean) {
        reads += 1;
        return real.call(this, at, little);
      });
    }
    const { text } = Reader.prototype;
    vi.spyOn(Reader.prototype, 'text').mockImplementation(function (this: Reader, at, length) {
      const found = text.call(this, at, length);
      reads += 1 + found.length;
      return found;
    });
    const seeds = [
      await jpeg(picture, 6),
      await png(picture),
      await encoded(opaque().withMetadata({ orientation: 6 }).webp()),
      await encoded(opaque().avif({ effort: 0 })),
      await animatedGif([picture, picture]),
      await encoded(opaque().tiff()),
      heicHead(100, 100),
      bmp(picture),
    ];
    const seed = 20_250_101;
    const random = seeded(seed);
    for (let round = 0; round < 4000; round++) {
      const file = seeds[round % seeds.length]!;
      const bytes = file.slice(0, random() < 0.3 ? Math.floor(random() * file.length) : file.length);
      const changes = 1 + Math.floor(random() * 12);
      for (let k = 0; k < changes && bytes.length > 0; k++) {
        // Headers are where lengths and offsets are.
        const at = Math.floor(random() ** 3 * bytes.length);
        bytes[at] = random() < 0.5 ? [0, 255, 127, 1][Math.floor(random() * 4)]! : Math.floor(random() * 256);
      }
      reads = 0;
      const found = sniffPicture(bytes);
      // Every reader goes forward through the file, by one byte a step at least, and reads two numbers a step at most, or a part's
      // type and length, in some of no more than five parts within parts; what tells the formats apart reads some hundred bytes.
      expect(reads, `round ${round} of seed ${seed}`).toBeLessThan(4 * bytes.length + 1000);
      expect(found.info ?? found.refused, `round ${round} of seed ${seed}`).toBeDefined();
      if (found.info && !found.refused) {
        expect(found.info.width * found.info.height, `round ${round} of seed ${seed}`).toBeLessThanOrEqual(120_000_000);
        expect(found.info.orientation).toBeGreaterThanOrEqual(1);
        expect(found.info.orientation).toBeLessThanOrEqual(8);
      }
    }
  });
});
