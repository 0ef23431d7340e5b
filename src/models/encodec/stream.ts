import { concatFloats } from '../../common/floats.ts';
import type { InputData } from '../../engine/program.ts';
import { inputSpan, rowInputs } from './encodec.ts';
import { hopLength } from './encodec-config.ts';
import { codecStages, windowStarts } from './layers.ts';
import type { CodecRun } from './windows.ts';
import { LstmBlocks, cutRows, framesFor } from './windows.ts';

/**
 * Decodes one channel while its codes arrive: samples are given as soon as nothing that comes later can change them, and are
 * those of the whole sound. How far behind the codes they are is what the convolutions see ahead, and the window's size.
 */
export class ChannelStream {
  readonly #codec: CodecRun;
  readonly #total: number;
  readonly #width: number;
  readonly #codes: Int32Array<ArrayBuffer>;
  readonly #features: Float32Array<ArrayBuffer>;
  readonly #lstm: LstmBlocks;
  /** Frames that are final: of codes, features, samples. */
  #known = 0;
  #featured = 0;
  #played = 0;

  /** @param total frames of the whole sound */
  constructor(codec: CodecRun, total: number) {
    const { config, codebooks } = codec;
    this.#codec = codec;
    this.#total = total;
    this.#width = codecStages(config, '').widest;
    this.#codes = new Int32Array(codebooks * total);
    this.#features = new Float32Array(total * this.#width);
    this.#lstm = new LstmBlocks(codec, 'decoder.lstm', this.#features, this.#width);
  }

  /** Takes the codes [codebooks] of the next frame. @returns the samples that became final with it; often none */
  async push(codes: ArrayLike<number>): Promise<Float32Array<ArrayBuffer>> {
    for (let k = 0; k < codes.length; k++) this.#codes[k * this.#total + this.#known] = codes[k]!;
    this.#known += 1;
    await this.#inWindows(
      'decoder.features',
      () => [this.#featured, this.#known],
      (start, span) => this.#codeInputs(start + span.start, span.rows),
      (y, start, frames) => {
        this.#put(this.#features, y, start, frames, this.#width);
        this.#featured = Math.min(this.#total, start + frames);
      },
    );
    await this.#lstm.advance(this.#featured);
    const hop = hopLength(this.#codec.config);
    const pieces: Float32Array<ArrayBuffer>[] = [];
    await this.#inWindows(
      'decoder.up',
      () => [this.#played, this.#lstm.done],
      (start, span) => ({ x: cutRows(this.#lstm.heard, this.#width, start + span.start, span.rows) }),
      (y, start, frames) => {
        const end = Math.min(this.#total, start + frames);
        pieces.push(y.slice((this.#played - start) * hop, (end - start) * hop));
        this.#played = end;
      },
    );
    return concatFloats(pieces);
  }

  #put(into: Float32Array, y: Float32Array, start: number, frames: number, width: number): void {
    const kept = Math.min(frames, this.#total - start);
    into.set(y.subarray(0, kept * width), start * width);
  }

  /** Codes of `rows` frames from `first` on; what lies outside is read by nothing. */
  #codeInputs(first: number, rows: number): Record<string, InputData> {
    const { codebooks } = this.#codec;
    return Object.fromEntries(
      Array.from({ length: codebooks }, (_, k) => [
        `codes.${k}`,
        Uint32Array.from({ length: rows }, (__, i) => {
          const at = first + i;
          return at >= 0 && at < this.#total ? this.#codes[k * this.#total + at]! : 0;
        }),
      ]),
    );
  }

  /** Passes on all windows whose input is there. @param state frames that came out, and that are there to go in */
  async #inWindows(
    part: 'decoder.features' | 'decoder.up',
    state: () => readonly [done: number, there: number],
    input: (start: number, span: { start: number; rows: number }) => Record<string, InputData>,
    take: (y: Float32Array<ArrayBuffer>, start: number, frames: number) => void,
  ): Promise<void> {
    const { config, run, signal } = this.#codec;
    const frames = framesFor(this.#codec, part, this.#total);
    const span = inputSpan(config, part, frames);
    for (const start of windowStarts(this.#total, frames)) {
      const [done, there] = state();
      if (Math.min(this.#total, start + frames) <= done) continue;
      if (Math.min(this.#total, start + span.start + span.rows) > there) return;
      signal?.throwIfAborted();
      const rows = rowInputs(config, part, frames, this.#total, [start]);
      const { y } = await run(part, { frames, windows: 1 }, { ...rows, ...input(start, span) });
      take(y!, start, frames);
    }
  }
}
