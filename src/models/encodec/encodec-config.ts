import type { ConfigReader } from '../files/config-reader.ts';

/** EnCodec (Défossez et al., arXiv:2210.13438) as its config.json states it. */
export interface EncodecConfig {
  sampleRate: number;
  /** Channels of the features that are quantised. */
  hiddenSize: number;
  /** Channels of the first layer; twice as many after each change of rate. */
  filters: number;
  residualLayers: number;
  /** Of the decoder, from frames to samples; the encoder takes them backwards. */
  ratios: readonly number[];
  kernel: number;
  lastKernel: number;
  residualKernel: number;
  /** The residual layer j of a level has taps so many to the power of j apart. */
  dilationGrowth: number;
  causal: boolean;
  padMode: PadMode;
  /** The residual layers are narrower by this factor inside. */
  compress: number;
  lstmLayers: number;
  /** Share of what a transposed convolution has too much that is cut on the right, in causal models. */
  trimRightRatio: number;
  codebookSize: number;
  /** Codebooks in the file; a decoder may use fewer. */
  quantizers: number;
  convShortcut: boolean;
}

/** What stands beyond the ends of a signal: its mirror image, zeros, or its last value. */
export type PadMode = 'reflect' | 'constant' | 'replicate';

/** Throws UserError, naming the field, for what is missing, wrong or not supported. */
export function parseEncodecConfig(config: ConfigReader): EncodecConfig {
  config.expect({ model_type: 'encodec', norm_type: 'weight_norm', audio_channels: 1 });
  if (config.flag('normalize', false))
    throw config.wrong('normalize', 'only codecs that leave the loudness as it is are supported');
  if (config.has('chunk_length_s'))
    throw config.wrong('chunk_length_s', 'only codecs that take a sound as a whole are supported');
  const hiddenSize = config.size('hidden_size', 128);
  if (config.size('codebook_dim', hiddenSize) !== hiddenSize)
    throw config.wrong('codebook_dim', `it must be hidden_size ${hiddenSize}`);
  const ratios = config.sizes('upsampling_ratios', [8, 5, 4, 2]);
  const filters = config.size('num_filters', 32);
  const compress = config.size('compress', 2);
  if (compress > filters) throw config.wrong('compress', `at most num_filters ${filters} is possible`);
  const causal = config.flag('use_causal_conv', true);
  const trimRightRatio = config.number('trim_right_ratio', 1);
  if (trimRightRatio < 0 || trimRightRatio > 1)
    throw config.wrong('trim_right_ratio', 'a number from 0 to 1 is needed');
  if (!causal && trimRightRatio !== 1) throw config.wrong('trim_right_ratio', 'without use_causal_conv it must be 1');
  const residualLayers = config.number('num_residual_layers', 1);
  if (!Number.isSafeInteger(residualLayers) || residualLayers < 0)
    throw config.wrong('num_residual_layers', 'a whole number is needed');
  const kernels = {
    kernel: config.size('kernel_size', 7),
    lastKernel: config.size('last_kernel_size', 7),
    residualKernel: config.size('residual_kernel_size', 3),
  };
  const sampleRate = config.size('sampling_rate', 24_000);
  const codebookSize = config.size('codebook_size', 1024);
  return {
    sampleRate,
    hiddenSize,
    filters,
    residualLayers,
    ratios,
    ...kernels,
    dilationGrowth: config.size('dilation_growth_rate', 2),
    causal,
    padMode: config.choice('pad_mode', ['reflect', 'constant', 'replicate'], 'reflect'),
    compress,
    lstmLayers: config.size('num_lstm_layers', 2),
    trimRightRatio,
    codebookSize,
    quantizers: quantizers(config, sampleRate, codebookSize, ratios),
    convShortcut: config.flag('use_conv_shortcut', true),
  };
}

/** Codebooks in the file: as many as the highest bandwidth takes. */
function quantizers(config: ConfigReader, sampleRate: number, codebookSize: number, ratios: readonly number[]) {
  const bandwidths = config.values['target_bandwidths'] ?? [1.5, 3, 6, 12, 24];
  const highest: unknown = Array.isArray(bandwidths) ? bandwidths.at(-1) : undefined;
  if (typeof highest !== 'number' || !(highest > 0))
    throw config.wrong('target_bandwidths', 'a list of positive numbers is needed');
  const bits = Math.ceil(Math.log2(codebookSize));
  const count = Math.floor((1000 * highest) / (frameRate(sampleRate, ratios) * bits));
  if (!(count >= 1)) throw config.wrong('target_bandwidths', 'the last is too low for a single codebook');
  return count;
}

const product = (ratios: readonly number[]): number => ratios.reduce((all, ratio) => all * ratio, 1);

const frameRate = (sampleRate: number, ratios: readonly number[]): number => Math.ceil(sampleRate / product(ratios));

/** Samples of one frame of codes. */
export const hopLength = ({ ratios }: Pick<EncodecConfig, 'ratios'>): number => product(ratios);

/** Frames that code so many samples; the last may be filled in part. */
export const framesOf = (config: Pick<EncodecConfig, 'ratios'>, samples: number): number =>
  Math.ceil(samples / hopLength(config));

/** What a graph asks for beside a codebook: -‖e‖² / 2 of each of its entries. */
export const HALF_NORMS = '#halfNorms';
