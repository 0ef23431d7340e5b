import type { EncodecConfig, PadMode } from './encodec-config.ts';

/** One layer of a codec over time; `activated`: an ELU comes first. */
export type CodecLayer = ConvLayer | TransposedLayer | ResidualLayer;

export interface ConvLayer {
  kind: 'conv';
  name: string;
  inFeatures: number;
  outFeatures: number;
  kernel: number;
  stride: number;
  activated: boolean;
}

/** `stride` times as many rows; the rows that the kernel makes too much are cut, `left` of them in front. */
export interface TransposedLayer {
  kind: 'transposed';
  name: string;
  inFeatures: number;
  outFeatures: number;
  kernel: number;
  stride: number;
  left: number;
}

/** x, or a convolution of it, plus two convolutions, each behind an ELU: over time, and of single rows. */
export interface ResidualLayer {
  kind: 'residual';
  name: string;
  features: number;
  hidden: number;
  kernel: number;
  dilation: number;
  shortcut: boolean;
}

/** A run of layers between two places where a whole sound has to pass: LSTM, ends. */
export interface CodecStage {
  layers: readonly CodecLayer[];
  /** Rows of the input and of the output for one frame. */
  inRate: number;
  outRate: number;
  inFeatures: number;
  outFeatures: number;
}

/** Names and numbers as transformers lays the modules out, ELUs counted. */
export function codecStages(config: EncodecConfig, prefix: string) {
  const { filters, ratios, hiddenSize, kernel, lastKernel } = config;
  const hop = ratios.reduce((all, ratio) => all * ratio, 1);
  const widest = filters * 2 ** ratios.length;
  const namer = (part: string) => {
    let index = 0;
    return (skipped = 0): string => `${prefix}.${part}.layers.${(index += skipped + 1) - 1}`;
  };
  const conv = (options: Pick<ConvLayer, 'name' | 'inFeatures' | 'outFeatures' | 'kernel'> & Partial<ConvLayer>) =>
    ({ kind: 'conv', stride: 1, activated: false, ...options }) satisfies ConvLayer;
  const residuals = (next: () => string, features: number): ResidualLayer[] =>
    Array.from({ length: config.residualLayers }, (_, i) => ({
      kind: 'residual',
      name: next(),
      features,
      hidden: Math.floor(features / config.compress),
      kernel: config.residualKernel,
      dilation: config.dilationGrowth ** i,
      shortcut: config.convShortcut,
    }));
  const stage = (layers: CodecLayer[], rates: [number, number], features: [number, number]): CodecStage => ({
    layers,
    inRate: rates[0],
    outRate: rates[1],
    inFeatures: features[0],
    outFeatures: features[1],
  });

  const encoding = namer('encoder');
  const down: CodecLayer[] = [conv({ name: encoding(), inFeatures: 1, outFeatures: filters, kernel })];
  let width = filters;
  for (const ratio of ratios.toReversed()) {
    down.push(...residuals(() => encoding(), width));
    const shape = { inFeatures: width, outFeatures: 2 * width, kernel: 2 * ratio, stride: ratio };
    down.push(conv({ name: encoding(1), ...shape, activated: true }));
    width *= 2;
  }
  const encoderLstm = `${encoding()}.lstm`;
  const toCodes = conv({
    name: encoding(1),
    inFeatures: widest,
    outFeatures: hiddenSize,
    kernel: lastKernel,
    activated: true,
  });

  const decoding = namer('decoder');
  const fromCodes = conv({ name: decoding(), inFeatures: hiddenSize, outFeatures: widest, kernel });
  const decoderLstm = `${decoding()}.lstm`;
  const up: CodecLayer[] = [];
  for (const ratio of ratios) {
    // What is too much is ratio rows; the larger half of it lies in front.
    const cutRight = config.causal ? Math.ceil(ratio * config.trimRightRatio) : Math.floor(ratio / 2);
    const shape = { inFeatures: width, outFeatures: Math.floor(width / 2), kernel: 2 * ratio, stride: ratio };
    up.push({ kind: 'transposed', name: decoding(1), ...shape, left: ratio - cutRight });
    width /= 2;
    up.push(...residuals(() => decoding(), width));
  }
  up.push(conv({ name: decoding(1), inFeatures: width, outFeatures: 1, kernel: lastKernel, activated: true }));

  return {
    widest,
    encoderLstm,
    decoderLstm,
    stages: {
      /** Samples to features. */
      down: stage(down, [hop, 1], [1, widest]),
      /** Features after the encoder's LSTM to what is quantised. */
      toCodes: stage([toCodes], [1, 1], [widest, hiddenSize]),
      /** The sum of codebook entries to features. */
      fromCodes: stage([fromCodes], [1, 1], [hiddenSize, widest]),
      /** Features after the decoder's LSTM to samples. */
      up: stage(up, [1, hop], [widest, 1]),
    },
  };
}

/** A window's part of a tensor: rows [start, start + rows) of the whole, for a window that begins at frame 0. */
export interface Span {
  start: number;
  rows: number;
  /** Rows for one frame: where a window begins later, `start` moves by so many for each frame. */
  rate: number;
}

/** A layer as one window sees it. */
export interface LayerWindow {
  layer: CodecLayer;
  in: Span;
  out: Span;
}

/** How far apart the first and last row lie that one output of a layer sees, plus one; and the padding in front. */
function reach(config: EncodecConfig, layer: CodecLayer): { span: number; stride: number; left: number } {
  const stride = layer.kind === 'residual' ? 1 : layer.stride;
  const span = layer.kind === 'residual' ? (layer.kernel - 1) * layer.dilation + 1 : layer.kernel;
  const total = span - stride;
  // A kernel shorter than its stride cuts rows off instead.
  return { span, stride, left: config.causal ? total : total - Math.floor(total / 2) };
}

/**
 * The rows of every layer that a window of `frames` frames takes, from its outputs backwards. As many for every window,
 * wherever it lies: what is beyond the sound's ends is put in their place by `sourceRows`.
 */
export function layerWindows(config: EncodecConfig, stage: CodecStage, frames: number): LayerWindow[] {
  let out: Span = { start: 0, rows: frames * stage.outRate, rate: stage.outRate };
  const windows: LayerWindow[] = [];
  for (const layer of stage.layers.toReversed()) {
    let input: Span;
    if (layer.kind === 'transposed') {
      const { kernel, stride, left } = layer;
      const start = Math.ceil((out.start + left - kernel + 1) / stride);
      const last = Math.floor((out.start + out.rows - 1 + left) / stride);
      input = { start, rows: last + 1 - start, rate: out.rate / stride };
    } else {
      const { span, stride, left } = reach(config, layer);
      input = { start: out.start * stride - left, rows: (out.rows - 1) * stride + span, rate: out.rate * stride };
    }
    windows.push({ layer, in: input, out });
    out = input;
  }
  return windows.reverse();
}

/** Rows that a layer makes of so many. */
export function producedRows(layer: CodecLayer, rows: number): number {
  if (layer.kind === 'transposed') return rows * layer.stride;
  return layer.kind === 'conv' ? Math.ceil(rows / layer.stride) : rows;
}

/** Whether a layer takes its rows from elsewhere than they lie. */
export const takesRows = (layer: CodecLayer): boolean =>
  layer.kind === 'transposed' || layer.kernel > 1 || (layer.kind === 'conv' && layer.stride > 1);

/**
 * Where each row that a layer's window reads lies in the window of its input: itself, or beyond the ends what padding puts
 * there (transformers' EncodecConv1d): the mirror image without the edge, zeros, or the edge. Too short a sound is made
 * longer by zeros before it is mirrored. ZERO stands for a row of zeros.
 * @param length rows that the layer's input has in the whole sound
 * @param frame where the window begins
 * Throws RangeError where a window is so short that a mirror image lies outside of it.
 */
export function sourceRows(
  config: EncodecConfig,
  { layer, in: input }: LayerWindow,
  length: number,
  frame: number,
): Int32Array<ArrayBuffer> {
  const first = input.start + frame * input.rate;
  const rows = new Int32Array(input.rows);
  const { span, stride, left } = reach(config, layer);
  // Behind the last row that an output of the sound sees nothing matters.
  const end = layer.kind === 'transposed' ? length : (producedRows(layer, length) - 1) * stride + span - left;
  const longest = Math.max(left, end - length);
  const mirrored = Math.max(length, longest + 1);
  for (let row = 0; row < input.rows; row++) {
    const place = first + row;
    let source = place;
    if (layer.kind === 'transposed') source = place < 0 || place >= length ? ZERO : place;
    else if (place < -left || place >= end) source = ZERO;
    else if (place < 0 || place >= length) source = beyond(config.padMode, place, length, mirrored);
    if (source === ZERO) rows[row] = ZERO;
    else {
      rows[row] = source - first;
      if (rows[row]! < 0 || rows[row]! >= input.rows)
        throw new RangeError(`${layer.name}: a window of ${input.rows} rows is too short for its padding`);
    }
  }
  return rows;
}

export const ZERO = -1;

function beyond(mode: PadMode, place: number, length: number, mirrored: number): number {
  if (mode === 'constant') return ZERO;
  if (mode === 'replicate') return place < 0 ? 0 : length - 1;
  const source = place < 0 ? -place : place < mirrored ? place : 2 * (mirrored - 1) - place;
  return source < length ? source : ZERO;
}

/**
 * Where the windows of a sound of so many frames begin: side by side, the last one ending with the sound, so that all are
 * of one size. One window alone may reach beyond the end.
 */
export function windowStarts(frames: number, window: number): number[] {
  const starts: number[] = [];
  for (let start = 0; start + window <= frames; start += window) starts.push(start);
  if (starts.length === 0 || starts.at(-1)! + window < frames) starts.push(Math.max(0, frames - window));
  return starts;
}
