import { describe, expect, it } from 'vitest';
import {
  assignBuckets,
  keptShare,
  largestArea,
  makeBuckets,
  nearestBucket,
  trainedArea,
  wholeCrop,
} from '../../../src/datasets/look/buckets.ts';
import { UserError } from '../../../src/common/errors.ts';
import { seeded } from '../../support/pictures.ts';

const text = (buckets: readonly (readonly [number, number])[]): string =>
  buckets.map(([width, height]) => `${width}x${height}`).join(' ');

describe('buckets', () => {
  it('are those of kohya for 512 pixels', () => {
    // sd-scripts, model_util.make_bucket_resolutions((512, 512), 256, 1024, 64)
    expect(text(makeBuckets({ resolution: 512 }))).toBe(
      '256x832 256x896 256x960 256x1024 320x704 320x768 384x640 448x576 512x512 576x448 640x384 704x320 768x320 832x256 896x256 960x256 1024x256',
    );
  });

  it.each([
    { resolution: 64, step: 8, min: 32, max: 128 },
    { resolution: 512, step: 64, min: 256, max: 1024 },
    { resolution: 768, step: 64, min: 384, max: 1536 },
    { resolution: 1024, step: 64, min: 512, max: 2048 },
    { resolution: 500, step: 64, min: 256, max: 1024 },
    { resolution: 96, step: 16, min: 40, max: 200 },
  ])('hold the formula at $resolution pixels in steps of $step', ({ resolution, step, min, max }) => {
    const buckets = makeBuckets({ resolution, step, min, max });
    const all = new Set(buckets.map(String));
    expect(all.size).toBe(buckets.length);
    const side = Math.floor(resolution / step) * step;
    expect(all.has(`${side},${side}`)).toBe(true);
    for (const [width, height] of buckets) {
      expect(width % step).toBe(0);
      expect(height % step).toBe(0);
      expect(width * height).toBeLessThanOrEqual(resolution ** 2);
      expect(Math.min(width, height)).toBeGreaterThanOrEqual(min);
      expect(Math.max(width, height)).toBeLessThanOrEqual(max);
      expect(all.has(`${height},${width}`)).toBe(true);
    }
    // For every width, the largest height that keeps the area and the limits is there.
    for (let width = Math.ceil(min / step) * step; width <= max; width += step) {
      let height = 0;
      for (let tried = step; tried <= max; tried += step) if (width * tried <= resolution ** 2) height = tried;
      expect(all.has(`${width},${height}`)).toBe(height >= min);
    }
  });

  it('of the defaults are half to twice the resolution', () => {
    expect(makeBuckets({ resolution: 1024 })).toEqual(makeBuckets({ resolution: 1024, step: 64, min: 512, max: 2048 }));
  });

  it('refuse settings that allow none', () => {
    expect(() => makeBuckets({ resolution: 32, step: 64 })).toThrow(UserError);
    expect(() => makeBuckets({ resolution: 512, min: 700, max: 600 })).toThrow(/shortest side/);
    expect(() => makeBuckets({ resolution: Number.NaN })).toThrow(UserError);
  });

  it('are chosen by the ratio of width to height', () => {
    const buckets = makeBuckets({ resolution: 512 });
    expect(nearestBucket(4000, 6000, buckets)).toEqual([384, 640]);
    expect(nearestBucket(6000, 4000, buckets)).toEqual([640, 384]);
    expect(nearestBucket(100, 100, buckets)).toEqual([512, 512]);
    expect(nearestBucket(20_000, 1000, buckets)).toEqual([1024, 256]);
    expect(nearestBucket(10, 9000, buckets)).toEqual([256, 1024]);
  });

  it('of one picture are joined where that costs little, and only there', () => {
    const square = Array.from({ length: 4 }, () => ({ width: 1000, height: 1000 }));
    // 1.28 would crop a fifth away in the square one: it stays alone.
    expect(assignBuckets([...square, { width: 1280, height: 1000 }], { resolution: 512 })[4]).toEqual([576, 448]);
    // 1.14 is nearest to 1.286, but the square keeps 88 % against 89 %.
    expect(nearestBucket(1150, 1000, makeBuckets({ resolution: 512 }))).toEqual([576, 448]);
    expect(assignBuckets([...square, { width: 1150, height: 1000 }], { resolution: 512 })[4]).toEqual([512, 512]);
    // Two of a kind stay together.
    const two = [...square, { width: 1150, height: 1000 }, { width: 1160, height: 1000 }];
    expect(assignBuckets(two, { resolution: 512 }).slice(4)).toEqual([
      [576, 448],
      [576, 448],
    ]);
    // Two that are alone in like buckets meet in one of them.
    const pair = assignBuckets(
      [
        { width: 700, height: 1000 },
        { width: 690, height: 1000 },
      ],
      { resolution: 512 },
    );
    expect(pair[0]).toEqual(pair[1]);
  });

  it('never cost more than 8 % by joining, whatever the pictures', () => {
    const seed = 7;
    const random = seeded(seed);
    for (let round = 0; round < 200; round++) {
      const options = round % 2 === 0 ? { resolution: 512 } : { resolution: 64, step: 8 };
      const shapes = Array.from({ length: 1 + Math.floor(random() * 20) }, () => ({
        width: Math.ceil(200 + 3000 * random()),
        height: Math.ceil(200 + 3000 * random()),
      }));
      const own = makeBuckets(options);
      assignBuckets(shapes, options).forEach((bucket, i) => {
        const { width, height } = shapes[i]!;
        const loss = 1 - keptShare(width, height, bucket) / keptShare(width, height, nearestBucket(width, height, own));
        expect(loss, `round ${round} of seed ${seed}`).toBeLessThan(0.08);
      });
    }
  });
});

describe('crops', () => {
  it('are the largest of a shape, near a point, inside', () => {
    const bounds = { x: 10, y: 20, width: 300, height: 200 };
    expect(largestArea(bounds, 1, 160, 120)).toEqual({ x: 60, y: 20, width: 200, height: 200 });
    expect(largestArea(bounds, 1, 0, 0)).toEqual({ x: 10, y: 20, width: 200, height: 200 });
    expect(largestArea(bounds, 1, 999, 999)).toEqual({ x: 110, y: 20, width: 200, height: 200 });
    expect(largestArea(bounds, 3, 160, 999)).toEqual({ x: 10, y: 120, width: 300, height: 100 });
  });

  it('have whole pixels and never leave the picture', () => {
    const seed = 3;
    const random = seeded(seed);
    for (let round = 0; round < 500; round++) {
      const [width, height] = [1 + Math.floor(900 * random()), 1 + Math.floor(900 * random())];
      const area = largestArea({ x: 0, y: 0, width, height }, 0.1 + 4 * random(), width * random(), height * random());
      const crop = wholeCrop(area, width, height);
      for (const value of Object.values(crop))
        expect(Number.isInteger(value), `round ${round} of seed ${seed}`).toBe(true);
      expect(crop.x >= 0 && crop.y >= 0 && crop.width >= 1 && crop.height >= 1).toBe(true);
      expect(crop.x + crop.width <= width && crop.y + crop.height <= height).toBe(true);
    }
  });

  it('are trained in the exact shape of the bucket', () => {
    const crop = { x: 3, y: 5, width: 401, height: 240 };
    const area = trainedArea(crop, [640, 384]);
    expect(area.width / area.height).toBeCloseTo(640 / 384, 12);
    expect(area.height).toBe(240);
    expect(area.x).toBeCloseTo(3 + (401 - 400) / 2, 12);
  });
});
