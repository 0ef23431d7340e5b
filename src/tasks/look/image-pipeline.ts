import { fromTensor } from '../../datasets/look/to-tensor.ts';
import type { Pixels } from '../../datasets/look/types.ts';
import { UserError } from '../../common/errors.ts';
import { Program } from '../../engine/program.ts';
import type { ProgramPlan } from '../../engine/program.ts';
import type { DenoiserShape, ExampleShape } from '../../models/diffusion/denoiser.ts';
import type { SharedArenas } from '../../engine/shared-arenas.ts';
import type { Sampler } from '../../models/schedulers/sampler.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { AdapterSlot } from '../adapter-slot.ts';
import type { LookBase } from './base.ts';
import type { DenoiseRequest } from '../denoising/denoise.ts';
import { denoise, denoiserShape, seededLatents } from '../denoising/denoise.ts';
import { predictionGraph } from '../denoising/graphs.ts';
import { LookCodec } from './encoders.ts';
import type { DrawEvent, DrawRequest, SchedulerName } from './types.ts';

export type Picture = Pixels;

export type CompleteRequest = Required<Omit<DrawRequest, 'signal' | 'latents'>>;

/** A request with everything that it leaves open decided. Throws UserError where sizes or numbers cannot be drawn. */
export function withDefaults(base: LookBase, request: Omit<DrawRequest, 'signal' | 'latents'>): CompleteRequest {
  const { resolution } = base.model;
  const whole: CompleteRequest = {
    prompt: request.prompt,
    negative_prompt: request.negative_prompt ?? '',
    scheduler: request.scheduler ?? (base.process.usualSampler as SchedulerName),
    use_karras_sigmas: request.use_karras_sigmas ?? false,
    num_inference_steps: request.num_inference_steps,
    guidance_scale: request.guidance_scale,
    width: request.width ?? resolution,
    height: request.height ?? resolution,
    num_images: request.num_images ?? 1,
    seed: request.seed ?? 0,
    strength: request.strength ?? 1,
  };
  const side = base.autoencoder.sampleFactor;
  for (const name of ['width', 'height'] as const) {
    if (!Number.isInteger(whole[name] / side) || whole[name] < side || whole[name] > 4096)
      throw new UserError(`The ${name} must be a multiple of ${side} from ${side} to 4096 pixels, not ${whole[name]}.`);
  }
  if (!Number.isInteger(whole.num_images) || whole.num_images < 1)
    throw new UserError(`The number of pictures must be at least 1, not ${whole.num_images}.`);
  if (!Number.isFinite(whole.guidance_scale))
    throw new UserError(`The guidance scale must be a number, not ${whole.guidance_scale}.`);
  return whole;
}

/** What the denoiser's part of drawing takes. */
export function denoiserPlan(base: LookBase, adapter: Pick<AdapterSlot, 'hook'>, shape: DenoiserShape): ProgramPlan {
  return base.planOf(predictionGraph(base.graphOptions(adapter.hook), shape));
}

/**
 * Draws with a base and the adapter beside it. Programs are kept from picture to picture of one size; where arenas are
 * given (those of a training run, which stands still meanwhile) they take their turn there.
 */
export class ImagePipeline {
  readonly #base: LookBase;
  readonly #adapter: AdapterSlot;
  readonly #arenas: SharedArenas | undefined;
  readonly #codec: LookCodec;
  #program: { key: string; program: Program } | undefined;

  constructor(base: LookBase, adapter: AdapterSlot, arenas?: SharedArenas) {
    this.#base = base;
    this.#adapter = adapter;
    this.#arenas = arenas;
    this.#codec = new LookCodec(base, arenas);
  }

  /** The denoiser's program, kept for the next picture of the same size: a card holds one of a large base, not three. */
  async #denoiser(shape: DenoiserShape): Promise<Program> {
    const key = JSON.stringify(shape);
    if (this.#program?.key !== key) {
      this.#program?.program.destroy();
      this.#program = undefined;
      await this.#arenas?.allocate(this.#base.device);
      const { buffers } = this.#adapter;
      const resources = { weights: this.#base, ...(buffers && { adapter: buffers }) };
      const plan = denoiserPlan(this.#base, this.#adapter, shape);
      const program = await Program.build(this.#base.device, plan, resources, this.#arenas);
      this.#program = { key, program };
    }
    return this.#program.program;
  }

  /** Pictures one after the other, each of its own seed: seed, seed + 1, … */
  async *draw(request: DrawRequest): AsyncGenerator<DrawEvent> {
    const whole = withDefaults(this.#base, request);
    const base = this.#base;
    const { denoiser, guidance, geometryConditions } = base.model;
    const target = { height: whole.height, width: whole.width };
    const shape = base.shapeOf(target);
    const sampler = () =>
      base.process.sampler({
        name: whole.scheduler,
        steps: whole.num_inference_steps,
        karras: whole.use_karras_sigmas || undefined,
        positions: denoiser.positions(shape.sample),
      });
    // Checked before anything is computed.
    sampler();
    const count = shape.sample.reduce((product, side) => product * side, 1);
    const given = request.latents;
    if (given && given.length !== count && given.length !== count * whole.num_images) {
      throw new UserError(
        `The latents to start from hold ${given.length} numbers; ${count} are needed for a picture of ${whole.width} × ${whole.height}.`,
      );
    }
    await base.load('denoiser', 'vae', 'text_encoder');
    const isGuided = guidance.isGuided(whole.guidance_scale);
    const positive = await this.#codec.encodeText(whole.prompt, this.#adapter, whole.strength);
    const negative = isGuided
      ? await this.#codec.negativeText(whole.negative_prompt, this.#adapter, whole.strength)
      : undefined;
    const geometry = geometryConditions({ original: target, crop: { top: 0, left: 0 }, target });
    const total = whole.num_inference_steps * whole.num_images;
    for (let image = 0; image < whole.num_images; image++) {
      const seed = whole.seed + image;
      const start = given
        ? given.subarray(given.length > count ? image * count : 0).subarray(0, count)
        : seededLatents(seed, count);
      const waiting: DrawEvent[] = [];
      let wake: (() => void) | undefined;
      const denoising: DenoiseRequest = {
        latents: start,
        shape,
        positive: { ...positive.conditions, ...geometry },
        guidance: negative && {
          negative: { ...negative.conditions, ...geometry },
          guide: guidance.guide(whole.guidance_scale, shape.sample),
        },
      };
      const drawing = this.#latents(denoising, sampler(), {
        strength: whole.strength,
        seed,
        signal: request.signal,
        onStep: (done) => {
          waiting.push({ type: 'progress', done: image * whole.num_inference_steps + done, total, image });
          wake?.();
        },
      });
      // Steps are told as they are done, not after the last one.
      let latents: Float32Array<ArrayBuffer> | undefined;
      const finished = drawing.then((made) => {
        latents = made;
        wake?.();
      });
      while (!latents || waiting.length > 0) {
        while (waiting.length > 0) yield waiting.shift()!;
        if (!latents) await Promise.race([finished, new Promise<void>((resolve) => (wake = resolve))]);
      }
      yield { type: 'image', image, seed, pixels: await this.#decode(latents, shape) };
    }
  }

  async #latents(
    request: DenoiseRequest,
    sampler: Sampler,
    options: { strength: number; seed: number; signal: AbortSignal | undefined; onStep: (done: number) => void },
  ): Promise<Float32Array<ArrayBuffer>> {
    const program = await this.#denoiser(denoiserShape(request.shape, request.guidance !== undefined));
    return denoise(program, this.#base.denoiser, sampler, request, options);
  }

  /** A sample as the sampler leaves it to pixels. */
  async #decode(latents: Float32Array, { sample }: ExampleShape): Promise<Pixels> {
    const { height, width } = this.#base.autoencoder.pictureSize(sample);
    return fromTensor(await this.#codec.decodePicture(latents, sample), width, height);
  }

  /** Each prompt drawn by the base and with the adapter, on the same seed. What the base draws is drawn once. */
  async *samples(
    prompts: readonly string[],
    recipe: Recipe,
    firstSeed: number,
  ): AsyncGenerator<{ prompt: string; seed: number; base: Picture; tuned: Picture }> {
    for (const [i, prompt] of prompts.entries()) {
      const seed = firstSeed + i;
      const once = async (strength: number): Promise<Picture> => {
        const request = {
          prompt,
          seed,
          strength,
          num_inference_steps: recipe.sample_inference_steps,
          guidance_scale: recipe.sample_guidance_scale,
        };
        for await (const event of this.draw(request)) if (event.type === 'image') return event.pixels;
        throw new Error('nothing was drawn');
      };
      const known = this.#untrained.get(prompt);
      const base = known ?? (await once(0));
      this.#untrained.set(prompt, base);
      yield { prompt, seed, base, tuned: await once(1) };
    }
  }

  readonly #untrained = new Map<string, Picture>();

  destroy(): void {
    this.#program?.program.destroy();
    this.#program = undefined;
    this.#codec.release();
  }
}
