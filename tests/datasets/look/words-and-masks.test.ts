import { describe, expect, it } from 'vitest';
import { captionOf, fileWords, withTriggerWord } from '../../../src/datasets/look/captions.ts';
import { maskFromPixels, masksAll, maskToLatents, maskToPixels } from '../../../src/datasets/look/masks.ts';
import type { Mask } from '../../../src/datasets/look/masks.ts';
import { CaptionFiles, kohyaFolder, maskedStem, readCaptions, stemOf } from '../../../src/datasets/look/sidecars.ts';
import { UserError } from '../../../src/common/errors.ts';
import { paint, seeded } from '../../support/pictures.ts';

describe('captions', () => {
  it.each([
    ['IMG_2034.jpg', ''],
    ['DSC01234.JPG', ''],
    ['PXL_20240102_123456789.jpg', ''],
    ['WhatsApp Image 2024-01-02 at 10.11.12.jpeg', ''],
    ['red-dress_on beach (2).jpg', 'red dress on beach'],
    ['folder/OnTheSofa.png', 'on the sofa'],
    ['grandma’s garden.png', 'grandma s garden'],
    ["grandma's garden 3.png", "grandma's garden"],
    ['Ärger im Büro.webp', 'ärger im büro'],
    ['00017.png', ''],
  ])('%s says “%s”', (name, words) => {
    expect(fileWords(name)).toBe(words);
  });

  it('are made from a template, and nothing is left over of empty parts', () => {
    expect(captionOf('a photo of {word}', { word: 'sks dog', file: 'x.jpg' })).toBe('a photo of sks dog');
    expect(captionOf('{word}, {file}, photo', { word: 'sks', file: 'in the snow.jpg' })).toBe(
      'sks, in the snow, photo',
    );
    expect(captionOf('{word}, {file}, photo', { word: 'sks', file: 'IMG_1.jpg' })).toBe('sks, photo');
    expect(captionOf('{file}', { word: 'sks', file: 'IMG_1.jpg' })).toBe('');
    expect(captionOf('$& {word}', { word: '$1', file: '' })).toBe('$& $1');
  });

  it.each([
    ['a dog on a sofa', 'sks dog', 'dog', 'sks dog on a sofa'],
    ['The dog and a dogma', 'sks', 'dog', 'sks and a dogma'],
    ['two hotdogs', 'sks', 'dog', 'sks, two hotdogs'],
    ['a man (smiling)', 'o.w.n', 'man', 'o.w.n (smiling)'],
    ['a photo of sks dog', 'sks dog', 'dog', 'a photo of sks dog'],
    ['SKS in the rain', 'sks', '', 'SKS in the rain'],
    ['in the rain', 'sks', '', 'sks, in the rain'],
    ['  ', 'sks', 'dog', 'sks'],
    ['a dog', '', 'dog', 'a dog'],
  ])('“%s” calls “%s” (%s): “%s”', (caption, word, className, expected) => {
    expect(withTriggerWord(caption, word, className)).toBe(expected);
    expect(withTriggerWord(expected, word, className)).toBe(expected);
  });
});

describe('captions in files', () => {
  it('are read in every usual form', () => {
    const expected = [['a.png', 'one']];
    for (const [name, text] of [
      ['metadata.jsonl', '{"file_name":"a.png","text":"one"}\r\n\n'],
      ['x.jsonl', '{"image":"a.png","prompt":" one "}'],
      ['x.json', '[{"file":"a.png","caption":["one","two"]}]'],
      ['x.json', '{"a.png":"one"}'],
      ['x.json', '{"a.png":{"tags":"one"}}'],
      ['x.csv', 'File_Name,other,text\na.png,9,one\n'],
    ] as const) {
      expect([...readCaptions(name, text)], text).toEqual(expected);
    }
  });

  it('that are broken say where', () => {
    expect(() => readCaptions('x.jsonl', '{"file_name":"a","text":"b"}\n{oops')).toThrow(/Line 2 is not valid JSON/);
    expect(() => readCaptions('x.json', '[1, 2]')).toThrow(UserError);
    expect(() => readCaptions('x.csv', '')).toThrow(/No captions were found/);
  });

  it('belong to the pictures beside them', () => {
    const files = new CaptionFiles();
    files.one('a/x.txt', ' one\ntwo ');
    files.many('a/all.json', '{"./sub/y.png":"deep","/home/me/z.png":"far","w":"stem"}');
    expect(files.of('a/x.jpg')).toBe('one two');
    expect(files.of('b/x.jpg')).toBeUndefined();
    expect(files.of('a/sub/y.png')).toBe('deep');
    expect(files.of('a/z.png')).toBe('far');
    expect(files.of('a/w.webp')).toBe('stem');
    expect(files.wasUsed('a/x.txt')).toBe(true);
    expect(files.wasUsed('a/other.txt')).toBe(false);
  });

  it('and folders are named as trainers name them', () => {
    expect(kohyaFolder('set/10_sks dog/a.png')).toEqual({ repeats: 10, words: 'sks dog' });
    expect(kohyaFolder('10_sks dog/a.png')).toEqual({ repeats: 10, words: 'sks dog' });
    for (const path of ['a.png', 'dogs/a.png', '0_x/a.png', '2024_/a.png']) expect(kohyaFolder(path)).toBeNull();
    expect(stemOf('a.b/c')).toBe('a.b/c');
    expect(stemOf('.hidden')).toBe('.hidden');
    expect(maskedStem('set/mask/a.png')).toBe('set/a');
    expect(maskedStem('masks/a.png')).toBe('a');
    expect(maskedStem('a-masklabel.png')).toBe('a');
    expect(maskedStem('masked/a.png')).toBeNull();
  });
});

describe('masks', () => {
  const row = (width: number, height: number, bucket: [number, number]) => ({
    width,
    height,
    crop: { x: 0, y: 0, width, height },
    bucket,
  });

  it('come back from their pixels', () => {
    const random = seeded(1);
    const mask: Mask = { width: 7, height: 5, data: Uint8Array.from({ length: 35 }, () => 256 * random()) };
    expect(maskFromPixels(maskToPixels(mask))).toEqual(mask);
    expect(maskFromPixels(paint(2, 1, (x) => (x < 0.5 ? [255, 255, 255, 0] : [255, 255, 255]))).data).toEqual(
      Uint8Array.of(0, 255),
    );
    expect(masksAll({ width: 2, height: 1, data: Uint8Array.of(0, 0) })).toBe(true);
    expect(masksAll({ width: 2, height: 1, data: Uint8Array.of(0, 1) })).toBe(false);
  });

  it('become the mean over each latent of the crop, at a size of their own', () => {
    // The picture has 64 by 32 pixels, the mask a quarter each way: 16 by 8.
    const mask: Mask = {
      width: 16,
      height: 8,
      data: Uint8Array.from({ length: 128 }, (_, i) => (i % 16 < 5 ? 255 : 0)),
    };
    const weights = maskToLatents(mask, row(64, 32, [64, 32]), 8);
    expect(weights.length).toBe(8 * 4);
    expect([...weights.subarray(0, 8)]).toEqual([1, 1, 0.5, 0, 0, 0, 0, 0]);
    expect([...maskToLatents(mask, row(64, 32, [64, 32]), 8, true).subarray(0, 8)]).toEqual([0, 0, 0, 0, 0, 0.5, 1, 1]);
    const right = { ...row(64, 32, [32, 32]), crop: { x: 16, y: 0, width: 32, height: 32 } };
    expect([...maskToLatents(mask, right, 8).subarray(0, 4)]).toEqual([0.5, 0, 0, 0]);
  });

  it('stay in 0..1 when they are coarser than the latents', () => {
    const mask: Mask = { width: 2, height: 2, data: Uint8Array.of(255, 0, 0, 255) };
    const weights = maskToLatents(mask, row(512, 512, [512, 512]), 8);
    expect(Math.min(...weights)).toBe(0);
    expect(Math.max(...weights)).toBe(1);
  });
});
