import { describe, expect, test } from 'vitest';
import { Graph } from '../../../src/engine/graph.ts';
import type { Conv2dAttributes } from '../../../src/engine/ops/convolution.ts';
import type { Tensor } from '../../../src/engine/tensor.ts';
import type { Conv } from '../../support/conv.ts';
import { conv2dBackwardReference, conv2dReference, describeConv, pixelsOf, randomConv } from '../../support/conv.ts';
import { slope } from '../../support/kernels.ts';
import { FAMILIES, familyDevice, relativeError, runGraph, weightOf, wide } from './support.ts';
import { seeded, sweeping } from '../../support/seeds.ts';

const attributesOf = ({ images, height, width, kernel, stride, padding }: Conv): Conv2dAttributes => ({
  images,
  height,
  width,
  kernel,
  stride,
  padding,
});

const sumOf = (values: ArrayLike<number>): number => Array.from(values).reduce((sum, value) => sum + value, 0);

type Numbers = Record<string, Float64Array>;

const wideAll = (record: Record<string, Float32Array>): Numbers =>
  Object.fromEntries(Object.entries(record).map(([name, values]) => [name, wide(values)]));

/** Slopes by differences take their time. */
const most = sweeping ? 6 : Infinity;

/**
 * Absolute values, and a target that is added for being subtracted: results and slopes of these are the sizes of what those of
 * the numbers themselves are sums of. An error is at most 2^-24 of that for each rounding on the longest way to it.
 */
const absolute = (given: Numbers): Numbers =>
  Object.fromEntries(
    Object.entries(given).map(([name, values]) => [
      name,
      values.map((value) => (name === 'target' ? -Math.abs(value) : Math.abs(value))),
    ]),
  );

describe.each(FAMILIES)('convolution in a graph, %s family', (family) => {
  seeded(
    'gradients towards what lies before x, the images’ bias and the residual are the slopes of the loss',
    async ({ random, shapes, note }) => {
      // At least three channels on both sides: the gradient of one factor alone may be nearly 0.
      const drawn = randomConv(shapes);
      const conv: Conv = {
        ...drawn,
        images: 2,
        channels: Math.min(most, Math.max(3, drawn.channels)),
        outChannels: Math.min(most, Math.max(3, drawn.outChannels)),
      };
      const { images, channels, outChannels, kernel } = conv;
      const pixels = pixelsOf(conv);
      const k = kernel[0] * kernel[1] * channels;
      const data = {
        x: random.normal(pixels.x * channels),
        embedding: random.normal(images * outChannels),
        shortcut: random.normal(pixels.y * outChannels),
        target: random.normal(pixels.y * outChannels),
        pixelWeight: Float32Array.from({ length: pixels.y }, () => random.uniform()),
      };
      const weights = { w: random.normal(outChannels * k), bias: random.normal(outChannels) };
      const parameters = {
        before: random.normal(channels),
        on: random.normal(outChannels),
        past: random.normal(outChannels),
      };

      // A row of trained factors before each of the inputs that has a gradient.
      const graph = new Graph();
      const scaled = (input: string, rows: number, parameter: string, columns: number): Tensor =>
        graph.multiply(graph.input(input, [rows, columns]), graph.parameter(parameter, [columns]));
      const { y } = graph.emit(
        'conv2d',
        {
          x: scaled('x', pixels.x, 'before', channels),
          weight: weightOf(graph, 'w', [outChannels, k]),
          bias: weightOf(graph, 'bias', [outChannels]),
          imageBias: scaled('embedding', images, 'on', outChannels),
          residual: scaled('shortcut', pixels.y, 'past', outChannels),
        },
        attributesOf(conv),
      );
      graph.output('y', y);
      const { loss } = graph.emit(
        'squaredError',
        {
          x: y,
          target: graph.input('target', [pixels.y, outChannels]),
          weight: graph.input('pixelWeight', [pixels.y]),
        },
        { withGradient: true },
      );
      graph.output('loss', loss);
      graph.backward();
      const run = await runGraph(await familyDevice(family), graph, { inputs: data, weights, parameters });

      const given = wideAll({ ...data, ...weights, ...parameters });
      const forward = (g: Numbers): Float64Array => {
        const scaled = g['x']!.map((value, i) => value * g['before']![i % channels]!);
        return conv2dReference(conv, scaled, g['w']!).map((sum, i) => {
          const o = i % outChannels;
          const image = Math.floor(i / outChannels / (pixels.y / images));
          const added = g['embedding']![image * outChannels + o]! * g['on']![o]! + g['shortcut']![i]! * g['past']![o]!;
          return sum + g['bias']![o]! + added;
        });
      };
      const lossOf = (g: Numbers): number =>
        sumOf(
          forward(g).map(
            (value, i) => data.pixelWeight[Math.floor(i / outChannels)]! * (value - g['target']![i]!) ** 2,
          ),
        );
      const sizes = absolute(given);
      const what = `${note}: ${describeConv(conv)}`;
      const roundings = k + pixels.y + 20;
      const least = Math.hypot(...forward(sizes));
      expect(relativeError(run.outputs['y']!, forward(given), least), what).toBeLessThan((k + 5) * 2 ** -24);
      expect(Math.abs(sumOf(run.outputs['loss']!) - lossOf(given)), what).toBeLessThan(
        roundings * 2 ** -24 * lossOf(sizes),
      );
      for (const name of Object.keys(parameters)) {
        const slopesOf = (g: Numbers) => g[name]!.map((_, i) => slope(() => lossOf(g), g[name]!, i));
        const terms = Math.hypot(...slopesOf(sizes));
        const error = relativeError(run.gradients[name]!, slopesOf(given), terms);
        expect(error, `${what}, d ${name}`).toBeLessThan(roundings * 2 ** -24);
      }
    },
  );

  seeded(
    'LoRA on a convolution: unfold and two products, added to upsampled pixels, has the slopes of its loss',
    async ({ random, shapes, note }) => {
      const conv: Conv = {
        images: 2,
        height: 6,
        width: 4,
        kernel: [3, 3],
        stride: 1,
        padding: [1, 1, 1, 1],
        channels: shapes.int(3, 6),
        outChannels: shapes.int(1, 9),
      };
      const { images, channels, outChannels } = conv;
      const pixels = pixelsOf(conv);
      const k = 9 * channels;
      const small = { images, height: 3, width: 2 };
      const inputs = {
        x: random.normal((pixels.x / 4) * channels),
        target: random.normal(pixels.y * outChannels),
        pixelWeight: new Float32Array(pixels.y).fill(0.5),
      };
      const weights = { w: random.normal(outChannels * k) };
      const parameters = {
        before: random.normal(channels),
        a: random.normal(2 * k),
        b: random.normal(outChannels * 2),
      };
      const segments = [{ columns: outChannels, rank: 2, scale: 1.5, hOffset: 0, bOffset: 0 }];

      const graph = new Graph();
      const x = graph.multiply(graph.input('x', [pixels.x / 4, channels]), graph.parameter('before', [channels]));
      const up = graph.emit('upsampleNearest', { x }, small).y;
      // Used twice, so that fold adds to the gradient that conv2dBackward gave, or the other way round.
      const unfolded = graph.emit('unfold', { x: up }, attributesOf(conv)).y;
      const a = graph.parameter('a', [2, k]);
      const b = graph.parameter('b', [outChannels * 2]);
      const zero = weightOf(graph, 'zero', [outChannels, k]);
      const residual = graph.emit('linear', { x: unfolded, weight: zero, a, b }, { segments }).y;
      const weight = weightOf(graph, 'w', [outChannels, k]);
      const { y } = graph.emit('conv2d', { x: up, weight, residual }, attributesOf(conv));
      graph.output('y', y);
      const goal = graph.input('target', [pixels.y, outChannels]);
      const pixelWeight = graph.input('pixelWeight', [pixels.y]);
      graph.emit('squaredError', { x: y, target: goal, weight: pixelWeight }, { withGradient: true });
      graph.backward();
      const run = await runGraph(await familyDevice(family), graph, {
        inputs,
        weights: { ...weights, zero: new Float32Array(outChannels * k) },
        parameters,
      });

      const given = wideAll({ ...inputs, ...weights, ...parameters });
      const forward = (g: Numbers): Float64Array => {
        // The whole weight W + scale B A over pixels of the doubled picture.
        const sum = g['w']!.map((value, i) => {
          const o = Math.floor(i / k);
          return value + 1.5 * (g['b']![2 * o]! * g['a']![i % k]! + g['b']![2 * o + 1]! * g['a']![k + (i % k)]!);
        });
        const doubled = Float64Array.from({ length: pixels.x * channels }, (_, i) => {
          const pixel = Math.floor(i / channels);
          const [image, row, column] = [Math.floor(pixel / 24), Math.floor(pixel / 4) % 6, pixel % 4];
          const from = (image * 3 + (row >> 1)) * 2 + (column >> 1);
          return g['x']![from * channels + (i % channels)]! * g['before']![i % channels]!;
        });
        return conv2dReference(conv, doubled, sum);
      };
      const lossOf = (g: Numbers): number => 0.5 * sumOf(forward(g).map((value, i) => (value - g['target']![i]!) ** 2));
      const sizes = absolute(given);
      const roundings = k + pixels.y + 20;
      const least = Math.hypot(...forward(sizes));
      expect(relativeError(run.outputs['y']!, forward(given), least), note).toBeLessThan((k + 10) * 2 ** -24);
      for (const name of Object.keys(parameters)) {
        const slopesOf = (g: Numbers) => g[name]!.map((_, i) => slope(() => lossOf(g), g[name]!, i));
        const terms = Math.hypot(...slopesOf(sizes));
        const error = relativeError(run.gradients[name]!, slopesOf(given), terms);
        expect(error, `${note}, d ${name}`).toBeLessThan(roundings * 2 ** -24);
      }
    },
  );

  seeded('a weight larger than a binding lies in parts', async ({ random, shapes, note }) => {
    const conv: Conv = {
      images: 2,
      height: shapes.int(2, 9),
      width: shapes.int(2, 9),
      kernel: [2, 2],
      stride: shapes.int(1, 2),
      padding: [0, 1, 1, 0],
      channels: 4,
      outChannels: 136,
    };
    const pixels = pixelsOf(conv);
    const inputs = {
      x: random.normal(pixels.x * 4),
      dy: random.normal(pixels.y * 136),
      embedding: random.normal(2 * 136),
      residual: random.normal(pixels.y * 136),
      add: random.normal(pixels.x * 4),
    };
    // Values that bf16 holds.
    const w = Float32Array.from({ length: 136 * 16 }, () => random.int(-64, 64) / 32);
    const bias = random.normal(136);
    const graph = new Graph(64 * 16 * 2);
    const weight = weightOf(graph, 'w', [136, 16], 'bf16');
    expect(weight.parts).toHaveLength(3);
    const forward = {
      x: graph.input('x', [pixels.x, 4]),
      weight,
      bias: weightOf(graph, 'bias', [136]),
      imageBias: graph.input('embedding', [2, 136]),
      residual: graph.input('residual', [pixels.y, 136]),
    };
    graph.output('y', graph.emit('conv2d', forward, attributesOf(conv)).y);
    const backward = { dy: graph.input('dy', [pixels.y, 136]), weight, residual: graph.input('add', [pixels.x, 4]) };
    graph.output('dx', graph.emit('conv2dBackward', backward, attributesOf(conv)).dx);
    const { outputs } = await runGraph(await familyDevice(family), graph, { inputs, weights: { w, bias } });
    const expected = conv2dReference(conv, inputs.x, w).map((sum, i) => {
      const image = Math.floor(i / 136 / (pixels.y / 2));
      return sum + bias[i % 136]! + inputs.embedding[image * 136 + (i % 136)]! + inputs.residual[i]!;
    });
    const what = `${note}: ${describeConv(conv)}`;
    expect(relativeError(outputs['y']!, expected), what).toBeLessThan(2e-6);
    const dx = conv2dBackwardReference(conv, inputs.dy, w).map((sum, i) => sum + inputs.add[i]!);
    expect(relativeError(outputs['dx']!, dx), what).toBeLessThan(5e-6);
  });
});

test('shapes that do not fit are refused with a reason', () => {
  const graph = new Graph();
  const attributes: Conv2dAttributes = {
    images: 1,
    height: 4,
    width: 4,
    kernel: [3, 3],
    stride: 1,
    padding: [0, 0, 0, 0],
  };
  const x = graph.input('x', [16, 4]);
  const weight = weightOf(graph, 'w', [8, 36]);
  const emit =
    (changes: object, other: Partial<Conv2dAttributes> = {}) =>
    () =>
      graph.emit('conv2d', { x, weight, ...changes }, { ...attributes, ...other });
  expect(graph.emit('conv2d', { x, weight }, attributes).y.shape).toEqual([4, 8]);
  expect(emit({}, { height: 5 })).toThrow('16 rows, not 1 × 5 × 4 pixels');
  expect(emit({ weight: weightOf(graph, 'v', [8, 27]) })).toThrow('4 columns where 3 were expected');
  expect(emit({ weight: weightOf(graph, 'u', [8, 35]) })).toThrow('no multiple of 9 taps');
  expect(emit({ bias: weightOf(graph, 'b', [7]) })).toThrow('7 numbers for 8 channels');
  expect(emit({ imageBias: graph.input('e', [2, 8]) })).toThrow('not [1,8]');
  expect(emit({ residual: graph.input('r', [16, 8]) })).toThrow('16 rows, not 1 × 2 × 2 pixels');
  expect(emit({}, { height: 2, width: 8 })).toThrow('does not fit into 2 × 8');
});
