import { describe, expect, it } from 'vitest';
import { cropAround, middleOf, proposeMiddle } from '../../../src/datasets/look/crop.ts';
import { guessFraming } from '../../../src/datasets/look/framing.ts';
import { nearGroups, reassessPictures, unlikeOthers } from '../../../src/datasets/look/judge.ts';
import {
  areNear,
  colourDistance,
  colourShares,
  differenceHash,
  hashDistance,
  lookOf,
  sharpnessOf,
} from '../../../src/datasets/look/measures.ts';
import { countAdvice, pictureQuality } from '../../../src/datasets/look/quality.ts';
import { scaledPixels } from '../../../src/datasets/look/resample.ts';
import type { PictureRow, Pixels } from '../../../src/datasets/look/types.ts';
import { nodePictureDecoder } from '../../../src/headless/look/pictures.ts';
import { sniffPicture } from '../../../src/datasets/look/sniff.ts';
import { encoded, paint, scene, seeded, toSharp } from '../../support/pictures.ts';

const SQUARE: [number, number] = [512, 512];

async function blurred(pixels: Pixels, sigma: number): Promise<Pixels> {
  const bytes = await encoded(toSharp(pixels).removeAlpha().blur(sigma).png());
  return nodePictureDecoder.decode(bytes, sniffPicture(bytes).info!, { shortSide: 9999 });
}

/** Soft light and spots with sharp edges, as photos have. */
function photo(seed: number): Pixels {
  const random = seeded(seed);
  const spots = Array.from(
    { length: 30 },
    () => [random(), random(), 0.02 + 0.1 * random(), 60 + 180 * random()] as const,
  );
  return paint(320, 320, (x, y) => {
    let value = 120 + 60 * Math.sin(3 * x + 2 * y);
    for (const [u, v, r, light] of spots) if ((x - u) ** 2 + (y - v) ** 2 < r * r) value = light;
    return [value, value * 0.9, value * 0.7];
  });
}

let made = 0;
function row(fields: Partial<PictureRow> = {}): PictureRow {
  made++;
  const width = fields.width ?? 1000;
  const height = fields.height ?? 1000;
  return {
    id: `${made}`,
    file: `${made}.jpg`,
    width,
    height,
    crop: { x: 0, y: 0, width, height },
    cropByHand: false,
    bucket: SQUARE,
    caption: '',
    captionByHand: false,
    repeats: 1,
    // Far from each other: a multiple of a large odd number fills the bits.
    hash: BigInt.asUintN(64, BigInt(made) * 0x9e3779b97f4a7c15n)
      .toString(16)
      .padStart(16, '0'),
    sharpness: 300,
    framing: 'half',
    warnings: [],
    masked: false,
    colours: [1, 0, 0],
    ...fields,
  };
}

const settle = (rows: PictureRow[]) => reassessPictures(rows, { resolution: 512 });
const warned = (rows: PictureRow[], warning: PictureRow['warnings'][number]) =>
  settle(rows).map(({ warnings }) => warnings.includes(warning));

describe('near pictures', () => {
  it('are told by their hash: scaled, recompressed, brightened, cut a little; not others', async () => {
    for (const seed of [1, 2, 3]) {
      const picture = photo(seed);
      const own = differenceHash(picture);
      const change = async (image: ReturnType<typeof toSharp>) => {
        const bytes = await encoded(image.jpeg({ quality: 40 }));
        return differenceHash(await nodePictureDecoder.decode(bytes, sniffPicture(bytes).info!, { shortSide: 9999 }));
      };
      const opaque = () => toSharp(picture).removeAlpha();
      expect(areNear(own, await change(opaque().resize(150, 150)))).toBe(true);
      expect(areNear(own, await change(opaque().modulate({ brightness: 1.2 })))).toBe(true);
      expect(areNear(own, await change(opaque().extract({ left: 3, top: 3, width: 313, height: 313 })))).toBe(true);
      expect(areNear(own, await change(opaque().flop()))).toBe(false);
      for (const other of [4, 5, 6]) expect(areNear(own, differenceHash(photo(other)))).toBe(false);
    }
  });

  it('count bits', () => {
    expect(hashDistance('0000000000000000', 'ffffffffffffffff')).toBe(64);
    expect(hashDistance('8000000000000001', '0000000000000000')).toBe(2);
    // The same distance is near where much differs anyway, and not where little does.
    expect(areNear('ffffffff00000000', 'ffffffff00000007')).toBe(true);
    expect(areNear('0000000000000007', '0000000000000000')).toBe(false);
    expect(areNear('0000000000000000', '0000000000000000')).toBe(true);
  });

  it('form groups, chains included', () => {
    const [a, b, c] = ['ffffffff00000000', 'ffffffff0000001f', 'ffffffff000003ff'];
    expect(areNear(a!, c!)).toBe(false);
    expect(nearGroups(['0f0f0f0f0f0f0f0f', a!, c!, b!])).toEqual([[1, 2, 3]]);
    expect(warned([row({ hash: a! }), row(), row({ hash: b! })], 'nearly the same')).toEqual([true, false, true]);
  });
});

describe('sharpness', () => {
  it('falls with blur, and warns of it', async () => {
    const values = [sharpnessOf(lookOf(photo(1)))];
    for (const sigma of [1, 2, 4]) values.push(sharpnessOf(lookOf(await blurred(photo(1), sigma))));
    for (let i = 1; i < values.length; i++) expect(values[i]).toBeLessThan(values[i - 1]! / 1.5);
    const rows = values.map((sharpness) => row({ sharpness }));
    expect(warned(rows, 'blurred')[0]).toBe(false);
    expect(warned(rows, 'blurred')[3]).toBe(true);
  });

  it('is that of the formula', () => {
    // A single bright pixel: its own Laplacian 4 v, of four neighbours -v, of the rest 0.
    const dot = paint(9, 9, (x, y) =>
      Math.floor(x * 9) === 4 && Math.floor(y * 9) === 4 ? [100, 100, 100] : [0, 0, 0],
    );
    expect(sharpnessOf(dot)).toBeCloseTo(((16 + 4) * 1e4) / 49, 2);
    expect(sharpnessOf(paint(50, 50, () => [90, 20, 7]))).toBeCloseTo(0, 6);
    expect(sharpnessOf(paint(2, 2, () => [1, 1, 1]))).toBe(0);
  });

  it('is judged by what is usual in the set where that has much detail', () => {
    const detailed = Array.from({ length: 6 }, () => row({ sharpness: 700 }));
    expect(warned([...detailed, row({ sharpness: 100 })], 'blurred').at(-1)).toBe(true);
    expect(warned([...detailed, row({ sharpness: 150 })], 'blurred').at(-1)).toBe(false);
    expect(warned([row({ sharpness: 100 })], 'blurred')).toEqual([false]);
  });
});

describe('colours', () => {
  it('are shares of the middle', () => {
    const red = colourShares(paint(60, 60, (x) => (x < 0.5 ? [220, 20, 20] : [128, 128, 128])));
    expect(red.length).toBe(19);
    expect(red.filter((value) => value > 0)).toEqual([0.5, 0.5]);
    const blue = colourShares(paint(60, 60, () => [20, 20, 220]));
    expect(colourDistance(red, blue)).toBeCloseTo(1, 6);
    expect(colourDistance(red, red)).toBe(0);
  });

  it('single out the one that is unlike all others, in sets that are large enough', () => {
    const green = [0.8, 0.2, 0];
    const own = [0, 0.1, 0.9];
    expect(unlikeOthers([green, green, green, green, green, own])).toEqual([false, false, false, false, false, true]);
    expect(unlikeOthers([green, green, own])).toEqual([false, false, false]);
    // Where all differ, none is unlike the others.
    const all = Array.from({ length: 6 }, (_, i) => Array.from({ length: 6 }, (__, k) => (i === k ? 1 : 0)));
    expect(unlikeOthers(all)).toEqual(all.map(() => false));
  });
});

describe('settling', () => {
  it('warns of pictures that must be enlarged and of very long ones', () => {
    const rows = [
      row({ width: 370, height: 370 }),
      row({ width: 400, height: 400 }),
      row({ width: 3000, height: 1000 }),
    ];
    expect(warned(rows, 'too small')).toEqual([true, false, false]);
    expect(warned(rows, 'very long or wide')).toEqual([false, false, true]);
  });

  it('keeps a crop by hand and the middle of the others when the resolution changes', () => {
    const by = row({ width: 1600, height: 900, crop: { x: 5, y: 6, width: 300, height: 500 }, cropByHand: true });
    const own = row({ width: 1600, height: 900, crop: { x: 700, y: 0, width: 900, height: 900 } });
    const [hand, free] = reassessPictures([by, own], { resolution: 64, step: 8 });
    expect(hand).toMatchObject({ crop: by.crop, bucket: [48, 80] });
    expect(free!.bucket).toEqual([80, 48]);
    expect(free!.crop.height).toBe(900);
    expect(free!.crop.x + free!.crop.width).toBe(1600);
    expect(middleOf(free!)[1]).toBe(0.5);
  });

  it('changes nothing the second time', () => {
    const once = settle(Array.from({ length: 9 }, (_, i) => row({ width: 600 + 97 * i, height: 800 })));
    expect(settle(once)).toEqual(once);
  });
});

describe('proposed crops', () => {
  it('follow what stands out, and stay in the middle of what is even', async () => {
    const at = (middle: number) =>
      lookOf(
        paint(800, 300, (x, y) =>
          Math.hypot((x - middle) * 800, (y - 0.5) * 300) < 90
            ? [230, 160, 130 + 90 * Math.sin(90 * x)]
            : [120, 125, 130],
        ),
      );
    const left = await proposeMiddle(at(0.2), SQUARE);
    const right = await proposeMiddle(at(0.8), SQUARE);
    expect(left[0]).toBeLessThan(0.35);
    expect(right[0]).toBeGreaterThan(0.65);
    expect(left[1]).toBeCloseTo(0.5, 1);
    expect(
      await proposeMiddle(
        paint(300, 100, () => [90, 90, 90]),
        SQUARE,
      ),
    ).toEqual([0.5, 0.5]);
    expect(await proposeMiddle(paint(64, 64, scene(1)), SQUARE)).toEqual([0.5, 0.5]);
  });

  it('hold the bucket’s shape, whatever the picture', async () => {
    for (const [width, height] of [
      [1, 1],
      [3, 700],
      [2000, 20],
      [17, 18],
    ] as const) {
      const look = scaledPixels(paint(width, height, scene(2)), width, height);
      const middle = await proposeMiddle(look, [64, 48]);
      const crop = cropAround({ width, height }, [64, 48], middle);
      expect(crop.x >= 0 && crop.y >= 0 && crop.x + crop.width <= width && crop.y + crop.height <= height).toBe(true);
      expect(crop.width === width || crop.height === height).toBe(true);
    }
  });
});

describe('framing', () => {
  const ball = (radius: number) =>
    paint(200, 200, (x, y) =>
      Math.hypot(x - 0.5, y - 0.6) < radius ? [200, 60, 50] : [90 + 30 * x, 140, 160 - 20 * y],
    );
  it('is guessed from what differs from the edge', () => {
    expect(guessFraming(ball(0.44))).toBe('close');
    expect(guessFraming(ball(0.3))).toBe('half');
    expect(guessFraming(ball(0.15))).toBe('full');
    expect(guessFraming(ball(0.01))).toBe('unknown');
    expect(guessFraming(paint(100, 100, () => [50, 60, 70]))).toBe('unknown');
    const random = seeded(3);
    expect(guessFraming(paint(40, 40, () => [255 * random(), 255 * random(), 255 * random()]))).toBe('unknown');
  });
});

describe('quality in words', () => {
  it('says how much there is and what would help most', () => {
    expect(pictureQuality([]).amount).toBe('No pictures yet; 10 to 40 are usual.');
    const few = pictureQuality(settle([row(), row(), row()]));
    expect(few.amount).toMatch(/^There are 3 pictures; 10 to 40 are usual\. With so few/);
    expect(few.advice[0]).toMatch(/^Add 7 pictures or more that show something new/);
    const twelve = Array.from({ length: 12 }, (_, i) => row({ framing: i === 0 ? 'half' : 'close' }));
    const alike = pictureQuality(settle(twelve));
    expect(alike.amount).toBe('12 pictures; 10 to 40 are usual.');
    expect(alike.advice).toEqual([expect.stringMatching(/framed alike; some from further away/)]);
    expect(alike.framings).toEqual({ close: 11, half: 1, full: 0, unknown: 0 });
    expect(countAdvice(40)).toBeNull();
    expect(countAdvice(61)).toMatch(/There are 61 pictures/);
    expect(countAdvice(1)).toMatch(/^There is 1 picture;/);
  });

  it('counts what is wrong', () => {
    const near = Array.from({ length: 3 }, () => row({ hash: 'ffffffff00000000' }));
    const rows = settle([
      ...near,
      row({ sharpness: 3, repeats: 4 }),
      row({ width: 200, height: 200 }),
      ...Array.from({ length: 8 }, () => row()),
    ]);
    const quality = pictureQuality(rows);
    expect(quality).toMatchObject({
      pictures: 13,
      seen: 16,
      repeatsOfOthers: 2,
      blurred: 1,
      tooSmall: 1,
      veryDifferent: 0,
    });
    expect(quality.advice.join(' ')).toMatch(/2 pictures are nearly the same as another \(one group\)/);
    expect(quality.advice.join(' ')).toMatch(/1 picture is blurred/);
    expect(quality.advice.join(' ')).toMatch(/1 picture is smaller than the size trained at/);
  });
});
