/** Pictures for tests, encoded by sharp: real files of every kind, and the odd ones. */
import sharp from 'sharp';
import type { Sharp } from 'sharp';
import { importPictures } from '../../src/datasets/look/import-pictures.ts';
import type { PictureImportOptions } from '../../src/datasets/look/import-pictures.ts';
import type { SourceFile } from '../../src/datasets/source-file.ts';
import { nodePictureDecoder } from '../../src/headless/look/pictures.ts';
import type { Pixels } from '../../src/datasets/look/types.ts';

export type Bytes = Uint8Array<ArrayBuffer>;

/** A small generator of the same numbers every time (mulberry32), 0 to 1. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Colour at a place, both 0 to 1. */
type Paint = (x: number, y: number) => readonly [number, number, number, number?];

export function paint(width: number, height: number, colour: Paint): Pixels {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [red, green, blue, alpha = 255] = colour((x + 0.5) / width, (y + 0.5) / height);
      data.set([red, green, blue, alpha], 4 * (y * width + x));
    }
  }
  return { width, height, data };
}

/** Four flat quarters: red, green / blue, white. Shows which way a picture was turned. */
export const quarters: Paint = (x, y) =>
  y < 0.5 ? (x < 0.5 ? [220, 30, 30] : [30, 200, 30]) : x < 0.5 ? [30, 30, 220] : [240, 240, 240];

/** Many soft blobs and stripes, unlike for each seed; has edges everywhere. */
export function scene(seed: number): Paint {
  const random = seeded(seed);
  const blobs = Array.from({ length: 12 }, () => ({
    x: random(),
    y: random(),
    r: 0.05 + 0.2 * random(),
    colour: [255 * random(), 255 * random(), 255 * random()] as const,
  }));
  return (x, y) => {
    let colour: readonly [number, number, number] = [255 * x, 255 * y, 128];
    for (const blob of blobs) if (Math.hypot(x - blob.x, y - blob.y) < blob.r) colour = blob.colour;
    const stripe = Math.floor(40 * x + 17 * y) % 2 === 0 ? 0.8 : 1;
    return [colour[0] * stripe, colour[1] * stripe, colour[2] * stripe];
  };
}

export function toSharp({ width, height, data }: Pixels): Sharp {
  return sharp(data, { raw: { width, height, channels: 4 } });
}

export async function encoded(image: Sharp): Promise<Bytes> {
  return new Uint8Array(await image.toBuffer());
}

export const jpeg = (pixels: Pixels, orientation = 1): Promise<Bytes> =>
  encoded(
    toSharp(pixels).removeAlpha().withMetadata({ orientation }).jpeg({ quality: 95, chromaSubsampling: '4:4:4' }),
  );

export const png = (pixels: Pixels): Promise<Bytes> => encoded(toSharp(pixels).png());

export const cmykJpeg = (pixels: Pixels): Promise<Bytes> =>
  encoded(toSharp(pixels).removeAlpha().toColourspace('cmyk').jpeg({ quality: 95 }));

/** Frames one below the other, as libvips keeps them. */
async function animation(frames: readonly Pixels[]): Promise<Sharp> {
  const files = await Promise.all(frames.map((frame) => png(frame)));
  return sharp(files.map(Buffer.from), { join: { animated: true } });
}

export const animatedWebp = async (frames: readonly Pixels[]): Promise<Bytes> =>
  encoded((await animation(frames)).webp({ lossless: true, loop: 0, delay: frames.map(() => 100) }));

export const animatedGif = async (frames: readonly Pixels[]): Promise<Bytes> =>
  encoded((await animation(frames)).gif({ loop: 0, delay: frames.map(() => 100) }));

/** 24 bits a pixel, from the bottom, as Windows' Paint writes. */
export function bmp({ width, height, data }: Pixels): Bytes {
  const stride = (3 * width + 3) & ~3;
  const bytes = new Uint8Array(54 + stride * height);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  view.setUint32(2, bytes.length, true);
  view.setUint32(10, 54, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, width, true);
  view.setInt32(22, height, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = 4 * ((height - 1 - y) * width + x);
      bytes.set([data[at + 2]!, data[at + 1]!, data[at]!], 54 + y * stride + 3 * x);
    }
  }
  return bytes;
}

/** The header of a PNG that states a size, and nothing of its pixels but an empty part. */
export function statedPng(width: number, height: number): Bytes {
  const bytes = new Uint8Array(57);
  const view = new DataView(bytes.buffer);
  bytes.set([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const chunk = (at: number, type: string, length: number): void => {
    view.setUint32(at, length);
    [...type].forEach((letter, i) => view.setUint8(at + 4 + i, letter.charCodeAt(0)));
  };
  chunk(8, 'IHDR', 13);
  view.setUint32(16, width);
  view.setUint32(20, height);
  bytes.set([8, 2], 24);
  chunk(33, 'IDAT', 0);
  chunk(45, 'IEND', 0);
  return bytes;
}

/** An ISO media box. */
function box(type: string, ...contents: (number[] | Uint8Array)[]): Uint8Array {
  const length = 8 + contents.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(length);
  new DataView(bytes.buffer).setUint32(0, length);
  [...type].forEach((letter, i) => (bytes[4 + i] = letter.charCodeAt(0)));
  let at = 8;
  for (const part of contents) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const letters = (text: string): number[] => Array.from(text, (letter) => letter.charCodeAt(0));
const long = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];

/** The boxes of an iPhone's HEIC around no pixels: a tile's size before the whole picture's, and a quarter turn. */
export function heicHead(width: number, height: number): Bytes {
  const ispe = (w: number, h: number): Uint8Array => box('ispe', long(0), long(w), long(h));
  const meta = box(
    'meta',
    long(0),
    box('pitm', long(0), [0, 49]),
    box(
      'iprp',
      box('ipco', ispe(512, 512), ispe(width, height), box('irot', [1])),
      // Item 1 has the tile's size, item 49 the whole's and the turn.
      box('ipma', long(0), long(2), [0, 1, 1, 1], [0, 49, 2, 2, 3]),
    ),
  );
  const parts = [box('ftyp', letters('heic'), long(0), letters('mif1heic')), meta, box('mdat', new Uint8Array(64))];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export function sourceFile(name: string, content: Uint8Array | string): SourceFile {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  return {
    name,
    size: bytes.length,
    stream: () => new Blob([bytes as Bytes]).stream() as ReadableStream<Uint8Array>,
  };
}

/** The mean colour of a part of some pixels, 0 to 1 each way. */
export function meanColour(pixels: Pixels, x0: number, y0: number, x1: number, y1: number): [number, number, number] {
  const sum: [number, number, number] = [0, 0, 0];
  let count = 0;
  for (let y = Math.floor(y0 * pixels.height); y < Math.ceil(y1 * pixels.height); y++) {
    for (let x = Math.floor(x0 * pixels.width); x < Math.ceil(x1 * pixels.width); x++) {
      for (let c = 0; c < 3; c++) sum[c]! += pixels.data[4 * (y * pixels.width + x) + c]!;
      count++;
    }
  }
  return [sum[0] / count, sum[1] / count, sum[2] / count];
}

/** Small buckets, for small pictures. */
export const SMALL: PictureImportOptions = { buckets: { resolution: 64, step: 8 } };

/** Imports pictures as dropping them does, decoded in Node. */
export const take = (
  files: readonly SourceFile[],
  options: Partial<PictureImportOptions> = {},
  decoder = nodePictureDecoder,
) => importPictures(files, decoder, { ...SMALL, ...options });
