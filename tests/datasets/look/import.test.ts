import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { importPictures, PictureImportError, pictureToLine } from '../../../src/datasets/look/import-pictures.ts';
import type { PictureFiles, PictureImportOptions } from '../../../src/datasets/look/import-pictures.ts';
import { sniffPicture } from '../../../src/datasets/look/sniff.ts';
import type { PictureDecoder, PictureRow } from '../../../src/datasets/look/types.ts';
import { UserError } from '../../../src/common/errors.ts';
import { nodePictureDecoder, pictureSourceFiles } from '../../../src/headless/look/pictures.ts';
import type { SourceFile } from '../../../src/datasets/source-file.ts';
import { errorMessage } from '../../../src/worker/errors.ts';
import {
  animatedGif,
  animatedWebp,
  bmp,
  cmykJpeg,
  encoded,
  heicHead,
  jpeg,
  meanColour,
  paint,
  png,
  quarters,
  scene,
  sourceFile,
  statedPng,
  SMALL,
  take,
  toSharp,
} from '../../support/pictures.ts';

const SHARED = resolve(
  process.env['ATHANOR_SHARED'] ?? resolve(import.meta.dirname, '../../../../shared'),
  'data/images',
);
/** Takes one file beside a good one, so that the import itself succeeds; what became of it. */
async function alone(name: string, bytes: Uint8Array, options: Partial<PictureImportOptions> = {}) {
  const good = sourceFile('good.png', await png(paint(96, 96, scene(99))));
  const { rows, report } = await take([sourceFile(name, bytes), good], options);
  return {
    row: rows.find(({ file }) => file === name),
    file: report.files.find((file) => file.name === name)!,
    leftOut: report.leftOut.find(({ file }) => file === name),
  };
}

describe('importing pictures', () => {
  it('makes rows with everything measured, in the order of the files', async () => {
    const files = [
      sourceFile('b.jpg', await jpeg(paint(300, 200, scene(1)), 6)),
      sourceFile('a.png', await png(paint(128, 128, scene(2)))),
    ];
    const progress: number[] = [];
    const { rows, report } = await importPictures(files, nodePictureDecoder, SMALL, ({ fraction }) =>
      progress.push(fraction),
    );
    expect(rows.map(({ file }) => file)).toEqual(['b.jpg', 'a.png']);
    const [turned, square] = rows as [PictureRow, PictureRow];
    expect([turned.width, turned.height]).toEqual([200, 300]);
    expect(turned.bucket).toEqual([48, 80]);
    expect(turned.crop.width / turned.crop.height).toBeCloseTo(48 / 80, 1);
    expect(square).toMatchObject({
      bucket: [64, 64],
      crop: { x: 0, y: 0, width: 128, height: 128 },
      cropByHand: false,
    });
    for (const row of rows) {
      expect(row.id).toMatch(/^[0-9a-f]{64}$/);
      expect(row.hash).toMatch(/^[0-9a-f]{16}$/);
      expect(row.sharpness).toBeGreaterThan(0);
      expect(row).toMatchObject({ caption: '', captionByHand: false, repeats: 1, masked: false });
      expect(row.colours!.reduce((sum, value) => sum + value)).toBeCloseTo(1, 2);
    }
    expect(report).toMatchObject({ kept: 2, skipped: {}, leftOut: [] });
    expect(report.files).toMatchObject([
      { name: 'b.jpg', kind: 'jpeg', rows: 1, width: 200, height: 300 },
      { name: 'a.png', kind: 'png', rows: 1 },
    ]);
    expect(report.warnings).toEqual([expect.stringMatching(/^There are 2 pictures; 10 to 40 are usual/)]);
    expect(progress[0]).toBe(0);
    expect(progress.at(-1)).toBe(1);
  });

  it('keeps a normalised copy without metadata, a thumbnail, and lossless what was drawn', async () => {
    const kept = new Map<string, PictureFiles>();
    const photo = await encoded(
      toSharp(paint(2000, 1800, quarters))
        .removeAlpha()
        .withExif({ IFD0: { Copyright: 'somebody' }, IFD3: { GPSLatitude: '47/1 33/1 0/1' } })
        .withMetadata({ orientation: 6 })
        .jpeg(),
    );
    expect(Buffer.from(photo).includes('somebody') || Buffer.from(photo).includes('Exif')).toBe(true);
    const drawn = paint(100, 90, (x, y) => (x < 0.3 ? [1, 2, 3, 0] : [200 * x, 200 * y, 7]));
    await take(
      [
        sourceFile('photo.jpg', photo),
        sourceFile('drawn.png', await png(drawn)),
        sourceFile('flat.bmp.png', await encoded(toSharp(drawn).flatten({ background: '#fff' }).png())),
      ],
      { keep: (row, files) => void kept.set(row.file, files) },
    );
    const { picture, format, thumbnail, mask } = kept.get('photo.jpg')!;
    expect([format, mask]).toEqual(['jpeg', null]);
    expect(sniffPicture(picture).info).toMatchObject({ kind: 'jpeg', width: 1536, height: 1707, orientation: 1 });
    expect(Buffer.from(picture).includes('Exif')).toBe(false);
    expect(sniffPicture(thumbnail).info).toMatchObject({ kind: 'jpeg', width: 192, height: 214 });
    expect(kept.get('drawn.png')!.format).toBe('png');
    expect(kept.get('flat.bmp.png')!.format).toBe('png');
    const bytes = kept.get('drawn.png')!.picture;
    const back = await nodePictureDecoder.decode(bytes, sniffPicture(bytes).info!, { shortSide: 999 });
    for (let i = 0; i < back.data.length; i += 4) if (back.data[i + 3]) expect(back.data[i]).toBe(drawn.data[i]);
  });

  it('is turned the right way up, whatever the format', async () => {
    const picture = toSharp(paint(160, 96, quarters)).removeAlpha();
    const files = [
      await encoded(picture.clone().withMetadata({ orientation: 6 }).jpeg()),
      await encoded(picture.clone().withMetadata({ orientation: 6 }).webp()),
      await encoded(picture.clone().withMetadata({ orientation: 6 }).avif({ effort: 0 })),
    ];
    const seen: Uint8Array<ArrayBuffer>[] = [];
    await take(
      files.map((bytes, i) => sourceFile(`${i}`, bytes)),
      { keep: (_, { picture: kept }) => void seen.push(kept) },
    );
    expect(seen.length).toBe(3);
    for (const bytes of seen) {
      const pixels = await nodePictureDecoder.decode(bytes, sniffPicture(bytes).info!, { shortSide: 999 });
      expect([pixels.width, pixels.height]).toEqual([96, 160]);
      // Blue was below on the left; a quarter to the right puts it above on the left.
      const [red, , blue] = meanColour(pixels, 0.1, 0.1, 0.4, 0.4);
      expect(blue).toBeGreaterThan(red + 100);
    }
  });

  it('takes all of 300 pictures and says what is usual', async () => {
    const files = await Promise.all(
      Array.from({ length: 300 }, async (_, i) => sourceFile(`${i}.png`, await png(paint(40, 40, scene(i))))),
    );
    const { rows, report } = await take(files);
    expect(rows.length).toBe(300);
    expect(report.warnings).toEqual([
      expect.stringMatching(/^There are 300 pictures; 10 to 40 are usual\. All can be used/),
    ]);
  });

  it('judges new pictures with those that are there, and takes no file twice', async () => {
    const bytes = await png(paint(96, 64, scene(5)));
    const first = await take([sourceFile('one.png', bytes)]);
    const by = { ...first.rows[0]!, crop: { x: 1, y: 2, width: 40, height: 40 }, cropByHand: true };
    const near = await encoded(
      toSharp(paint(192, 128, scene(5)))
        .removeAlpha()
        .jpeg(),
    );
    const second = await take([sourceFile('again.png', bytes), sourceFile('near.jpg', near)], { existing: [by] });
    expect(second.rows.map(({ file }) => file)).toEqual(['one.png', 'near.jpg']);
    expect(second.rows[0]).toMatchObject({ crop: { x: 1, y: 2, width: 40, height: 40 }, bucket: [64, 64] });
    expect(second.rows.map(({ warnings }) => warnings.includes('nearly the same'))).toEqual([true, true]);
    expect(second.report.leftOut).toEqual([
      { file: 'again.png', reason: 'the same file twice', message: 'The same file is there already as one.png.' },
    ]);
  });

  it('keeps what was read where it is stopped, and says nothing of the others', async () => {
    const abort = new AbortController();
    const files = await Promise.all(
      [0, 1, 2].map(async (i) => sourceFile(`${i}.png`, await png(paint(40, 40, scene(i))))),
    );
    const texts = [0, 2].map((i) => sourceFile(`${i}.txt`, Buffer.from(`words of ${i}`)));
    const { rows, report } = await take([...texts, ...files], {
      signal: abort.signal,
      keep: ({ file }) => {
        if (file === '1.png') abort.abort();
      },
    });
    expect(rows.map(({ file, caption }) => [file, caption])).toEqual([
      ['0.png', 'words of 0'],
      ['1.png', ''],
    ]);
    expect(report).toMatchObject({ kept: 2, skipped: {}, leftOut: [], stopped: true });
    expect(report.files.map(({ name, rows: kept }) => [name, kept])).toEqual([
      ['0.txt', 0],
      ['0.png', 1],
      ['1.png', 1],
    ]);
    // What was not read can be dropped again, with what was.
    const rest = await take(files, { existing: rows });
    expect(rest.rows.map(({ file }) => file)).toEqual(['0.png', '1.png', '2.png']);
    expect(rest.report.stopped).toBeUndefined();
  });

  it('is nothing, and nothing is wrong, where it is stopped before the first', async () => {
    const one = sourceFile('1.png', await png(paint(40, 40, scene(1))));
    expect(await take([one], { signal: AbortSignal.abort() })).toMatchObject({
      rows: [],
      report: { files: [], kept: 0, stopped: true },
    });
  });
});

describe('odd files have a clear outcome', () => {
  it('one pixel', async () => {
    const { row, leftOut } = await alone('dot.png', await png(paint(1, 1, () => [1, 2, 3])));
    expect(row).toBeUndefined();
    expect(leftOut?.reason).toBe('too small to learn from');
    expect(leftOut?.message).toMatch(/1 by 1 pixels; training at 64 needs at least 16/);
  });

  it('a panorama of 20,000 pixels', async () => {
    const wide = await encoded(
      sharp({ create: { width: 20_000, height: 900, channels: 3, background: '#357' } }).jpeg({ quality: 60 }),
    );
    const { row, file } = await alone('wide.jpg', wide, { buckets: { resolution: 512 } });
    expect(row).toMatchObject({
      width: 20_000,
      height: 900,
      bucket: [1024, 256],
      warnings: expect.arrayContaining(['very long or wide']) as unknown,
    });
    expect(row!.crop).toMatchObject({ width: 3600, height: 900 });
    expect(file.warnings.join()).toMatch(/very long or wide; only 3600 by 900 pixels/);
  });

  it('a JPEG in printing colours', async () => {
    const { row, file } = await alone('print.jpg', await cmykJpeg(paint(96, 96, quarters)));
    expect(row).toBeDefined();
    expect(file.warnings).toEqual([expect.stringMatching(/CMYK\) and was converted/)]);
  });

  it('what moves', async () => {
    const frames = [paint(96, 96, quarters), paint(96, 96, () => [0, 0, 0])];
    for (const bytes of [await animatedWebp(frames), await animatedGif(frames)]) {
      let picture: Uint8Array<ArrayBuffer> | undefined;
      const { row, file } = await alone('moves', bytes, {
        keep: (kept, files) => {
          if (kept.file === 'moves') ({ picture } = files);
        },
      });
      expect(row).toMatchObject({ width: 96, height: 96 });
      expect(file.warnings).toEqual([expect.stringMatching(/only its first frame/)]);
      const pixels = await nodePictureDecoder.decode(picture!, sniffPicture(picture!).info!, { shortSide: 96 });
      expect(meanColour(pixels, 0.1, 0.1, 0.4, 0.4)[0]).toBeGreaterThan(180);
    }
  });

  it.each<[string, () => Promise<Uint8Array>, string, RegExp]>([
    [
      'notes.jpg',
      () => Promise.resolve(new TextEncoder().encode('just words\n'.repeat(50))),
      'not a picture',
      /holds text/,
    ],
    ['bomb.png', () => Promise.resolve(statedPng(65_000, 65_000)), 'too large', /65000 by 65000/],
    ['lies.png', () => Promise.resolve(statedPng(600, 600)), 'damaged', /seems to be damaged/],
    ['phone.heic', () => Promise.resolve(heicHead(4032, 3024)), 'not readable here', /HEIC.*Most Compatible/],
    [
      'paint.bmp',
      () => Promise.resolve(bmp(paint(64, 64, quarters))),
      'not readable here',
      /BMP picture cannot be opened/,
    ],
    ['half.jpg', async () => (await jpeg(paint(99, 99, scene(1)))).subarray(0, 2500), 'damaged', /breaks off/],
    ['none.jpg', () => Promise.resolve(new Uint8Array()), 'empty', /empty/],
  ])('%s', async (name, make, reason, message) => {
    const { row, leftOut, file } = await alone(name, await make());
    expect(row).toBeUndefined();
    expect(leftOut?.reason).toBe(reason);
    expect(leftOut?.message).toMatch(message);
    expect(file.skipped).toEqual({ [reason]: 1 });
  });

  it('a file that is larger than memory should hold is not read', async () => {
    let read = false;
    const huge: SourceFile = {
      name: 'huge.tif',
      size: 3e9,
      stream: () => {
        read = true;
        return new ReadableStream();
      },
    };
    const { report } = await take([huge, sourceFile('good.png', await png(paint(64, 64, scene(1))))]);
    expect(read).toBe(false);
    expect(report.leftOut).toMatchObject([{ file: 'huge.tif', reason: 'too large' }]);
  });

  it('a stream that gives more than its size said is cut off', async () => {
    let pieces = 0;
    const endless: SourceFile = {
      name: 'endless.jpg',
      size: 10,
      stream: () =>
        new ReadableStream({
          pull(controller) {
            pieces++;
            controller.enqueue(new Uint8Array(16 << 20));
          },
        }),
    };
    await expect(take([endless])).rejects.toThrow(/larger than 256 MB/);
    expect(pieces).toBeLessThan(20);
  });

  it('nothing at all', async () => {
    await expect(take([])).rejects.toThrow(UserError);
    const failed = take([sourceFile('a.txt', 'words'), sourceFile('b.jpg', 'more words')]);
    await expect(failed).rejects.toBeInstanceOf(PictureImportError);
    // The page shows it as it is.
    await failed.catch((error: unknown) => expect(errorMessage(error)).toBe((error as Error).message));
    await expect(failed).rejects.toThrow(/^None of the 2 files is a picture to learn from\. b\.jpg: This holds text/);
  });

  it('a decoder that turns the picture otherwise than its header says is believed', async () => {
    const bytes = await jpeg(paint(200, 100, scene(3)));
    const decoder: PictureDecoder = { ...nodePictureDecoder, decode: () => Promise.resolve(paint(100, 200, scene(3))) };
    const { rows } = await take([sourceFile('a.jpg', bytes)], {}, decoder);
    expect(rows[0]).toMatchObject({ width: 100, height: 200, bucket: [40, 88] });
  });
});

describe('the headless import', () => {
  let folder = '';
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'athanor-pictures-'));
    mkdirSync(join(folder, '3_toy'));
    writeFileSync(join(folder, '3_toy', 'a.png'), await png(paint(700, 500, scene(1))));
    writeFileSync(join(folder, 'b.jpg'), 'words');
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('reads folders in folders, and its lines say what is kept', async () => {
    const files = pictureSourceFiles([folder]);
    const root = basename(folder);
    expect(files.map(({ name }) => name)).toEqual([`${root}/3_toy/a.png`, `${root}/b.jpg`]);
    const { rows, report } = await take(files, { buckets: { resolution: 512 } });
    expect(rows.map((row) => JSON.parse(pictureToLine(row)) as unknown)).toEqual([
      {
        file: 'a.png',
        width: 700,
        height: 500,
        crop: { x: expect.any(Number) as number, y: 0, width: 643, height: 500 },
        bucket: [576, 448],
        warnings: [],
        caption: 'toy',
        repeats: 3,
      },
    ]);
    expect(report).toMatchObject({ kept: 1, skipped: { 'not a picture': 1 } });
    expect(() => pictureSourceFiles([join(folder, 'nowhere')])).toThrow(/There is no file/);
  });
});

if (existsSync(SHARED))
  describe('real photos', () => {
    it.each(['dog6', 'cat2', 'red_cartoon'])('%s', async (name) => {
      const { rows } = await take(pictureSourceFiles([join(SHARED, 'dreambooth', name)]), {
        buckets: { resolution: 512 },
      });
      expect(rows.length).toBeGreaterThanOrEqual(4);
      for (const row of rows) {
        expect(row.bucket).toEqual([512, 512]);
        expect(row.warnings).not.toContain('blurred');
        expect(row.warnings).not.toContain('too small');
      }
    });
  });
