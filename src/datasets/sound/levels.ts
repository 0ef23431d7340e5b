/** What can be told from samples as they are: peaks, clipping, silent channels, the shape for drawing. */
import { GrowingFloats } from './growing.ts';
import type { Waveform } from './types.ts';

export const LEVELS_A_SECOND = 20;
/** Samples in a row at full scale that are a cut-off top. */
const RUN = 3;
const FULL_SCALE = 0.998;

/** Levels of a file, in parts of 1 / LEVELS_A_SECOND seconds. */
export interface Levels {
  /** Largest absolute sample of any channel. */
  peaks: Float32Array<ArrayBuffer>;
  /** Mean squares of each channel. */
  energies: Float32Array<ArrayBuffer>[];
  /** Cut-off tops. */
  clips: Float32Array<ArrayBuffer>;
}

export class LevelMeter {
  readonly #part: number;
  readonly #peaks = new GrowingFloats();
  readonly #clips = new GrowingFloats();
  readonly #energies: GrowingFloats[] = [];
  readonly #sums: number[] = [];
  readonly #runs: number[] = [];
  #peak = 0;
  #tops = 0;
  #count = 0;

  constructor(rate: number) {
    this.#part = Math.round(rate / LEVELS_A_SECOND);
  }

  push(channels: readonly Float32Array[]): void {
    const length = channels[0]!.length;
    for (let at = 0; at < length;) {
      const end = Math.min(length, at + this.#part - this.#count);
      channels.forEach((channel, i) => this.#take(channel, i, at, end));
      this.#count += end - at;
      if (this.#count === this.#part) this.#close();
      at = end;
    }
  }

  #take(samples: Float32Array, channel: number, from: number, to: number): void {
    let sum = 0;
    let peak = this.#peak;
    let run = this.#runs[channel] ?? 0;
    for (let i = from; i < to; i++) {
      const value = Math.abs(samples[i]!);
      sum += value * value;
      if (value > peak) peak = value;
      if (value < FULL_SCALE) run = 0;
      else if (++run === RUN) this.#tops++;
    }
    this.#peak = peak;
    this.#runs[channel] = run;
    this.#sums[channel] = (this.#sums[channel] ?? 0) + sum;
  }

  #close(): void {
    this.#peaks.push(this.#peak);
    this.#clips.push(this.#tops);
    this.#sums.forEach((sum, i) => {
      (this.#energies[i] ??= new GrowingFloats()).push(sum / this.#count);
      this.#sums[i] = 0;
    });
    this.#peak = 0;
    this.#tops = 0;
    this.#count = 0;
  }

  levels(): Levels {
    if (this.#count > 0) this.#close();
    return {
      peaks: this.#peaks.array(),
      clips: this.#clips.array(),
      energies: this.#energies.map((energies) => energies.array()),
    };
  }
}

export function waveformOf({ peaks }: Levels): Waveform {
  return { perSecond: LEVELS_A_SECOND, peaks: Uint8Array.from(peaks, (peak) => Math.min(255, Math.round(peak * 255))) };
}

/** Parts [from, to) that seconds [start, end) touch. */
function partsOf(start: number, end: number, length: number): [number, number] {
  return [
    Math.max(0, Math.floor(start * LEVELS_A_SECOND)),
    Math.min(length, Math.max(1, Math.ceil(end * LEVELS_A_SECOND))),
  ];
}

export function peakOf({ peaks }: Levels, start: number, end: number): number {
  const [from, to] = partsOf(start, end, peaks.length);
  let peak = 0;
  for (let i = from; i < to; i++) peak = Math.max(peak, peaks[i]!);
  return peak;
}

/** Cut-off tops a second from which on they are heard. */
const AUDIBLE_CLIPS = 2;

export function isClipped({ clips }: Levels, start: number, end: number): boolean {
  const [from, to] = partsOf(start, end, clips.length);
  let count = 0;
  for (let i = from; i < to; i++) count += clips[i]!;
  return count > AUDIBLE_CLIPS * Math.max(1, end - start);
}

/** 50 dB. */
const SILENT_BESIDE = 1e-5;

/** Of two channels, the one that is silent beside the other (0 or 1), or null. */
export function silentChannel({ energies }: Levels, start: number, end: number): 0 | 1 | null {
  if (energies.length < 2) return null;
  const [left, right] = [0, 1].map((channel) => {
    const own = energies[channel]!;
    const [from, to] = partsOf(start, end, own.length);
    let sum = 0;
    for (let i = from; i < to; i++) sum += own[i]!;
    return sum;
  }) as [number, number];
  if (left < SILENT_BESIDE * right) return 0;
  return right < SILENT_BESIDE * left ? 1 : null;
}
