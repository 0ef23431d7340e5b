import { beforeAll, expect, test } from 'vitest';
import { Device } from '../../src/engine/device.ts';
import { conv2d, conv2dBackward, conv2dCandidates, conv2dProduct } from '../../src/engine/kernels/conv2d.ts';
import { KernelChoices, conv2dKey } from '../../src/engine/kernels/choices.ts';
import { fold, unfold, upsampleNearest, upsampleNearestBackward } from '../../src/engine/kernels/conv2d_pixels.ts';
import type { KernelCall, KernelFamily } from '../../src/engine/kernels/kernel.ts';
import type { WeightType } from '../../src/engine/weight-formats.ts';
import type { Variant } from '../../src/engine/kernels/matmul_variants.ts';
import { runKernels } from '../../src/engine/kernels/run.ts';
import { SHADERS } from 'virtual:shaders';
import { tune } from '../../src/engine/tuner.ts';
import type { Conv } from '../support/conv.ts';
import {
  conv2dBackwardReference,
  conv2dReference,
  describeConv,
  eachTap,
  outputOf,
  pixelsOf,
  randomConv,
} from '../support/conv.ts';
import { testGpu } from '../support/gpu.ts';
import { expectSame } from '../support/kernels.ts';
import { packWeights, relativeError } from '../support/matmul.ts';
import type { Random } from '../support/matmul.ts';
import { seeded, sweeping } from '../support/seeds.ts';

// As for matmul: f32 sums of K products.
const bound = (k: number): number => 2e-7 * Math.sqrt(k + 16);

const families: KernelFamily[] = ['cpu', 'gpu'];
const devices = new Map<KernelFamily, Device>();

beforeAll(async () => {
  for (const family of families) devices.set(family, await Device.open(await testGpu(), { family }));
  console.log(`conv2d: adapter ${devices.get('cpu')!.info.description}`);
});

type Data = Record<string, Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>;

async function run(family: KernelFamily, calls: KernelCall<string>[], data: Data, read: string) {
  const { results } = await runKernels(devices.get(family)!, SHADERS, calls, data, [read]);
  return results[read]!;
}

const furthest = (got: Float32Array, expected: Float64Array): number =>
  got.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);

const nothing = (length: number) => new Float32Array(length).fill(NaN);

const same: Conv['padding'] = [1, 1, 1, 1];
const three: Conv['kernel'] = [3, 3];
const square = (size: number, channels: number, outChannels: number, rest: Partial<Conv> = {}): Conv => ({
  images: 1,
  height: size,
  width: size,
  kernel: three,
  stride: 1,
  padding: same,
  channels,
  outChannels,
  ...rest,
});

/** What a Stable Diffusion has, small; then anything. */
const cases: Conv[] = [
  square(1, 4, 8),
  square(1, 1, 1, { kernel: [1, 1], padding: [0, 0, 0, 0] }),
  square(7, 3, 20, { images: 2 }),
  square(6, 20, 4),
  square(9, 12, 3, { width: 5 }),
  square(8, 16, 16, { images: 3, stride: 2 }),
  // The VAE pads its downsampling below and right alone.
  square(10, 8, 12, { stride: 2, padding: [0, 0, 1, 1] }),
  square(7, 8, 12, { images: 2, stride: 2, padding: [0, 0, 1, 1] }),
  square(8, 24, 20, { kernel: [1, 1], stride: 2, padding: [0, 0, 0, 0] }),
  square(12, 36, 68, { width: 13 }),
];
const weightTypes: WeightType[] = ['f32', 'bf16', 'f16'];

/** The usual variant, and for one case another, drawn anew: compiling takes most of the time, and a sweep leaves it out. */
function some(shapes: Random, [usual, ...others]: Variant[], more: boolean): Variant[] {
  return more && !sweeping ? [usual!, others[shapes.int(0, others.length - 1)]!] : [usual!];
}

type Way = [name: string, conv: Conv, types: WeightType[]];

for (const family of families) {
  seeded.each(
    // The first picture in all three types; the others as f32, and one of the drawn ones in another.
    cases.map((conv, i): Way => [describeConv(conv), conv, i === 0 ? weightTypes : ['f32']]),
    ...[false, false, true].map((packed) => (sizes: Random): Way => {
      const conv = randomConv(sizes);
      return [describeConv(conv), conv, [packed ? weightTypes[sizes.int(1, 2)]! : 'f32']];
    }),
  )(`conv2d, both ways, ${family} family: %s`, async ({ random, shapes }, [name, conv, types]) => {
    const { target } = devices.get(family)!;
    const { channels, outChannels, images } = conv;
    const pixels = pixelsOf(conv);
    const k = conv.kernel[0] * conv.kernel[1] * channels;
    for (const weightType of types) {
      const shape = { ...conv, weightType };
      const x = random.normal(pixels.x * channels);
      const { packed, values: w } = packWeights(random.normal(outChannels * k), weightType);
      const bias = random.normal(outChannels);
      const imageBias = random.normal(images * outChannels);
      const residual = random.normal(pixels.y * outChannels);
      const perImage = pixels.y / images;
      const expected = conv2dReference(conv, x, w).map((sum, i) => {
        const image = Math.floor(i / outChannels / perImage);
        return sum + bias[i % outChannels]! + imageBias[image * outChannels + (i % outChannels)]! + residual[i]!;
      });
      const ways = conv2dCandidates('conv2d', shape, target);
      for (const variant of some(shapes, ways, outChannels === 68)) {
        const call = conv2d<string>(
          { x: 'x', w: 'w', y: 'y', bias: 'bias', imageBias: 'imageBias', residual: 'residual' },
          shape,
          target,
          variant,
        );
        const data = { x, w: packed, bias, imageBias, residual, y: nothing(expected.length) };
        const y = await run(family, [call], data, 'y');
        expect(relativeError(y, expected, k), `${name}, ${weightType} ${variant.name}`).toBeLessThan(bound(k));
      }

      const dy = random.normal(pixels.y * outChannels);
      const add = random.normal(pixels.x * channels);
      const dx = conv2dBackwardReference(conv, dy, w).map((sum, i) => sum + add[i]!);
      const terms = conv.kernel[0] * conv.kernel[1] * outChannels;
      const back = conv2dCandidates('conv2dBackward', shape, target);
      for (const variant of some(shapes, back, outChannels === 68)) {
        const call = conv2dBackward<string>({ dy: 'dy', w: 'w', dx: 'dx', residual: 'add' }, shape, target, variant);
        const got = await run(family, [call], { dy, w: packed, add, dx: nothing(dx.length) }, 'dx');
        expect(relativeError(got, dx, terms), `${name}, ${weightType} ${variant.name}`).toBeLessThan(bound(terms));
      }
    }
  });

  seeded(`nothing outside of a picture is read, ${family} family`, async ({ random }) => {
    // Infinities in the neighbouring image, and in the last columns of the row above: zero times infinity would show.
    const { target } = devices.get(family)!;
    const conv = square(5, 8, 8, { images: 3 });
    const shape = { ...conv, weightType: 'f32' as const };
    const x = random.normal(pixelsOf(conv).x * conv.channels);
    const plane = conv.height * conv.width * conv.channels;
    const w = random.normal(conv.outChannels * 9 * conv.channels);
    const expected = conv2dReference(conv, x, w).slice(plane, 2 * plane);
    const spoilt = x.map((value, i) => (i < plane || i >= 2 * plane ? Infinity : value));
    const forward = conv2d<string>({ x: 'x', w: 'w', y: 'y' }, shape, target);
    const y = await run(family, [forward], { x: spoilt, w, y: nothing(x.length) }, 'y');
    expect(relativeError(y.slice(plane, 2 * plane), expected, 72)).toBeLessThan(bound(72));
    const backward = conv2dBackward<string>({ dy: 'x', w: 'w', dx: 'dx' }, shape, target);
    const dx = await run(family, [backward], { x: spoilt, w, dx: nothing(x.length) }, 'dx');
    const expectedDx = conv2dBackwardReference(conv, x, w).slice(plane, 2 * plane);
    expect(relativeError(dx.slice(plane, 2 * plane), expectedDx, 72)).toBeLessThan(bound(72));
  });

  seeded(
    `parts of a weight write their channels of one y, and add into one dx, ${family} family`,
    async ({ random }) => {
      const { target } = devices.get(family)!;
      for (const [conv, widths] of [
        [square(6, 12, 40, { images: 2 }), [8, 12, 20]],
        [square(5, 7, 17, { stride: 2 }), [3, 8, 6]],
      ] as const) {
        const { channels, outChannels } = conv;
        const pixels = pixelsOf(conv);
        const k = 9 * channels;
        const x = random.normal(pixels.x * channels);
        const w = random.normal(outChannels * k);
        const dy = random.normal(pixels.y * outChannels);
        const imageBias = random.normal(conv.images * outChannels);
        const data: Data = { x, dy, imageBias, y: nothing(dy.length), dx: nothing(x.length) };
        const forward: KernelCall<string>[] = [];
        const backward: KernelCall<string>[] = [];
        let start = 0;
        widths.forEach((width, i) => {
          data[`w${i}`] = w.slice(start * k, (start + width) * k);
          const shape = { ...conv, outChannels: width, weightType: 'f32' as const };
          const y = { ...shape, yOffset: start, yStride: outChannels };
          forward.push(conv2d<string>({ x: 'x', w: `w${i}`, y: 'y', imageBias: 'imageBias' }, y, target));
          const back = { ...shape, dyOffset: start, dyStride: outChannels, accumulate: i > 0 };
          backward.push(conv2dBackward<string>({ dy: 'dy', w: `w${i}`, dx: 'dx' }, back, target));
          start += width;
        });
        const perImage = pixels.y / conv.images;
        const expected = conv2dReference(conv, x, w).map(
          (sum, i) => sum + imageBias[Math.floor(i / outChannels / perImage) * outChannels + (i % outChannels)]!,
        );
        expect(relativeError(await run(family, forward, data, 'y'), expected, k)).toBeLessThan(bound(k));
        const dx = conv2dBackwardReference(conv, dy, w);
        expect(relativeError(await run(family, backward, data, 'dx'), dx, 9 * outChannels)).toBeLessThan(
          bound(9 * outChannels),
        );
      }
    },
  );

  seeded(`without subgroups, ${family} family`, async ({ random }) => {
    const target = { ...devices.get(family)!.target, subgroups: false };
    const conv = square(5, 8, 12, { stride: 2 });
    const shape = { ...conv, weightType: 'f32' as const };
    const x = random.normal(pixelsOf(conv).x * 8);
    const dy = random.normal(pixelsOf(conv).y * 12);
    const w = random.normal(12 * 72);
    const forward = conv2d<string>({ x: 'x', w: 'w', y: 'y' }, shape, target);
    const y = await run(family, [forward], { x, w, y: nothing(dy.length) }, 'y');
    expect(relativeError(y, conv2dReference(conv, x, w), 72)).toBeLessThan(bound(72));
    const backward = conv2dBackward<string>({ dy: 'dy', w: 'w', dx: 'dx' }, shape, target);
    const dx = await run(family, [backward], { dy, w, dx: nothing(x.length) }, 'dx');
    expect(relativeError(dx, conv2dBackwardReference(conv, dy, w), 108)).toBeLessThan(bound(108));
  });

  seeded(`unfold and fold, ${family} family`, async ({ random, shapes }) => {
    for (const conv of [...cases, ...Array.from({ length: 3 }, () => randomConv(shapes))]) {
      const { channels } = conv;
      const note = describeConv(conv);
      const pixels = pixelsOf(conv);
      const taps = conv.kernel[0] * conv.kernel[1];
      const x = random.normal(pixels.x * channels);
      const dy = random.normal(pixels.y * taps * channels);
      const add = random.normal(x.length);
      const unfolded = new Float32Array(dy.length);
      const folded = Float64Array.from(add);
      eachTap(conv, (out, pixel, tap) => {
        for (let c = 0; c < channels; c++) {
          const at = (out * taps + tap) * channels + c;
          unfolded[at] = x[pixel * channels + c]!;
          folded[pixel * channels + c]! += dy[at]!;
        }
      });
      const y = await run(family, [unfold<string>(conv, { x: 'x', y: 'y' })], { x, y: nothing(dy.length) }, 'y');
      expectSame(y, unfolded, note);
      const dx = await run(
        family,
        [fold<string>(conv, { dy: 'dy', dx: 'dx', add: 'add' })],
        { dy, add, dx: nothing(x.length) },
        'dx',
      );
      // At most 16 taps and what is added: 17 roundings of sums that stay under 60.
      expect(furthest(dx, folded), note).toBeLessThan(17 * 60 * 2 ** -24);
    }
  });

  seeded(`upsampling and its gradient, ${family} family`, async ({ random, shapes }) => {
    for (const [images, height, width, channels] of [
      [1, 1, 1, 1],
      [2, 3, 5, 4],
      [3, 4, 2, 7],
      [shapes.int(1, 3), shapes.int(1, 9), shapes.int(1, 9), shapes.int(1, 20)],
    ] as const) {
      const shape = { images, height, width, channels };
      const note = Object.values(shape).join();
      const x = random.normal(images * height * width * channels);
      const dy = random.normal(4 * x.length);
      const add = random.normal(x.length);
      const up = new Float32Array(dy.length);
      const down = Float64Array.from(add);
      up.forEach((_, i) => {
        const pixel = Math.floor(i / channels);
        const [image, row] = [Math.floor(pixel / (4 * height * width)), Math.floor(pixel / (2 * width)) % (2 * height)];
        const from = (image * height + (row >> 1)) * width + ((pixel % (2 * width)) >> 1);
        up[i] = x[from * channels + (i % channels)]!;
        down[from * channels + (i % channels)]! += dy[i]!;
      });
      expectSame(
        await run(family, [upsampleNearest<string>(shape, { x: 'x', y: 'y' })], { x, y: nothing(dy.length) }, 'y'),
        up,
        note,
      );
      const call = upsampleNearestBackward<string>(shape, { dy: 'dy', dx: 'dx', add: 'add' });
      const dx = await run(family, [call], { dy, add, dx: nothing(x.length) }, 'dx');
      // Four pixels and what is added: 5 roundings of sums that stay under 30.
      expect(furthest(dx, down), note).toBeLessThan(5 * 30 * 2 ** -24);
    }
  });
}

seeded('the size of the result is that of torch', ({ random }) => {
  for (let i = 0; i < 50; i++) {
    const conv = randomConv(random);
    const { y } = pixelsOf(conv);
    expect(conv2dProduct({ ...conv, weightType: 'f32' }).m).toBe(y);
    expect(outputOf(conv).height).toBeGreaterThan(0);
  }
});

test('the tuner times a convolution on a graphics card, keeps the fastest tile and frees what it held', async () => {
  // A device of its own that says it is small: the large tiles take long to compile.
  const device = await Device.open(await testGpu(), { family: 'gpu' });
  const { choices, target } = device;
  Object.assign(target, { maxInvocations: 128 });
  const before = device.allocatedBytes;
  const shape = { ...square(6, 8, 8, { stride: 2, padding: [0, 0, 1, 1] }), weightType: 'f32' as const };
  const ways = conv2dCandidates('conv2d', shape, target).map(({ name }) => name);
  expect([...choices.wantedConvolutions.values()]).toEqual([{ op: 'conv2d', shape }]);
  expect(await tune(device)).toBe(true);
  expect(device.allocatedBytes).toBe(before);
  const chosen = choices.chosen.get(conv2dKey('conv2d', shape));
  expect(ways.length).toBeGreaterThan(1);
  expect(ways).toContain(chosen);
  expect(conv2dCandidates('conv2d', shape, target)[0]!.name).toBe(chosen);
  // What an earlier visit measured goes first, whatever it was.
  const kept = new KernelChoices({ [conv2dKey('conv2d', shape)]: ways.at(-1)! });
  expect(conv2dCandidates('conv2d', shape, { ...target, choices: kept })[0]!.name).toBe(ways.at(-1));
  expect(await tune(device)).toBe(false);
});
