import type { PictureRow } from '../../datasets/look/types.ts';
import type { ProgramPlan } from '../../engine/program.ts';
import type { SharedArenas } from '../../engine/shared-arenas.ts';
import { IDLE_STEP } from '../../engine/wgsl.ts';
import type { PromptTokens } from '../../models/diffusion/conditioner.ts';
import type { Conditions, LatentDistribution, Lengths } from '../../models/diffusion/denoiser.ts';
import type { Size } from '../../models/diffusion/picture-model.ts';
import { TileCanvas, cutTile, tilesOf } from '../../models/diffusion/picture-tiles.ts';
import type { AdapterSlot } from '../adapter-slot.ts';
import type { EncodedPrompt } from '../denoising/batch.ts';
import { conditionsGraph } from '../denoising/graphs.ts';
import { ProgramCache } from '../program-cache.ts';
import { decoderGraph, encoderGraph } from './autoencoder-graphs.ts';
import type { LookBase } from './base.ts';

/**
 * Pixels a side that the autoencoder takes at once: beyond it its feature maps (128 channels at full size) would outgrow the
 * memory that a training step needs anyway. Larger pictures go through in tiles that fade into each other.
 */
const MOST_PIXELS = 768;
const OVERLAP_PIXELS = 128;

/**
 * What goes into the denoiser and comes out of it: pictures and texts as numbers and back. Programs are kept until `release`,
 * so that a folder of pictures is encoded by few of them.
 */
export class LookCodec {
  readonly #base: LookBase;
  readonly #programs: ProgramCache;

  /** @param arenas those of a run, see ProgramCache */
  constructor(base: LookBase, arenas?: SharedArenas) {
    this.#base = base;
    this.#programs = new ProgramCache(base, arenas);
  }

  /** Pixels of one position of a sample, a side. */
  get sampleFactor(): number {
    return this.#base.autoencoder.sampleFactor;
  }

  get conditionNames(): readonly string[] {
    return this.#base.conditioner.conditions;
  }

  /** The autoencoder's part for pictures of a size in pixels. */
  encoderPlan(pixels: Size): ProgramPlan {
    return this.#base.planOf(encoderGraph(this.#base.graphOptions(), { images: 1, ...pixels }));
  }

  decoderPlan(latents: Size): ProgramPlan {
    return this.#base.planOf(decoderGraph(this.#base.graphOptions(), { images: 1, ...latents }));
  }

  textPlan(lengths: Lengths, adapter?: AdapterSlot): ProgramPlan {
    return this.#base.planOf(conditionsGraph(this.#base.graphOptions(adapter?.hook), { rows: 1, lengths }));
  }

  /** Pixels a side that go through at once, a multiple of a latent's: the widest map at full size must be one binding. */
  get #mostPixels(): number {
    const { factor, widestChannels } = this.#base.autoencoder;
    const bound = Math.floor(Math.sqrt(this.#base.device.bindingLimit / (4 * widestChannels)));
    return Math.max(factor, Math.floor(Math.min(MOST_PIXELS, bound) / factor) * factor);
  }

  /** Sizes of the tiles that pictures of a size go through in, in pixels. */
  tileSize({ height, width }: Size): Size {
    const most = this.#mostPixels;
    return { height: Math.min(height, most), width: Math.min(width, most) };
  }

  /**
   * The encoder's mean and logarithm of the variance, [channels, h, w] each, before they become a sample.
   * @param tensor [3, height, width] in -1..1
   */
  async encode(
    tensor: Float32Array,
    pixels: Size,
  ): Promise<{ mean: Float32Array<ArrayBuffer>; logvar: Float32Array<ArrayBuffer>; size: Size }> {
    const { autoencoder } = this.#base;
    const { factor } = autoencoder;
    const whole = autoencoder.latentSize(pixels);
    const tiles = tilesOf(whole, this.#mostPixels / factor, OVERLAP_PIXELS / factor);
    const isWhole = tiles.length === 1;
    const channels = 2 * autoencoder.latentChannels;
    const canvas = new TileCanvas(channels, whole, OVERLAP_PIXELS / factor);
    for (const tile of tiles) {
      const part = isWhole ? pixels : { height: tile.height * factor, width: tile.width * factor };
      const cut = isWhole
        ? tensor
        : cutTile(tensor, 3, pixels, { top: tile.top * factor, left: tile.left * factor, ...part });
      const program = await this.#programs.get(`encode ${part.height}x${part.width}`, () => this.encoderPlan(part));
      const { distribution } = await program.run(autoencoder.encoderInputs({ images: 1, ...part }, cut), IDLE_STEP);
      canvas.add(tile, distribution!);
    }
    const both = canvas.finish();
    const half = both.length / 2;
    return { mean: both.slice(0, half), logvar: both.slice(half), size: whole };
  }

  /** A sample as a distribution: what the denoiser is trained on. */
  async encodePicture(tensor: Float32Array, pixels: Size): Promise<LatentDistribution> {
    const { mean, logvar, size } = await this.encode(tensor, pixels);
    return this.#base.autoencoder.toSample({ mean, logvar }, size);
  }

  /** The shape of a picture's sample. */
  sampleShape(pixels: Size): readonly number[] {
    return this.#base.autoencoder.sampleShape(pixels);
  }

  /** The lengths of prompts as they are encoded. */
  get lengths(): Lengths {
    return this.#base.conditioner.lengths;
  }

  /** Pixels [3, H, W], about -1 to 1, of the autoencoder's own latents [channels, h, w]. */
  async decode(latents: Float32Array, size: Size): Promise<Float32Array<ArrayBuffer>> {
    const { autoencoder } = this.#base;
    const { factor } = autoencoder;
    const tiles = tilesOf(size, this.#mostPixels / factor, OVERLAP_PIXELS / factor);
    const whole = { height: size.height * factor, width: size.width * factor };
    const canvas = new TileCanvas(autoencoder.outChannels, whole, OVERLAP_PIXELS);
    for (const tile of tiles) {
      const { height, width } = tile;
      const cut = cutTile(latents, autoencoder.latentChannels, size, tile);
      const program = await this.#programs.get(`decode ${height}x${width}`, () => this.decoderPlan({ height, width }));
      const { pixels } = await program.run(autoencoder.decoderInputs({ images: 1, height, width }, cut), IDLE_STEP);
      const scaled = {
        top: tile.top * factor,
        left: tile.left * factor,
        height: height * factor,
        width: width * factor,
      };
      canvas.add(scaled, pixels!);
    }
    return canvas.finish();
  }

  /** Pixels [3, H, W] of a sample as a sampler leaves it. */
  async decodePicture(sample: Float32Array, shape: readonly number[]): Promise<Float32Array<ArrayBuffer>> {
    const { autoencoder } = this.#base;
    const latents = autoencoder.latentSize(autoencoder.pictureSize(shape));
    return this.decode(autoencoder.fromSample(sample, shape), latents);
  }

  /**
   * What the denoiser is told by a text's tokens.
   * @param adapter applied to the text encoders at `strength`
   */
  async encodeTokens(tokens: PromptTokens, adapter?: AdapterSlot, strength = 1): Promise<EncodedPrompt> {
    const { conditioner } = this.#base;
    const lengths = conditioner.lengthsOf(tokens);
    const key = `text ${Object.values(lengths).join()}`;
    const program = await this.#programs.get(key, () => this.textPlan(lengths, adapter), adapter?.buffers);
    const conditions = await program.run(conditioner.inputs([tokens]), { ...IDLE_STEP, strength });
    return { conditions, tokens };
  }

  tokenize(prompt: string): Promise<PromptTokens> {
    return this.#base.conditioner.tokenize(prompt);
  }

  async encodeText(prompt: string, adapter?: AdapterSlot, strength = 1): Promise<EncodedPrompt> {
    return this.encodeTokens(await this.tokenize(prompt), adapter, strength);
  }

  /** As diffusers' pipelines take a negative prompt: some bases ask for zeros where there is none. */
  async negativeText(prompt: string, adapter?: AdapterSlot, strength = 1): Promise<EncodedPrompt> {
    const text = await this.encodeText(prompt, adapter, strength);
    if (prompt !== '' || !this.#base.conditioner.zerosForEmptyPrompt) return text;
    const zeros = Object.entries(text.conditions).map(
      ([name, { length }]) => [name, new Float32Array(length)] as const,
    );
    return { ...text, conditions: Object.fromEntries(zeros) };
  }

  /** What the denoiser is told of a picture's size and cut. */
  geometryConditions({ width, height, crop }: PictureRow, target: Size): Conditions {
    return this.#base.model.geometryConditions({
      original: { height, width },
      crop: { top: Math.round(crop.y), left: Math.round(crop.x) },
      target,
    });
  }

  release(): void {
    this.#programs.release();
  }
}
