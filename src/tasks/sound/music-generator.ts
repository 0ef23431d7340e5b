import { joinedChannels } from '../../datasets/sound/mix.ts';
import type { SoundBlock } from '../../datasets/sound/types.ts';
import { UserError } from '../../common/errors.ts';
import { channelCodebooks } from '../../models/musicgen/delay.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { AdapterSlot } from '../adapter-slot.ts';
import type { SoundBase } from './base.ts';
import type { SoundStream } from './codec.ts';
import { SoundCodec } from './codec.ts';
import type { CodeRequest, ComposerRun } from './composer.ts';
import { Composer } from './composer.ts';
import { TextEncoder } from './text-encoder.ts';
import type { ComposeProgress, ComposeRequest } from './types.ts';

/** What was composed, beside what was heard of it. */
export interface Composed {
  /** [K, frames] */
  codes: Int32Array<ArrayBuffer>;
  frames: number;
}

/** Progress is told at most so often (ms). */
const TELL_MS = 100;

/** Words to sound: reads the words, composes codes, and plays them as they become final. */
export class MusicGenerator {
  readonly #base: SoundBase;
  readonly #text: TextEncoder;
  readonly #composer: Composer;
  readonly #codec: SoundCodec;
  readonly #untrained = new Map<string, SoundBlock>();

  constructor(base: SoundBase, adapter: AdapterSlot, run?: ComposerRun) {
    this.#base = base;
    this.#text = new TextEncoder(base, run?.arenas);
    this.#composer = new Composer(base, adapter, run);
    this.#codec = new SoundCodec(base, run?.arenas);
  }

  /** Throws UserError for settings that mean nothing. */
  #check({ frames, top_k, top_p, temperature, guidance_scale, do_sample }: CodeRequest): void {
    const { mostFrames, frameRate } = this.#base;
    if (!(frames >= channelCodebooks(this.#base.config.decoder)))
      throw new UserError('That is too short to be composed. Ask for at least a tenth of a second.');
    if (frames > mostFrames)
      throw new UserError(`This base composes at most ${Math.floor(mostFrames / frameRate)} seconds in one go.`);
    if (!(guidance_scale >= 0)) throw new UserError('guidance_scale must be a number from 0.');
    if (!do_sample) return;
    if (!(temperature > 0)) throw new UserError('temperature must be above 0.');
    if (!Number.isSafeInteger(top_k) || top_k < 0)
      throw new UserError('top_k must be a whole number from 0 (0: no limit).');
    if (!(top_p > 0 && top_p <= 1)) throw new UserError('top_p must be above 0 and at most 1.');
  }

  /** Composes a sound of so many seconds; see `compose`. */
  async *play(request: ComposeRequest): AsyncGenerator<ComposeProgress, Composed> {
    const { prompt, seconds, do_sample = true, ...settings } = request;
    return yield* this.compose(prompt, {
      ...settings,
      do_sample,
      top_p: 1,
      frames: Math.round(seconds * this.#base.frameRate),
    });
  }

  /** Codes one frame after the other, told as progress, and samples as soon as they are final. */
  async *compose(prompt: string, request: CodeRequest): AsyncGenerator<ComposeProgress, Composed> {
    this.#check(request);
    const { frames } = request;
    const { codebooks } = this.#base.config.decoder;
    await this.#base.load('decoder', 'text', 'codec');
    const text = await this.#text.encode(prompt);
    const codes = new Int32Array(codebooks * frames);
    const stream = this.#codec.stream(frames);
    let told = 0;
    yield { type: 'progress', done: 0, total: frames };
    for await (const { frame, codes: column } of this.#composer.compose(text, request)) {
      column.forEach((code, k) => (codes[k * frames + frame] = code));
      const now = performance.now();
      if (now - told >= TELL_MS || frame + 1 === frames) {
        told = now;
        yield { type: 'progress', done: frame + 1, total: frames };
      }
      yield* this.#heard(stream, column);
    }
    return { codes, frames };
  }

  async *#heard(stream: SoundStream, column: Int32Array): AsyncGenerator<ComposeProgress> {
    const piece = await stream.push(column);
    if (piece) yield { type: 'piece', sampleRate: this.#base.config.audio.sampleRate, ...piece };
  }

  /** A whole sound, without what is told on the way. */
  async whole(prompt: string, request: CodeRequest): Promise<SoundBlock & Composed> {
    const pieces: Float32Array<ArrayBuffer>[][] = [];
    const composing = this.compose(prompt, request);
    for (;;) {
      const next = await composing.next();
      if (next.done) {
        return { channels: joinedChannels(pieces), sampleRate: this.#base.config.audio.sampleRate, ...next.value };
      }
      if (next.value.type === 'piece') pieces.push(next.value.channels);
    }
  }

  /** Each prompt played by the base and with the adapter, on the same seed. What the base plays is played once. */
  async *samples(
    prompts: readonly string[],
    recipe: Recipe,
    firstSeed: number,
  ): AsyncGenerator<{ prompt: string; seed: number; base: SoundBlock; tuned: SoundBlock }> {
    const { generation } = this.#base.config;
    for (const [i, prompt] of prompts.entries()) {
      const seed = firstSeed + i;
      const once = async (strength: number): Promise<SoundBlock> => {
        const { channels, sampleRate } = await this.whole(prompt, {
          frames: Math.round(recipe.sample_duration_in_seconds * this.#base.frameRate),
          seed,
          strength,
          guidance_scale: recipe.sample_guidance_scale,
          do_sample: true,
          top_k: generation.topK,
          top_p: 1,
          temperature: generation.temperature > 0 ? generation.temperature : 1,
        });
        return { channels, sampleRate };
      };
      const base = this.#untrained.get(prompt) ?? (await once(0));
      this.#untrained.set(prompt, base);
      yield { prompt, seed, base, tuned: await once(1) };
    }
  }

  destroy(): void {
    this.#text.release();
    this.#composer.destroy();
    this.#codec.release();
  }
}
