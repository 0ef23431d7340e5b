/**
 * Plays a sound while it is composed. It begins as soon as what is still to come will surely come in time: at once where
 * composing is faster than playing, else as early as the whole can be heard without a break.
 */

/** Seconds that must be there before anything is heard: a first piece says little about the speed. */
const LEAST = 0.4;
/** The rest may take a little longer than what came took. */
const CAUTION = 1.15;

/** Browsers promise to play this many samples a second and more. */
const LEAST_RATE = 8000;

/** Whether playing may begin: `ready` of `total` seconds are there, and they took `took` seconds to come. */
export function mayBegin(ready: number, total: number, took: number): boolean {
  if (ready >= total) return true;
  if (ready < Math.min(LEAST, total) || took <= 0) return false;
  const rest = ((total - ready) * took * CAUTION) / ready;
  return rest <= total;
}

export class StreamPlayback {
  readonly #total: number;
  readonly #leave: () => void;
  readonly #began = performance.now();
  #context: AudioContext | null = null;
  #waiting: { from: number; channels: Float32Array<ArrayBuffer>[]; sampleRate: number }[] = [];
  #ready = 0;
  /** When, by the context's clock, the first sample sounds; null before that. */
  #start: number | null = null;
  #stopped = false;

  /** `total` seconds are to be heard. `join` tells who may silence it, and returns how it leaves. */
  constructor(total: number, join: (stop: () => void) => () => void) {
    this.#total = total;
    this.#leave = join(() => this.stop());
  }

  /** It has begun. */
  get heard(): boolean {
    return this.#start !== null;
  }

  /** The next piece; begins to play when that will not have to stop again. */
  push(from: number, channels: Float32Array<ArrayBuffer>[], sampleRate: number): void {
    if (this.#stopped || sampleRate < LEAST_RATE) return;
    this.#waiting.push({ from, channels, sampleRate });
    this.#ready = (from + (channels[0]?.length ?? 0)) / sampleRate;
    if (this.#start === null && !mayBegin(this.#ready, this.#total, (performance.now() - this.#began) / 1000)) return;
    this.#play();
  }

  #play(): void {
    this.#context ??= new AudioContext({ sampleRate: this.#waiting[0]!.sampleRate });
    const context = this.#context;
    this.#start ??= context.currentTime + 0.05;
    for (const { from, channels, sampleRate } of this.#waiting) {
      const [first] = channels;
      if (!first || first.length === 0) continue;
      const buffer = context.createBuffer(channels.length, first.length, sampleRate);
      channels.forEach((samples, channel) => buffer.copyToChannel(samples, channel));
      const source = context.createBufferSource();
      source.buffer = buffer;
      source.connect(context.destination);
      const planned = this.#start + from / sampleRate;
      // Come too late after all: what follows moves with it, so that nothing is left out.
      if (planned < context.currentTime) this.#start += context.currentTime - planned;
      source.start(Math.max(planned, context.currentTime));
    }
    this.#waiting = [];
  }

  stop(): void {
    this.#stopped = true;
    this.#leave();
    this.#waiting = [];
    void this.#context?.close();
    this.#context = null;
  }
}
