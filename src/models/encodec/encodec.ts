import { UserError } from '../../common/errors.ts';
import { elu, operand } from '../../engine/ops/expression.ts';
import type { InputData } from '../../engine/program.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { ModelBuilder, Projection } from '../layers/builder.ts';
import type { EncodecConfig } from './encodec-config.ts';
import { HALF_NORMS, hopLength } from './encodec-config.ts';
import type { CodecStage, LayerWindow, ResidualLayer, TransposedLayer } from './layers.ts';
import { ZERO, codecStages, layerWindows, producedRows, sourceRows, takesRows } from './layers.ts';

/**
 * The programs that a codec is run as. Sounds of any length pass through them piece by piece, and come out as if they had
 * passed as a whole: convolutions in windows that overlap by what they see, the LSTM in blocks that carry its state on.
 * `encodeSound` and `decodeSound` (encodec-run.ts) do the passing.
 */
export const CODEC_PARTS = [
  'encoder.down',
  'encoder.lstm',
  'encoder.codes',
  'decoder.features',
  'decoder.lstm',
  'decoder.up',
] as const;
export type CodecPart = (typeof CODEC_PARTS)[number];

export interface CodecShape {
  /** Frames of one window or block. */
  frames: number;
  /** Windows, or blocks of different sounds, that are computed together. */
  windows: number;
  /** Codebooks of one channel. */
  codebooks: number;
}

/** Bytes of the largest tensor of a window of samples; some six of them are alive at a time. */
const WINDOW_BYTES = 2 ** 23;
/** Frames that windows of features and blocks of the LSTM have. */
const FEATURE_FRAMES = 128;

const isSampled = (part: CodecPart): boolean => part === 'encoder.down' || part === 'decoder.up';

const stageOf = (config: EncodecConfig, part: CodecPart, prefix: string): CodecStage | undefined => {
  const { stages } = codecStages(config, prefix);
  switch (part) {
    case 'encoder.down':
      return stages.down;
    case 'encoder.codes':
      return stages.toCodes;
    case 'decoder.features':
      return stages.fromCodes;
    case 'decoder.up':
      return stages.up;
    default:
      return undefined;
  }
};

/**
 * Frames of a part's windows: small enough for bounded memory, large enough that their overlap costs little.
 * @param most fewer where sound is to be heard soon; never fewer than the convolutions see
 */
export function windowFrames(config: EncodecConfig, part: CodecPart, most = Infinity): number {
  const wanted = Math.min(
    most,
    isSampled(part)
      ? Math.min(1024, Math.ceil(WINDOW_BYTES / (4 * hopLength(config) * config.filters)))
      : FEATURE_FRAMES,
  );
  const stage = stageOf(config, part, '');
  if (!stage) return wanted;
  // A mirror image at the end must lie within the window.
  const [first] = layerWindows(config, stage, 1);
  const context = Math.ceil(first!.in.rows / stage.inRate);
  return Math.max(wanted, 2 * context + 2);
}

const activated = elu(operand(0));

/** Rows of x at the places that the input `name` lists, u32 [count]; the row behind the last is of zeros. */
function rowsOf(b: ModelBuilder, x: Tensor, name: string, count: number, windows: number, rows: number): Tensor {
  const { graph } = b;
  const ends = { clips: 1, length: windows * rows, left: 0, right: 1 };
  const { y: table } = graph.emit('padRows', { x }, ends);
  return graph.emit('embedding', { ids: graph.input(name, [count], 'u32'), table }, { scale: 1 }).y;
}

const inputName = (layer: number): string => `rows.${layer}`;

/** A convolution over the rows of each window, without padding. */
function overTime(
  b: ModelBuilder,
  x: Tensor,
  projection: Projection,
  geometry: { windows: number; rows: number; stride?: number; dilation?: number },
  residual?: Tensor,
): Tensor {
  const { windows, rows, stride = 1, dilation = 1 } = geometry;
  return b.conv(
    x,
    projection,
    { images: windows, height: 1, width: rows, stride, dilation, padding: [0, 0, 0, 0] },
    { residual },
  );
}

const convOf = (name: string, inFeatures: number, outFeatures: number, kernel: number): Projection => ({
  name: `${name}.conv`,
  inFeatures,
  outFeatures,
  bias: true,
  kernel: [1, kernel],
});

function residual(
  b: ModelBuilder,
  x: Tensor,
  { layer, in: input, out }: LayerWindow & { layer: ResidualLayer },
  name: string,
  windows: number,
): Tensor {
  const { graph } = b;
  const { features, hidden, kernel, dilation, shortcut } = layer;
  const heard = graph.map(activated, [x]);
  const around = takesRows(layer) ? rowsOf(b, heard, name, windows * input.rows, windows, input.rows) : heard;
  const first = convOf(`${layer.name}.block.1`, features, hidden, kernel);
  const inside = overTime(b, around, first, { windows, rows: input.rows, dilation });
  const left = out.start - input.start;
  const cut = {
    clips: windows,
    length: input.rows,
    left: -left,
    right: out.rows + left - input.rows,
  };
  const same = input.rows === out.rows ? x : graph.emit('padRows', { x }, cut).y;
  const geometry = { windows, rows: out.rows };
  const beside = shortcut ? overTime(b, same, convOf(`${layer.name}.shortcut`, features, features, 1), geometry) : same;
  return overTime(
    b,
    graph.map(activated, [inside]),
    convOf(`${layer.name}.block.3`, hidden, features, 1),
    geometry,
    beside,
  );
}

/** The gradient of a convolution with respect to its input, which is what a transposed convolution is. */
function transposed(
  b: ModelBuilder,
  x: Tensor,
  { layer, in: input, out }: LayerWindow & { layer: TransposedLayer },
  name: string,
  windows: number,
): Tensor {
  const { graph } = b;
  const { inFeatures, outFeatures, kernel, stride } = layer;
  const dy = rowsOf(b, graph.map(activated, [x]), name, windows * input.rows, windows, input.rows);
  const shape = [1, kernel] as const;
  const weight = b.matrix([`${layer.name}.conv.weight`], [inFeatures], outFeatures * kernel, shape);
  const left = out.start + layer.left - input.start * stride;
  const right = (input.rows - 1) * stride + kernel - out.rows - left;
  const { dx } = graph.emit(
    'conv2dBackward',
    { dy, weight },
    { images: windows, height: 1, width: out.rows, kernel: shape, stride, padding: [0, left, 0, right] },
  );
  return graph.add(dx, b.vector([`${layer.name}.conv.bias`], [outFeatures]));
}

/** All layers of a stage: x [windows · in.rows, inFeatures] to [windows · out.rows, outFeatures]. */
function stageLayers(b: ModelBuilder, layers: readonly LayerWindow[], input: Tensor, windows: number): Tensor {
  let x = input;
  layers.forEach((window, index) => {
    const { layer, in: rows } = window;
    const name = inputName(index);
    x = b.block(() => {
      if (layer.kind === 'residual') return residual(b, x, { ...window, layer }, name, windows);
      if (layer.kind === 'transposed') return transposed(b, x, { ...window, layer }, name, windows);
      const heard = layer.activated ? b.graph.map(activated, [x]) : x;
      const around = takesRows(layer) ? rowsOf(b, heard, name, windows * rows.rows, windows, rows.rows) : heard;
      const { inFeatures, outFeatures, kernel, stride } = layer;
      return overTime(b, around, convOf(layer.name, inFeatures, outFeatures, kernel), {
        windows,
        rows: rows.rows,
        stride,
      });
    });
  });
  return x;
}

/** x + LSTM(x), blocks of sounds one below the other; the states after and before are `h.N`, `c.N` and `h0.N`, `c0.N`. */
function lstm(
  b: ModelBuilder,
  config: EncodecConfig,
  name: string,
  size: number,
  { frames, windows }: CodecShape,
): void {
  const { graph } = b;
  const x = graph.input('x', [windows * frames, size]);
  let y = x;
  for (let layer = 0; layer < config.lstmLayers; layer++) {
    const weight = (part: string): Tensor => b.matrix([`${name}.weight_${part}_l${layer}`], [4 * size], size);
    const bias = (part: string): Tensor => b.vector([`${name}.bias_${part}_l${layer}`], [4 * size]);
    const { y: outside } = graph.emit('linear', { x: y, weight: weight('ih'), bias: bias('ih') }, { segments: [] });
    const state = (part: string): Tensor => graph.input(`${part}0.${layer}`, [windows, size]);
    const out = graph.emit(
      'lstm',
      { x: graph.add(outside, bias('hh')), weight: weight('hh'), h0: state('h'), c0: state('c') },
      { clips: windows, length: frames },
    );
    graph.output(`h.${layer}`, out.h);
    graph.output(`c.${layer}`, out.c);
    ({ y } = out);
  }
  graph.output('y', graph.add(y, x));
}

const codebook = (b: ModelBuilder, { codebookSize, hiddenSize }: EncodecConfig, prefix: string, index: number) => {
  const name = `${prefix}.quantizer.layers.${index}.codebook.embed`;
  const weight = (key: string, shape: readonly number[]): Tensor =>
    b.graph.weight(key, { dtype: 'f32', sources: [{ name: key, shape }] });
  return {
    table: weight(name, [codebookSize, hiddenSize]),
    /** -‖e‖² / 2: r · e - ‖e‖² / 2 is largest where e is nearest to r. */
    halfNorms: () => weight(name + HALF_NORMS, [codebookSize]),
  };
};

/**
 * One of the codec's programs, with everything that it reads declared and its results as outputs:
 * - encoder.down: `x` [windows · in, 1] samples, `rows.N` u32 → `y` [windows · frames, widest]
 * - encoder.lstm, decoder.lstm: `x` [windows · frames, widest], `h0.N`, `c0.N` [windows, widest] → `y`, `h.N`, `c.N`
 * - encoder.codes: `x` [windows · in, widest], `rows.0` → `codes.K` u32 [windows · frames], bit for bit in the f32 read back
 * - decoder.features: `codes.K` u32 [windows · in], `rows.0` → `y` [windows · frames, widest]
 * - decoder.up: `x` [windows · in, widest], `rows.N` → `y` [windows · frames · hop, 1] samples
 * Forward only. Throws UserError where the codec has fewer codebooks than are asked for.
 */
export function codecPart(
  b: ModelBuilder,
  config: EncodecConfig,
  prefix: string,
  part: CodecPart,
  shape: CodecShape,
): void {
  const { graph } = b;
  const { frames, windows, codebooks } = shape;
  const { widest, encoderLstm, decoderLstm } = codecStages(config, prefix);
  requireCodebooks(config, codebooks);
  if (part === 'encoder.lstm' || part === 'decoder.lstm') {
    lstm(b, config, part === 'encoder.lstm' ? encoderLstm : decoderLstm, widest, shape);
    return;
  }
  const stage = stageOf(config, part, prefix)!;
  const layers = layerWindows(config, stage, frames);
  const rows = windows * layers[0]!.in.rows;
  if (part === 'decoder.features') {
    let x: Tensor | undefined;
    for (let k = 0; k < codebooks; k++) {
      const ids = graph.input(`codes.${k}`, [rows], 'u32');
      const { y } = graph.emit('embedding', { ids, table: codebook(b, config, prefix, k).table }, { scale: 1 });
      x = x ? graph.add(x, y) : y;
    }
    graph.output('y', stageLayers(b, layers, x!, windows));
    return;
  }
  const y = stageLayers(b, layers, graph.input('x', [rows, stage.inFeatures]), windows);
  if (part === 'encoder.codes') quantise(b, config, prefix, y, codebooks);
  else graph.output('y', y);
}

/** Residual vector quantisation: each codebook codes what those before it left over. */
function quantise(b: ModelBuilder, config: EncodecConfig, prefix: string, x: Tensor, codebooks: number): void {
  const { graph } = b;
  let left = x;
  for (let k = 0; k < codebooks; k++) {
    const { table, halfNorms } = codebook(b, config, prefix, k);
    const { y: scores } = graph.emit('linear', { x: left, weight: table, bias: halfNorms() }, { segments: [] });
    const { y: ids } = graph.emit('argmaxRows', { x: scores }, {});
    graph.output(`codes.${k}`, ids);
    if (k + 1 === codebooks) break;
    const { y: entry } = graph.emit('embedding', { ids, table }, { scale: 1 });
    left = graph.map({ kind: 'sub', a: operand(0), b: operand(1) }, [left, entry]);
  }
}

function requireCodebooks({ quantizers }: EncodecConfig, codebooks: number): void {
  if (codebooks > quantizers) {
    throw new UserError(
      `config.json (decoder) asks for ${codebooks} codebooks a channel, and its audio_encoder has ${quantizers} (target_bandwidths).`,
    );
  }
}

/** Rows of a part's input `x` (or `codes.K`) for one window. */
export function inputSpan(
  config: EncodecConfig,
  part: CodecPart,
  frames: number,
): { start: number; rows: number; rate: number } {
  const stage = stageOf(config, part, '');
  if (!stage) return { start: 0, rows: frames, rate: 1 };
  return layerWindows(config, stage, frames)[0]!.in;
}

/**
 * Values of a part's inputs `rows.N` for windows that begin at these frames.
 * @param length rows of the stage's input in the whole sound: samples for encoder.down, frames for the others
 */
export function rowInputs(
  config: EncodecConfig,
  part: CodecPart,
  frames: number,
  length: number,
  starts: readonly number[],
): Record<string, InputData> {
  const stage = stageOf(config, part, '')!;
  const inputs: Record<string, InputData> = {};
  let rows = length;
  layerWindows(config, stage, frames).forEach((window, index) => {
    const { layer, in: input } = window;
    if (takesRows(layer)) {
      const zero = starts.length * input.rows;
      const ids = new Uint32Array(zero);
      starts.forEach((start, i) => {
        sourceRows(config, window, rows, start).forEach((row, at) => {
          ids[i * input.rows + at] = row === ZERO ? zero : i * input.rows + row;
        });
      });
      inputs[inputName(index)] = ids;
    }
    rows = producedRows(layer, rows);
  });
  return inputs;
}
