import { fromTensor } from '../../datasets/look/to-tensor.ts';
import type { Pixels } from '../../datasets/look/types.ts';
import { UserError } from '../../common/errors.ts';
import { Program } from '../../engine/program.ts';
import type { ProgramPlan } from '../../engine/program.ts';
import type { UnetShape } from '../../models/stable-diffusion/unet-2d-condition.ts';
import type { SharedArenas } from '../../engine/shared-arenas.ts';
import { createSampler } from '../../models/schedulers/sampler.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { AdapterSlot } from '../adapter-slot.ts';
import type { LookBase } from './base.ts';
import type { LatentSize } from './batch.ts';
import { denoise, seededLatents } from './denoise.ts';
import { LookCodec } from './encoders.ts';
import { unetGraph } from './graphs.ts';
import type { DrawEvent, DrawRequest, SchedulerName } from './types.ts';

export type Picture = Pixels;

export type CompleteRequest = Required<Omit<DrawRequest, 'signal' | 'latents'>>;

const DEFAULT_SCHEDULER: SchedulerName = 'DPMSolverMultistepScheduler';

/** A request with everything that it leaves open decided. Throws UserError where sizes or numbers cannot be drawn. */
export function withDefaults(base: LookBase, request: Omit<DrawRequest, 'signal' | 'latents'>): CompleteRequest {
  const { resolution } = base.info;
  const whole: CompleteRequest = {
    prompt: request.prompt,
    negative_prompt: request.negative_prompt ?? '',
    scheduler: request.scheduler ?? DEFAULT_SCHEDULER,
    use_karras_sigmas: request.use_karras_sigmas ?? false,
    num_inference_steps: request.num_inference_steps,
    guidance_scale: request.guidance_scale,
    width: request.width ?? resolution,
    height: request.height ?? resolution,
    num_images: request.num_images ?? 1,
    seed: request.seed ?? 0,
    strength: request.strength ?? 1,
  };
  const side = base.latentFactor;
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

/** What the UNet's part of drawing takes. */
export function unetPlan(base: LookBase, adapter: Pick<AdapterSlot, 'hook'>, shape: UnetShape): ProgramPlan {
  return base.planOf(unetGraph(base.graphOptions(adapter.hook), shape));
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

  /** The UNet's program, kept for the next picture of the same size: a card holds one of a large base, not three. */
  async #unet(shape: UnetShape): Promise<Program> {
    const key = JSON.stringify(shape);
    if (this.#program?.key !== key) {
      this.#program?.program.destroy();
      this.#program = undefined;
      await this.#arenas?.allocate(this.#base.device);
      const { buffers } = this.#adapter;
      const resources = { weights: this.#base, ...(buffers && { adapter: buffers }) };
      const plan = unetPlan(this.#base, this.#adapter, shape);
      const program = await Program.build(this.#base.device, plan, resources, this.#arenas);
      this.#program = { key, program };
    }
    return this.#program.program;
  }

  /** Pictures one after the other, each of its own seed: seed, seed + 1, … */
  async *draw(request: DrawRequest): AsyncGenerator<DrawEvent> {
    const whole = withDefaults(this.#base, request);
    const base = this.#base;
    const sampler = () =>
      createSampler(whole.scheduler, base.folder.schedulerConfig, whole.num_inference_steps, {
        karras: whole.use_karras_sigmas || undefined,
      });
    // Checked before anything is computed.
    sampler();
    const size = { height: whole.height / base.latentFactor, width: whole.width / base.latentFactor };
    const count = base.unetConfig.inChannels * size.height * size.width;
    const given = request.latents;
    if (given && given.length !== count && given.length !== count * whole.num_images) {
      throw new UserError(
        `The latents to start from hold ${given.length} numbers; ${count} are needed for a picture of ${whole.width} × ${whole.height}.`,
      );
    }
    await base.load('unet', 'vae', 'text');
    const isGuided = whole.guidance_scale > 1;
    const positive = await this.#codec.encodeText(whole.prompt, this.#adapter, whole.strength);
    const negative = isGuided
      ? await this.#codec.negativeText(whole.negative_prompt, this.#adapter, whole.strength)
      : undefined;
    const total = whole.num_inference_steps * whole.num_images;
    for (let image = 0; image < whole.num_images; image++) {
      const seed = whole.seed + image;
      const start = given
        ? given.subarray(given.length > count ? image * count : 0).subarray(0, count)
        : seededLatents(seed, count);
      const waiting: DrawEvent[] = [];
      let wake: (() => void) | undefined;
      const drawing = this.#latents(start, size, sampler(), {
        guidance: {
          positive,
          negative,
          scale: whole.guidance_scale,
          timeIds: base.hasAddedConditions ? [whole.height, whole.width, 0, 0, whole.height, whole.width] : undefined,
        },
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
      yield { type: 'image', image, seed, pixels: await this.#decode(latents, size) };
    }
  }

  async #latents(
    latents: Float32Array,
    size: LatentSize,
    sampler: ReturnType<typeof createSampler>,
    options: {
      guidance: Parameters<typeof denoise>[3]['guidance'];
      strength: number;
      seed: number;
      signal: AbortSignal | undefined;
      onStep: (done: number) => void;
    },
  ): Promise<Float32Array<ArrayBuffer>> {
    const { guidance, ...rest } = options;
    const images = guidance.negative ? 2 : 1;
    const { contextLength } = guidance.positive;
    const program = await this.#unet({ images, ...size, contextLength });
    return denoise(program, this.#base.unetConfig, sampler, { latents, size, guidance }, rest);
  }

  /** Latents [4, h, w] as the sampler leaves them to pixels. */
  async #decode(latents: Float32Array, size: LatentSize): Promise<Pixels> {
    const tensor = await this.#codec.decodePicture(latents, size);
    return fromTensor(tensor, size.width * this.#base.latentFactor, size.height * this.#base.latentFactor);
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
