import { UserError } from '../../common/errors.ts';
import type { Graph, WeightSpec } from '../../engine/graph.ts';
import type { DType } from '../../engine/tensor.ts';
import type { WeightPiece } from '../../engine/weight-formats.ts';
import type { ModelWeights, PictureFamilyName } from '../diffusion/picture-model.ts';
import type { VaeConfig } from './autoencoder-kl.ts';
import { latentFactor, parseVaeConfig } from './autoencoder-kl.ts';
import { parseClipTextConfig } from '../clip/text-encoder.ts';
import type { ClipTokenizer } from '../clip/tokenizer.ts';
import type { TextEncoder } from './clip-conditioner.ts';
import type { DiffusionParts } from './components.ts';
import { folderParts } from './components.ts';
import { isOriginal, originalParts } from './single-file.ts';
import type { Checkpoint } from '../files/checkpoint.ts';
import type { ModelFolder } from '../files/folder.ts';
import { NoiseSchedule } from '../schedulers/noise-schedule.ts';
import type { StoredTensor } from '../files/stored-tensor.ts';
import { requireStored, streamStored } from '../files/stored-tensor.ts';
import type { UnetConfig } from './unet-2d-condition.ts';
import { parseUnetConfig } from './unet-2d-condition.ts';
import type { Precision } from '../files/precision.ts';
import { STORED } from '../files/precision.ts';

/** Names of all weights and modules begin with one of these. */
export type ComponentName = 'unet' | 'vae' | 'text_encoder' | 'text_encoder_2';

/**
 * A model of Stable Diffusion's class on disk: a diffusers folder, or a folder with one .safetensors file under the names of
 * the original releases. Tensors are asked for by the names of today's diffusers and transformers, with the component's name
 * in front (“text_encoder.text_model.…”); convolutions come with their pixels before their channels.
 */
export class DiffusionCheckpoint implements ModelWeights {
  readonly name: string;
  readonly family: PictureFamilyName;
  readonly unet: UnetConfig;
  readonly vae: VaeConfig;
  /** One, or SDXL's two, whose states lie side by side. */
  readonly textEncoders: readonly TextEncoder[];
  /** A diffusers scheduler's configuration, for NoiseSchedule.fromConfig and createSampler. */
  readonly schedulerConfig: unknown;
  /** From a file under original names. */
  readonly isOneFile: boolean;
  readonly #parts: DiffusionParts;

  private constructor(name: string, parts: DiffusionParts) {
    this.name = name;
    this.#parts = parts;
    const { configs } = parts;
    this.isOneFile = parts.isOneFile;
    this.unet = parseUnetConfig(configs.unet);
    this.vae = parseVaeConfig(configs.vae);
    this.schedulerConfig = configs.scheduler;
    NoiseSchedule.fromConfig(configs.scheduler);
    const first = parseClipTextConfig(configs.text_encoder, { withProjection: false });
    const file = 'text_encoder_2/config.json';
    const second =
      configs.text_encoder_2 === undefined
        ? undefined
        : parseClipTextConfig(configs.text_encoder_2, { withProjection: true, file });
    this.textEncoders = [
      { name: 'text_encoder', config: first },
      ...(second ? [{ name: 'text_encoder_2', config: second } as const] : []),
    ];
    this.family = this.unet.added ? 'sdxl' : this.unet.linearProjection ? 'sd2' : 'sd1';
    this.#checkTogether();
  }

  /** Reads headers and configurations only. Throws UserError, naming file and field, for what is missing or not supported. */
  static async open(folder: ModelFolder): Promise<DiffusionCheckpoint> {
    const parts = (await isOriginal(folder)) ? await originalParts(folder) : await folderParts(folder);
    return new DiffusionCheckpoint(folder.name, parts);
  }

  #checkTogether(): void {
    const { unet, vae, textEncoders, name } = this;
    const wrong = (why: string): UserError => new UserError(`“${name}” cannot be trained here: ${why}.`);
    if (unet.inChannels !== vae.latentChannels) {
      const kind = unet.inChannels > vae.latentChannels ? ', as models for inpainting or editing do' : '';
      throw wrong(`its UNet takes ${unet.inChannels} channels${kind}, where its latents have ${vae.latentChannels}`);
    }
    if (unet.outChannels !== unet.inChannels) throw wrong(`its UNet gives ${unet.outChannels} channels`);
    if (vae.inChannels !== 3 || vae.outChannels !== 3) throw wrong('its autoencoder is not made for colour pictures');
    const width = textEncoders.reduce((sum, { config }) => sum + config.hiddenSize, 0);
    if (width !== unet.contextDim)
      throw wrong(`its text encoders give ${width} numbers a token, its UNet wants ${unet.contextDim}`);
    const summary = textEncoders[1]?.config.projectionDim;
    if (unet.added && summary !== unet.added.textDim) {
      throw wrong(
        summary === undefined
          ? 'it has size conditioning but no second text encoder'
          : `its second text encoder sums a text up in ${summary} numbers, its UNet wants ${unet.added.textDim}`,
      );
    }
    if (!unet.added && textEncoders.length > 1) throw wrong('its UNet does not listen to its second text encoder');
    const lengths = new Set(textEncoders.map(({ config }) => config.maxPositions));
    if (lengths.size > 1) throw wrong('its two text encoders read prompts of different lengths');
  }

  /** Pixels of one latent, a side. */
  get latentFactor(): number {
    return latentFactor(this.vae);
  }

  /** Pixels a side that it was trained at. */
  get resolution(): number {
    const side = this.unet.sampleSize?.[0] ?? (this.family === 'sdxl' ? 128 : 64);
    return side * this.latentFactor;
  }

  /** A tokenizer for each text encoder, in their order. Throws UserError where its files are missing. */
  tokenizers(): Promise<ClipTokenizer[]> {
    return Promise.all(this.textEncoders.map(({ name }) => this.#parts.tokenizer(name)));
  }

  /** The file's tensor behind a name. */
  #stored(name: string): StoredTensor {
    return this.#parts.stored(name, this);
  }

  /** Storage dtype on the device of a matrix; f64 and what cannot be read is asked for as f32. */
  dtypeOf(name: string, precision: Precision): DType {
    if (precision !== 'stored') return precision;
    const { checkpoint, name: stored } = this.#stored(name);
    const entry = checkpoint.tensors.get(stored);
    if (!entry)
      throw new UserError(`“${this.name}” has no tensor ${stored}, which the model needs. Is a file missing?`);
    return STORED[entry.dtype] ?? 'f32';
  }

  /** Throws UserError where a weight that the graph declares is missing or of another shape. */
  requireWeights(graph: Graph): void {
    for (const { spec } of graph.weights.values()) {
      for (const source of spec.sources) requireStored(this.#stored(source.name), source);
    }
  }

  stream(
    name: string,
    shape: readonly number[],
    dtype: WeightSpec['dtype'],
    kernel?: readonly [number, number],
  ): AsyncIterable<WeightPiece> {
    return streamStored(this.#stored(name), { name, shape, ...(kernel && { kernel }) }, dtype);
  }

  /** Numbers in a component's files, or in all. */
  parameters(component?: ComponentName): number {
    const names: ComponentName[] = component
      ? [component]
      : ['unet', 'vae', ...this.textEncoders.map(({ name }) => name)];
    return names.reduce((sum, each) => sum + this.#parts.parameters(each), 0);
  }

  /** The checkpoints behind it; a one-file model has one. */
  get checkpoints(): readonly Checkpoint[] {
    return this.#parts.checkpoints;
  }
}
