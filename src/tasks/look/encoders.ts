import type { PictureRow } from '../../datasets/look/types.ts';
import type { ProgramPlan } from '../../engine/program.ts';
import type { SharedArenas } from '../../engine/shared-arenas.ts';
import { IDLE_STEP } from '../../engine/wgsl.ts';
import { latentSize, vaeDecoderInputs, vaeEncoderInputs } from '../../models/stable-diffusion/autoencoder-kl.ts';
import { clipTextInputs } from '../../models/clip/text-encoder.ts';
import { TileCanvas, cutTile, tilesOf } from '../../models/stable-diffusion/vae-tiles.ts';
import type { AdapterSlot } from '../adapter-slot.ts';
import { ProgramCache } from '../program-cache.ts';
import type { LookBase } from './base.ts';
import type { LatentSize } from './batch.ts';
import { decoderGraph, encoderGraph, textGraph } from './graphs.ts';
import type { Moments } from './run-data.ts';
import type { TextState } from './text.ts';

/**
 * Pixels a side that the autoencoder takes at once: beyond it its feature maps (128 channels at full size) would outgrow the
 * memory that a training step needs anyway. Larger pictures go through in tiles that fade into each other.
 */
const MOST_PIXELS = 768;
const OVERLAP_PIXELS = 128;

/**
 * What goes into the UNet and comes out of it: pictures and texts as numbers and back. Programs are kept until `release`, so
 * that a folder of pictures is encoded by few of them.
 */
export class LookCodec {
  readonly #base: LookBase;
  readonly #programs: ProgramCache;

  /** @param arenas those of a run, see ProgramCache */
  constructor(base: LookBase, arenas?: SharedArenas) {
    this.#base = base;
    this.#programs = new ProgramCache(base, arenas);
  }

  get #vae() {
    return { ...this.#base.graphOptions(), vae: this.#base.folder.vae };
  }

  get factor(): number {
    return this.#base.latentFactor;
  }

  encoderPlan(size: { height: number; width: number }): ProgramPlan {
    return this.#base.planOf(encoderGraph(this.#vae, { images: 1, ...size }));
  }

  decoderPlan(size: LatentSize): ProgramPlan {
    return this.#base.planOf(decoderGraph(this.#vae, { images: 1, ...size }));
  }

  textPlan(length: number, adapter?: AdapterSlot): ProgramPlan {
    return this.#base.planOf(textGraph(this.#base.graphOptions(adapter?.hook), { images: 1, length }));
  }

  /** Pixels a side that go through at once, a multiple of a latent's: the widest map at full size must be one binding. */
  get #mostPixels(): number {
    const { vae } = this.#base.folder;
    const widest = vae.channels[1] ?? vae.channels[0]!;
    const bound = Math.floor(Math.sqrt(this.#base.device.bindingLimit / (4 * widest)));
    const factor = this.#base.latentFactor;
    return Math.max(factor, Math.floor(Math.min(MOST_PIXELS, bound) / factor) * factor);
  }

  /** Sizes of the tiles that pictures of a size go through in, in pixels. */
  tileSize({ height, width }: { height: number; width: number }): { height: number; width: number } {
    const most = this.#mostPixels;
    return { height: Math.min(height, most), width: Math.min(width, most) };
  }

  /**
   * The encoder's mean and logarithm of the variance, [4, h, w] each, before the scaling.
   * @param tensor [3, height, width] in -1..1
   */
  async encode(
    tensor: Float32Array,
    size: { height: number; width: number },
  ): Promise<{ mean: Float32Array<ArrayBuffer>; logvar: Float32Array<ArrayBuffer>; size: LatentSize }> {
    const { vae } = this.#base.folder;
    const factor = this.#base.latentFactor;
    const whole = latentSize(vae, size);
    const tiles = tilesOf(whole, this.#mostPixels / factor, OVERLAP_PIXELS / factor);
    const isWhole = tiles.length === 1;
    const channels = 2 * vae.latentChannels;
    const canvas = new TileCanvas(channels, whole, OVERLAP_PIXELS / factor);
    for (const tile of tiles) {
      const pixels = isWhole ? size : { height: tile.height * factor, width: tile.width * factor };
      const cut = isWhole
        ? tensor
        : cutTile(tensor, 3, size, { top: tile.top * factor, left: tile.left * factor, ...pixels });
      const program = await this.#programs.get(`encode ${pixels.height}x${pixels.width}`, () =>
        this.encoderPlan(pixels),
      );
      const { moments } = await program.run(vaeEncoderInputs(vae, { images: 1, ...pixels }, cut), IDLE_STEP);
      canvas.add(tile, moments!);
    }
    const moments = canvas.finish();
    const half = moments.length / 2;
    return { mean: moments.slice(0, half), logvar: moments.slice(half), size: whole };
  }

  /** Scaled latents as a distribution: what the UNet is trained on. */
  async encodePicture(tensor: Float32Array, height: number, width: number): Promise<Moments> {
    const { scalingFactor, shiftFactor } = this.#base.folder.vae;
    const { mean, logvar } = await this.encode(tensor, { height, width });
    return {
      mean: mean.map((value) => (value - shiftFactor) * scalingFactor),
      // diffusers clamps the logarithm to -30..20.
      deviation: logvar.map((value) => Math.exp(Math.min(20, Math.max(-30, value)) / 2) * scalingFactor),
    };
  }

  /** Pixels [3, H, W], about -1 to 1, of latents [4, h, w] whose scaling is undone. */
  async decode(latents: Float32Array, size: LatentSize): Promise<Float32Array<ArrayBuffer>> {
    const { vae } = this.#base.folder;
    const factor = this.#base.latentFactor;
    const tiles = tilesOf(size, this.#mostPixels / factor, OVERLAP_PIXELS / factor);
    const canvas = new TileCanvas(
      vae.outChannels,
      { height: size.height * factor, width: size.width * factor },
      OVERLAP_PIXELS,
    );
    for (const tile of tiles) {
      const { height, width } = tile;
      const cut = cutTile(latents, vae.latentChannels, size, tile);
      const program = await this.#programs.get(`decode ${height}x${width}`, () => this.decoderPlan({ height, width }));
      const { pixels } = await program.run(vaeDecoderInputs(vae, { images: 1, height, width }, cut), IDLE_STEP);
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

  /** Pixels [3, H, W] of latents as a sampler leaves them. */
  async decodePicture(latents: Float32Array, size: LatentSize): Promise<Float32Array<ArrayBuffer>> {
    const { scalingFactor, shiftFactor } = this.#base.folder.vae;
    return this.decode(
      latents.map((value) => value / scalingFactor + shiftFactor),
      size,
    );
  }

  /**
   * What the UNet is told by token ids of each text encoder.
   * @param adapter applied to the text encoders at `strength`
   */
  async encodeIds(ids: readonly Uint32Array<ArrayBuffer>[], adapter?: AdapterSlot, strength = 1): Promise<TextState> {
    const { textEncoders } = this.#base.folder;
    const { length } = ids[0]!;
    const program = await this.#programs.get(`text ${length}`, () => this.textPlan(length, adapter), adapter?.buffers);
    const inputs = Object.assign(
      {},
      ...textEncoders.map(({ name, config }, i) => clipTextInputs([ids[i] ?? ids[0]!], config, name)),
    ) as ReturnType<typeof clipTextInputs>;
    const { states, pooled } = await program.run(inputs, { ...IDLE_STEP, strength });
    return { states: states!, contextLength: length, ids, ...(pooled && { pooled }) };
  }

  /** Token ids for each text encoder. */
  async tokenIds(prompt: string): Promise<Uint32Array<ArrayBuffer>[]> {
    return (await this.#base.tokenizers()).map((tokenizer) => tokenizer.encode(prompt));
  }

  async encodeText(prompt: string, adapter?: AdapterSlot, strength = 1): Promise<TextState> {
    return this.encodeIds(await this.tokenIds(prompt), adapter, strength);
  }

  /** As diffusers' pipelines take a negative prompt: SDXL bases may ask for zeros where there is none. */
  async negativeText(prompt: string, adapter?: AdapterSlot, strength = 1): Promise<TextState> {
    const text = await this.encodeText(prompt, adapter, strength);
    if (prompt !== '' || !this.#base.zerosForEmptyPrompt) return text;
    const { states, pooled } = text;
    return {
      ...text,
      states: new Float32Array(states.length),
      ...(pooled && { pooled: new Float32Array(pooled.length) }),
    };
  }

  /** SDXL: original height and width, crop's top and left, target height and width. */
  timeIds(row: PictureRow, [width, height]: readonly [number, number]): readonly number[] | undefined {
    if (!this.#base.hasAddedConditions) return undefined;
    return [row.height, row.width, Math.round(row.crop.y), Math.round(row.crop.x), height, width];
  }

  release(): void {
    this.#programs.release();
  }
}
