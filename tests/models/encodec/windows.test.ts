import { describe, expect, test } from 'vitest';
import type { EncodecConfig } from '../../../src/models/encodec/encodec-config.ts';
import { windowFrames } from '../../../src/models/encodec/encodec.ts';
import type { CodecLayer, CodecStage, LayerWindow } from '../../../src/models/encodec/layers.ts';
import {
  ZERO,
  codecStages,
  layerWindows,
  sourceRows,
  takesRows,
  windowStarts,
} from '../../../src/models/encodec/layers.ts';

const MUSICGEN: EncodecConfig = {
  sampleRate: 32_000,
  hiddenSize: 128,
  filters: 64,
  residualLayers: 1,
  ratios: [8, 5, 4, 4],
  kernel: 7,
  lastKernel: 7,
  residualKernel: 3,
  dilationGrowth: 2,
  causal: false,
  padMode: 'reflect',
  compress: 2,
  lstmLayers: 2,
  trimRightRatio: 1,
  codebookSize: 2048,
  quantizers: 4,
  convShortcut: false,
};

const small = (changes: Partial<EncodecConfig>): EncodecConfig => ({ ...MUSICGEN, ratios: [3, 2], ...changes });

const CONFIGS: [string, EncodecConfig][] = [
  ['odd and even ratios', small({ ratios: [5, 2, 3] })],
  ['causal', small({ causal: true })],
  ['causal, part of the trimming on the left', small({ causal: true, trimRightRatio: 0.4, ratios: [4, 3] })],
  ['dilated residual layers', small({ residualLayers: 3, dilationGrowth: 3 })],
  ['even kernels', small({ kernel: 6, lastKernel: 4, residualKernel: 2 })],
  ['zeros beyond the ends', small({ padMode: 'constant', causal: true, residualLayers: 2 })],
  ['the edge beyond the ends', small({ padMode: 'replicate' })],
  ['no residual layers', small({ residualLayers: 0, ratios: [2, 5] })],
  ['one ratio', small({ ratios: [7], kernel: 9 })],
];

const weight = (layer: CodecLayer, tap: number): number => Math.sin(1 + tap * 1.7 + layer.name.length);

/** transformers' EncodecConv1d on one channel, written as it says it: padding, then the convolution. */
function convolve(config: EncodecConfig, layer: CodecLayer, x: readonly number[]): number[] {
  const stride = layer.kind === 'conv' ? layer.stride : 1;
  const dilation = layer.kind === 'residual' ? layer.dilation : 1;
  const span = (layer.kernel - 1) * dilation + 1;
  const total = span - stride;
  const count = Math.ceil((x.length - span + total) / stride + 1) - 1;
  const extra = count * stride + span - total - x.length;
  const right = (config.causal ? 0 : Math.floor(total / 2)) + extra;
  const left = config.causal ? total : total - Math.floor(total / 2);
  const more = config.padMode === 'reflect' ? Math.max(0, Math.max(left, right) - x.length + 1) : 0;
  const long = [...x, ...new Array<number>(more).fill(0)];
  const at = (i: number): number => {
    if (i >= 0 && i < long.length) return long[i]!;
    if (config.padMode === 'constant') return 0;
    if (config.padMode === 'replicate') return i < 0 ? long[0]! : long.at(-1)!;
    return i < 0 ? long[-i]! : long[2 * (long.length - 1) - i]!;
  };
  const padded = Array.from({ length: left + long.length + right - more }, (_, i) => at(i - left));
  return Array.from({ length: Math.floor((padded.length - span) / stride) + 1 }, (_, q) =>
    Array.from({ length: layer.kernel }, (__, t) => padded[q * stride + t * dilation]! * weight(layer, t)).reduce(
      (a, b) => a + b,
      0,
    ),
  );
}

function upsample(config: EncodecConfig, layer: CodecLayer & { kind: 'transposed' }, x: readonly number[]): number[] {
  const { kernel, stride } = layer;
  const whole = new Array<number>((x.length - 1) * stride + kernel).fill(0);
  x.forEach((value, i) => {
    for (let t = 0; t < kernel; t++) whole[i * stride + t]! += value * weight(layer, t);
  });
  const total = kernel - stride;
  const right = config.causal ? Math.ceil(total * config.trimRightRatio) : Math.floor(total / 2);
  return whole.slice(total - right, whole.length - right);
}

/** A stage over a whole sound, with one channel and without activations; the bias shows rows that do not belong to it. */
const whole = (config: EncodecConfig, stage: CodecStage, x: readonly number[]): number[] =>
  stage.layers.reduce<readonly number[]>((rows, layer) => {
    if (layer.kind === 'transposed') return upsample(config, layer, rows).map((value) => value + 0.5);
    const y = convolve(config, layer, rows).map((value) => value + 0.5);
    return layer.kind === 'residual' ? y.map((value, i) => value + rows[i]!) : y;
  }, x) as number[];

/** The same in one window that begins at a frame, as the graphs compute it: rows from their places, no padding. */
function inWindow(
  config: EncodecConfig,
  windows: readonly LayerWindow[],
  x: readonly number[],
  frame: number,
): number[] {
  const [{ in: first }] = windows as [LayerWindow];
  const start = first.start + frame * first.rate;
  let length = x.length;
  // What lies beyond the ends must not matter.
  let rows = Array.from({ length: first.rows }, (_, i) => x[start + i] ?? 1e6);
  for (const window of windows) {
    const { layer, in: input, out } = window;
    const places = takesRows(layer) ? sourceRows(config, window, length, frame) : undefined;
    const heard = places ? Array.from(places, (row) => (row === ZERO ? 0 : rows[row]!)) : rows;
    const stride = layer.kind === 'residual' ? 1 : layer.stride;
    let y: number[];
    if (layer.kind === 'transposed') {
      const left = out.start + layer.left - input.start * stride;
      y = new Array<number>(out.rows).fill(0.5);
      heard.forEach((value, i) => {
        for (let t = 0; t < layer.kernel; t++) {
          const place = i * stride + t - left;
          if (place >= 0 && place < out.rows) y[place]! += value * weight(layer, t);
        }
      });
    } else {
      const dilation = layer.kind === 'residual' ? layer.dilation : 1;
      y = Array.from({ length: out.rows }, (_, q) => {
        let sum = 0;
        for (let t = 0; t < layer.kernel; t++) sum += heard[q * stride + t * dilation]! * weight(layer, t);
        return sum + 0.5;
      });
      if (layer.kind === 'residual') y = y.map((value, i) => value + rows[i + out.start - input.start]!);
    }
    length = layer.kind === 'transposed' ? length * stride : Math.ceil(length / stride);
    rows = y;
  }
  return rows;
}

describe.each(CONFIGS)('%s', (_name, config) => {
  const { stages } = codecStages(config, 'codec');
  const hop = config.ratios.reduce((a, b) => a * b, 1);
  test.each(['down', 'toCodes', 'fromCodes', 'up'] as const)('%s in windows is what it is as a whole', (which) => {
    const stage = stages[which];
    const part = (
      { down: 'encoder.down', toCodes: 'encoder.codes', fromCodes: 'decoder.features', up: 'decoder.up' } as const
    )[which];
    const least = windowFrames(config, part, 1);
    for (const frames of [1, 2, 3, least, least + 1, 2 * least + 1, 5 * least]) {
      // A sound of whole frames, and one whose last frame is filled in part.
      for (const length of new Set([frames * stage.inRate, Math.max(1, frames * stage.inRate - (hop >> 1))])) {
        if (which !== 'down' && length !== frames) continue;
        const x = Array.from({ length }, (_, i) => Math.cos(i * 0.7) + i / length);
        const expected = whole(config, stage, x);
        expect(expected.length).toBe(frames * stage.outRate);
        const size = Math.max(...expected.map(Math.abs));
        const windows = layerWindows(config, stage, least);
        for (const start of windowStarts(frames, least)) {
          const got = inWindow(config, windows, x, start);
          for (let i = 0; i < got.length && start * stage.outRate + i < expected.length; i++)
            expect(Math.abs(got[i]! - expected[start * stage.outRate + i]!)).toBeLessThan(1e-9 * size);
        }
      }
    }
  });
});

test('MusicGen’s codec takes windows of bounded size that overlap by a small part', () => {
  const { stages } = codecStages(MUSICGEN, 'codec');
  const frames = windowFrames(MUSICGEN, 'encoder.down');
  for (const stage of [stages.down, stages.up]) {
    const windows = layerWindows(MUSICGEN, stage, frames);
    const largest = Math.max(
      ...windows.map(
        ({ layer, in: input }) => 4 * input.rows * (layer.kind === 'residual' ? layer.features : layer.inFeatures),
      ),
    );
    expect(largest).toBeLessThan(2 ** 24);
    expect(windows[0]!.in.rows / stage.inRate / frames).toBeLessThan(1.2);
  }
});

test('windows cover a sound, the last one ends with it', () => {
  expect(windowStarts(5, 8)).toEqual([0]);
  expect(windowStarts(16, 8)).toEqual([0, 8]);
  expect(windowStarts(19, 8)).toEqual([0, 8, 11]);
});

test('a window too short for its padding is refused', () => {
  const { stages } = codecStages(MUSICGEN, 'codec');
  const [first] = layerWindows(MUSICGEN, stages.toCodes, 1);
  expect(() => sourceRows(MUSICGEN, { ...first!, in: { ...first!.in, rows: 4 } }, 20, 0)).toThrow(RangeError);
});
