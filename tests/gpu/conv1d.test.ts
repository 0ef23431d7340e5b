import { describe, expect, test } from 'vitest';
import { Graph } from '../../src/engine/graph.ts';
import { conv2dKey } from '../../src/engine/kernels/choices.ts';
import { conv2d, conv2dBackward } from '../../src/engine/kernels/conv2d.ts';
import type { Conv } from '../support/conv.ts';
import { conv2dReference, describeConv, outputOf, pixelsOf } from '../support/conv.ts';
import { FAMILIES, runOn } from '../support/kernels.ts';
import { relativeError } from '../support/matmul.ts';
import type { Random } from '../support/matmul.ts';
import { seeded } from '../support/seeds.ts';

/** As for pictures: f32 sums of k products. */
const bound = (k: number): number => 2e-7 * Math.sqrt(k + 16);

const line = (
  width: number,
  kernel: number,
  channels: number,
  outChannels: number,
  rest: Partial<Conv> = {},
): Conv => ({
  ...{ images: 1, height: 1, width, kernel: [1, kernel], stride: 1, padding: [0, 0, 0, 0] },
  ...{ channels, outChannels },
  ...rest,
});

/** Taps that lie apart, along sound and in pictures. */
const dilated: Conv[] = [
  line(40, 3, 8, 12, { dilation: 9, images: 2, padding: [0, 18, 0, 0] }),
  { ...line(9, 3, 4, 8, { dilation: 3, padding: [2, 3, 1, 0] }), height: 8, kernel: [2, 3] },
];

const anyDilated = (sizes: Random): Conv =>
  line(sizes.int(20, 60), sizes.int(2, 4), sizes.int(1, 9), sizes.int(1, 9), {
    ...{ dilation: sizes.int(2, 6), stride: sizes.int(1, 3), images: sizes.int(1, 3) },
    padding: [0, sizes.int(0, 9), 0, sizes.int(0, 9)],
  });

describe.each(FAMILIES)('convolutions of sound, %s family', (family) => {
  seeded.each(
    dilated.map((conv) => [describeConv(conv), conv] as const),
    (sizes) => ['any', anyDilated(sizes)] as const,
  )('dilated: %s', async ({ random, note }, [_, conv]) => {
    const { channels, outChannels, kernel } = conv;
    const k = kernel[0] * kernel[1] * channels;
    const pixels = pixelsOf(conv);
    const [x, w, bias] = [
      random.normal(pixels.x * channels),
      random.normal(outChannels * k),
      random.normal(outChannels),
    ];
    const { y } = await runOn(
      family,
      (target) => [conv2d({ x: 'x', w: 'w', y: 'y', bias: 'bias' }, { ...conv, weightType: 'f32' }, target)],
      { x, w, bias, y: new Float32Array(pixels.y * outChannels).fill(NaN) },
      ['y'],
    );
    const expected = conv2dReference(conv, x, w).map((sum, i) => sum + bias[i % outChannels]!);
    expect(relativeError(y!, expected, k), note).toBeLessThan(bound(k));
  });

  // torch's conv_transpose1d with a stride, and a kernel of twice that, as decoders of sound have it; some rows cut off.
  seeded.each([
    { length: 7, stride: 5, channels: 8, outChannels: 4, left: 0, right: 5 },
    { length: 6, stride: 4, channels: 12, outChannels: 8, left: 2, right: 2 },
  ])('transposed: $length rows, stride $stride, $channels → $outChannels', async ({ random, note }, c) => {
    const { length, stride, channels, outChannels, left, right } = c;
    const taps = 2 * stride;
    const out = (length - 1) * stride + taps - left - right;
    // The forward convolution that it is the gradient of goes from `outChannels` to `channels`.
    const conv = line(out, taps, outChannels, channels, { stride, padding: [0, left, 0, right] });
    expect(outputOf(conv)).toEqual({ height: 1, width: length });
    const x = random.normal(length * channels);
    const w = random.normal(channels * taps * outChannels);
    const { y } = await runOn(
      family,
      (target) => [conv2dBackward({ dy: 'x', w: 'w', dx: 'y' }, { ...conv, weightType: 'f32' }, target)],
      { x, w, y: new Float32Array(out * outChannels).fill(NaN) },
      ['y'],
    );
    const expected = new Float64Array(out * outChannels);
    for (let t = 0; t < length; t++) {
      for (let tap = 0; tap < taps; tap++) {
        const place = t * stride + tap - left;
        if (place < 0 || place >= out) continue;
        for (let o = 0; o < outChannels; o++) {
          for (let i = 0; i < channels; i++) {
            expected[place * outChannels + o]! += x[t * channels + i]! * w[(i * taps + tap) * outChannels + o]!;
          }
        }
      }
    }
    expect(relativeError(y!, expected, 2 * channels), note).toBeLessThan(bound(2 * channels));
  });
});

test('a dilation is for conv2d alone: nothing else takes it, and no gradient', () => {
  const graph = new Graph();
  const attributes = {
    images: 1,
    height: 1,
    width: 12,
    kernel: [1, 3],
    stride: 1,
    dilation: 2,
    padding: [0, 0, 0, 0],
  } as const;
  const weight = graph.weight('w', { dtype: 'f32', sources: [{ name: 'w', shape: [4, 6] }] });
  const x = graph.map({ kind: 'operand', index: 0 }, [graph.parameter('x', [12, 2])]);
  const { y } = graph.emit('conv2d', { x, weight }, attributes);
  expect(y.shape).toEqual([8, 4]);
  expect(() => graph.emit('conv2d', { x, weight }, { ...attributes, dilation: 6 })).toThrow(/1 × 13 does not fit/);
  const refusal = /dilation of 2 is for conv2d alone/;
  expect(() => graph.emit('unfold', { x }, attributes)).toThrow(refusal);
  expect(() => graph.emit('conv2dBackward', { dy: y, weight }, attributes)).toThrow(refusal);
  expect(() => graph.emit('fold', { dy: graph.input('dy', [8, 6]) }, attributes)).toThrow(refusal);
  const [target, weights] = [graph.input('target', [8, 4]), graph.input('weights', [8])];
  graph.emit('squaredError', { x: y, target, weight: weights }, { withGradient: true });
  expect(() => graph.backward()).toThrow(refusal);
  const shape = { ...attributes, channels: 2, outChannels: 4, weightType: 'f32' } as const;
  expect(conv2dKey('conv2d', shape)).not.toBe(conv2dKey('conv2d', { ...shape, dilation: 1 }));
});
