import type { Graph } from '../../engine/graph.ts';
import type { InputData } from '../../engine/program.ts';
import type { DType, Tensor } from '../../engine/tensor.ts';
import type { WeightSource } from '../../engine/weights.ts';
import type { ModelFolder } from '../files/folder.ts';
import type { Precision } from '../files/precision.ts';
import type { ModelBuilder } from '../layers/builder.ts';
import type { Pictures } from '../layers/resnet.ts';
import type { Process } from '../schedulers/process.ts';
import type { Conditioner } from './conditioner.ts';
import type { Conditions, Denoiser, LatentDistribution } from './denoiser.ts';
import type { Guidance } from './guidance.ts';

export interface Size {
  height: number;
  width: number;
}

/** What turns pictures into a denoiser's samples and back. It has latents of its own, which a sample may pack and scale. */
export interface PictureAutoencoder {
  /** Names of all its weights begin with it and a dot: “vae”. */
  readonly component: string;
  /** Pixels of one of its latents, a side. */
  readonly factor: number;
  /** Pixels of one position of a sample, a side: the same, or more where a sample packs latents. */
  readonly sampleFactor: number;
  readonly latentChannels: number;
  readonly outChannels: number;
  /** Channels of its widest feature map at a picture's full size. */
  readonly widestChannels: number;

  /** Its latents of a picture. */
  latentSize(pixels: Size): Size;
  /** The shape of a picture's sample. */
  sampleShape(pixels: Size): readonly number[];
  /** The reverse: height and width in pixels. */
  pictureSize(sample: readonly number[]): Size;

  /** Means and logarithms of the variances side by side, [images · h · w, 2 · latentChannels]. */
  encoder(b: ModelBuilder, pixels: Pictures): Tensor;
  /** @param pixels [N, 3, height, width], from -1 to 1 */
  encoderInputs(shape: Pictures, pixels: ArrayLike<number>): Record<string, InputData>;
  /** Pictures [images · H · W, outChannels], about -1 to 1. */
  decoder(b: ModelBuilder, latents: Pictures): Tensor;
  /** @param latents [N, latentChannels, height, width], as the encoder's mean is */
  decoderInputs(shape: Pictures, latents: ArrayLike<number>): Record<string, InputData>;

  /** What the encoder said of a picture, [latentChannels, h, w] each, as what the denoiser learns from. */
  toSample(encoded: { mean: Float32Array; logvar: Float32Array }, latents: Size): LatentDistribution;
  /** A sample as the decoder takes it, [latentChannels, h, w]. */
  fromSample(sample: Float32Array, shape: readonly number[]): Float32Array;
}

/** Where a picture's sides and its cut are told to a model, all in pixels. */
export interface PictureGeometry {
  original: Size;
  crop: { top: number; left: number };
  target: Size;
}

/** A model's files. */
export interface ModelWeights extends WeightSource {
  readonly name: string;
  /** Storage dtype on the device of a matrix. */
  dtypeOf(name: string, precision: Precision): DType;
  /** Throws UserError where a weight that the graph declares is missing or of another shape. */
  requireWeights(graph: Graph): void;
  /** Numbers in all components. */
  parameters(): number;
}

/** Names by which adapter files and cards tell generations of image models apart. */
export type PictureFamilyName = 'sd1' | 'sd2' | 'sdxl';

/** A model that draws pictures out of noise: its files, and the parts that training and drawing take whatever they are. */
export interface PictureModel {
  readonly family: PictureFamilyName;
  readonly weights: ModelWeights;
  readonly denoiser: Denoiser;
  readonly process: Process;
  readonly conditioner: Conditioner;
  readonly autoencoder: PictureAutoencoder;
  readonly guidance: Guidance;
  /** Pixels a side that it was trained at. */
  readonly resolution: number;
  /** What names in adapter files depend on beside the family: residual blocks of a level. */
  readonly adapterNames: { layersPerBlock?: number };
  /** What the denoiser is told of a picture's size; nothing for most. */
  geometryConditions(geometry: PictureGeometry): Conditions;
}

/** One kind of model. */
export interface PictureFamily {
  /** What model_index.json calls its pipelines (`_class_name`). */
  readonly pipelines: readonly string[];
  /** Whether tensors under these names in a file of their own are such a model. */
  hasKeys(names: ReadonlyMap<string, unknown>): boolean;
  /** Reads headers and configurations only. Throws UserError, naming file and field, for what is missing or not supported. */
  open(folder: ModelFolder): Promise<PictureModel>;
}
