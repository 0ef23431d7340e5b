import type { Program, ProgramPlan } from '../../engine/program.ts';
import type { SharedArenas } from '../../engine/shared-arenas.ts';
import { IDLE_STEP } from '../../engine/wgsl.ts';
import { windowFrames } from '../../models/encodec/encodec.ts';
import type { CodecPart } from '../../models/encodec/encodec.ts';
import type { CodecRun } from '../../models/encodec/windows.ts';
import { decodeSound, encodeSound, ofChannel } from '../../models/encodec/run.ts';
import { ChannelStream } from '../../models/encodec/stream.ts';
import { channelCodebooks } from '../../models/musicgen/delay.ts';
import { ProgramCache } from '../program-cache.ts';
import type { SoundBase } from './base.ts';
import { codecGraph } from './codec-graphs.ts';
import type { Codes } from './examples.ts';

const ENCODER_PARTS: readonly CodecPart[] = ['encoder.down', 'encoder.lstm', 'encoder.codes'];
const DECODER_PARTS: readonly CodecPart[] = ['decoder.features', 'decoder.lstm', 'decoder.up'];

/**
 * Sounds as codes and back, in windows whose memory does not grow with the sound. Programs are kept until `release`, so that a
 * folder of songs is encoded by few of them.
 */
export class SoundCodec {
  readonly #base: SoundBase;
  readonly #programs: ProgramCache;

  /** @param arenas those of a run, see ProgramCache */
  constructor(base: SoundBase, arenas?: SharedArenas) {
    this.#base = base;
    this.#programs = new ProgramCache(base, arenas);
  }

  #plan(part: CodecPart, size: { frames: number; windows: number }): ProgramPlan {
    return this.#base.planOf(codecGraph(this.#base.graphOptions(), part, size));
  }

  #plans(parts: readonly CodecPart[]): ProgramPlan[] {
    return parts.map((part) => this.#plan(part, { frames: this.#frames(part), windows: 1 }));
  }

  /** Frames of a part's windows; of the decoder's no more than a second, so that one hears soon what is composed. */
  #frames(part: CodecPart): number {
    const { audio } = this.#base.config;
    const most = part.startsWith('decoder') ? Math.ceil(this.#base.frameRate) : Infinity;
    return windowFrames(audio, part, most);
  }

  /** Programs that turn sounds of any length into codes. */
  get encoderPlans(): ProgramPlan[] {
    return this.#plans(ENCODER_PARTS);
  }

  get decoderPlans(): ProgramPlan[] {
    return this.#plans(DECODER_PARTS);
  }

  async #program(part: CodecPart, size: { frames: number; windows: number }): Promise<Program> {
    await this.#base.load('codec');
    return this.#programs.get(`${part} ${size.frames} ${size.windows}`, () => this.#plan(part, size));
  }

  #run(signal?: AbortSignal): CodecRun {
    return {
      config: this.#base.config.audio,
      codebooks: channelCodebooks(this.#base.config.decoder),
      frames: (part) => this.#frames(part),
      run: async (part, size, inputs) => (await this.#program(part, size)).run(inputs, IDLE_STEP),
      ...(signal && { signal }),
    };
  }

  /** Codes [K, frames] of a sound's channels, as many as the decoder has. Throws UserError for a sound without samples. */
  async encode(channels: readonly Float32Array[], signal?: AbortSignal): Promise<Codes> {
    const codes = await encodeSound(
      this.#run(signal),
      channels.map((channel) => Float32Array.from(channel)),
    );
    return { codes, frames: codes.length / this.#base.config.decoder.codebooks };
  }

  /** Each channel's samples, frames · frameSamples, of codes [K, frames]. */
  decode(codes: ArrayLike<number>): Promise<Float32Array<ArrayBuffer>[]> {
    return decodeSound(this.#run(), codes, this.#base.config.decoder.channels);
  }

  /** Samples of a sound whose codes come frame by frame. */
  stream(frames: number): SoundStream {
    return new SoundStream(this.#run(), frames, this.#base.config.decoder.channels);
  }

  release(): void {
    this.#programs.release();
  }
}

/** Decodes each channel as soon as its samples are final. */
export class SoundStream {
  readonly #channels: ChannelStream[];
  #from = 0;

  /** @param frames of the whole sound */
  constructor(codec: CodecRun, frames: number, channels: number) {
    this.#channels = Array.from({ length: channels }, () => new ChannelStream(codec, frames));
  }

  /** Takes the codes [K] of the next frame; gives the samples that became final, where there are any. */
  async push(column: ArrayLike<number>): Promise<{ from: number; channels: Float32Array<ArrayBuffer>[] } | undefined> {
    const count = this.#channels.length;
    const channels: Float32Array<ArrayBuffer>[] = [];
    for (const [channel, stream] of this.#channels.entries()) {
      const own = Array.from({ length: column.length / count }, (_, k) => column[ofChannel(count, channel, k)]!);
      channels.push(await stream.push(own));
    }
    const from = this.#from;
    const { length } = channels[0]!;
    this.#from += length;
    return length > 0 ? { from, channels } : undefined;
  }
}
