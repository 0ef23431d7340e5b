/**
 * What is measured of a file as it streams by, small enough to be kept for hours of it (about 4 MB an hour): onsets, noisiness
 * and level 43 times a second, prints 11 times, pitch classes and bands 2.7 times. Everything musical is told from these.
 */
import { PowerSpectrum } from './fft.ts';
import { GrowingFloats } from './growing.ts';
import { PRINT_BANDS, printBands, printWord } from './prints.ts';

/** Hertz of the mono signal that is measured. */
export const ANALYSIS_RATE = 22_050;
const HOP = 512;
const FRAME = 1024;
const LONG_HOP = 2048;
const LONG_FRAME = 4096;
const SLOW_HOP = 8192;

/** Frames a second: of onsets, noisiness and level; of prints; of pitch classes and bands. */
export const FAST_RATE = ANALYSIS_RATE / HOP;
export const PRINT_RATE = ANALYSIS_RATE / LONG_HOP;
export const SLOW_RATE = ANALYSIS_RATE / SLOW_HOP;

const MEL_BANDS = 40;
/** Bands of sound colour that are kept: pairs of the former. */
export const BANDS = 20;
/** Three to a semitone, so that instruments tuned high or low are heard in their own tuning. */
export const PITCHES = 36;
const LOWEST_PITCH = 65;
const HIGHEST_PITCH = 2100;

export interface Features {
  /** Rise of energy over all bands: peaks are onsets. FAST_RATE a second. */
  onsets: Float32Array<ArrayBuffer>;
  /** Spectral flatness of 250 to 8000 Hz: 0 is a tone, white noise is near 0.56. FAST_RATE a second. */
  flatness: Float32Array<ArrayBuffer>;
  /** dB under full scale. FAST_RATE a second. */
  level: Float32Array<ArrayBuffer>;
  /** PRINT_RATE a second. */
  prints: Uint32Array<ArrayBuffer>;
  /** [frames, PITCHES]: strength of pitch classes, C first. SLOW_RATE a second. */
  pitches: Float32Array<ArrayBuffer>;
  /** [frames, BANDS]: compressed energy. SLOW_RATE a second. */
  bands: Float32Array<ArrayBuffer>;
}

const toMel = (hertz: number): number => 2595 * Math.log10(1 + hertz / 700);
const fromMel = (mel: number): number => 700 * (10 ** (mel / 2595) - 1);

/** Triangles over the bins of a frame: where each begins, and its weights. */
function melFilters(bins: number): { from: number; weights: Float32Array }[] {
  const top = toMel(ANALYSIS_RATE / 2);
  const bottom = toMel(30);
  const edges = Array.from(
    { length: MEL_BANDS + 2 },
    (_, i) => (fromMel(bottom + ((top - bottom) * i) / (MEL_BANDS + 1)) * FRAME) / ANALYSIS_RATE,
  );
  return Array.from({ length: MEL_BANDS }, (_, band) => {
    const [low, middle, high] = [edges[band]!, edges[band + 1]!, edges[band + 2]!];
    const from = Math.max(0, Math.floor(low));
    const to = Math.min(bins, Math.ceil(high) + 1);
    const weights = Float32Array.from({ length: to - from }, (_, i) => {
      const bin = from + i;
      // Low bands are narrower than a bin: each has at least the nearest.
      const rise = (bin - low) / Math.max(1, middle - low);
      const fall = (high - bin) / Math.max(1, high - middle);
      return Math.max(0, Math.min(rise, fall));
    });
    if (weights.every((weight) => weight === 0)) weights[Math.min(weights.length - 1, Math.round(middle) - from)] = 1;
    return { from, weights };
  });
}

/** Logarithm that leaves silence at nothing (M. Müller, "Fundamentals of Music Processing", section 3.1). */
const compressed = (power: number): number => Math.log1p(1000 * Math.sqrt(power));

export class FeatureExtractor {
  readonly #short = new PowerSpectrum(FRAME);
  readonly #long = new PowerSpectrum(LONG_FRAME);
  readonly #filters = melFilters(FRAME / 2 + 1);
  readonly #power = new Float32Array(FRAME / 2 + 1);
  readonly #longPower = new Float32Array(LONG_FRAME / 2 + 1);
  readonly #onsets = new GrowingFloats();
  readonly #flatness = new GrowingFloats();
  readonly #level = new GrowingFloats();
  readonly #prints: number[] = [];
  readonly #pitches = new GrowingFloats();
  readonly #bands = new GrowingFloats();
  #mel = new Float32Array(MEL_BANDS);
  #lastMel = new Float32Array(MEL_BANDS);
  #printBands = new Float32Array(PRINT_BANDS);
  #lastPrintBands = new Float32Array(PRINT_BANDS);
  readonly #pitchSum = new Float32Array(PITCHES);
  readonly #bandSum = new Float32Array(BANDS);
  /** Half a long frame of silence stands before the first sample, so that frame n is heard around n · hop. */
  #held: Float32Array<ArrayBuffer> = new Float32Array(LONG_FRAME / 2);
  /** Frames of HOP done. */
  #frame = 0;

  /** @param mono samples at ANALYSIS_RATE */
  push(mono: Float32Array): void {
    const held = new Float32Array(this.#held.length + mono.length);
    held.set(this.#held);
    held.set(mono, this.#held.length);
    let at = 0;
    for (; at + LONG_FRAME <= held.length; at += HOP) this.#take(held, at);
    this.#held = held.slice(at);
  }

  #take(samples: Float32Array, at: number): void {
    // The short frame has the same middle as the long one.
    this.#shortFrame(samples, at + (LONG_FRAME - FRAME) / 2);
    if (this.#frame % (LONG_HOP / HOP) === 0) this.#longFrame(samples, at);
    this.#frame++;
    if (this.#frame % (SLOW_HOP / HOP) === 0) this.#closeSlow();
  }

  #shortFrame(samples: Float32Array, at: number): void {
    this.#short.of(samples, at, this.#power);
    const power = this.#power;
    [this.#mel, this.#lastMel] = [this.#lastMel, this.#mel];
    let rise = 0;
    this.#filters.forEach(({ from, weights }, band) => {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i]! * power[from + i]!;
      const value = compressed(sum);
      this.#mel[band] = value;
      rise += Math.max(0, value - this.#lastMel[band]!);
      this.#bandSum[band >> 1]! += value;
    });
    this.#onsets.push(rise / MEL_BANDS);
    const low = Math.ceil((250 * FRAME) / ANALYSIS_RATE);
    const high = Math.floor((8000 * FRAME) / ANALYSIS_RATE);
    let [sum, logs] = [0, 0];
    for (let bin = low; bin < high; bin++) {
      const value = power[bin]! + 1e-14;
      sum += value;
      logs += Math.log(value);
    }
    this.#flatness.push(Math.exp(logs / (high - low)) / (sum / (high - low)));
    let square = 0;
    const from = at + (FRAME - HOP) / 2;
    for (let i = from; i < from + HOP; i++) square += samples[i]! * samples[i]!;
    this.#level.push(10 * Math.log10(square / HOP + 1e-12));
  }

  #longFrame(samples: Float32Array, at: number): void {
    const power = this.#longPower;
    this.#long.of(samples, at, power);
    [this.#printBands, this.#lastPrintBands] = [this.#lastPrintBands, this.#printBands];
    printBands(power, ANALYSIS_RATE / LONG_FRAME, this.#printBands);
    this.#prints.push(printWord(this.#printBands, this.#lastPrintBands));
    const width = ANALYSIS_RATE / LONG_FRAME;
    for (let bin = Math.ceil(LOWEST_PITCH / width); bin * width < HIGHEST_PITCH; bin++) {
      const [left, here, right] = [power[bin - 1]!, power[bin]!, power[bin + 1]!];
      if (here <= 1e-10 || here < left || here <= right) continue;
      // The peak lies where a parabola through the logarithms has its own.
      const [a, b, c] = [Math.log(left + 1e-20), Math.log(here), Math.log(right + 1e-20)];
      const hertz = (bin + (0.5 * (a - c)) / (a - 2 * b + c)) * width;
      const octaves = Math.log2(hertz / 261.6255653);
      const place = (octaves - Math.floor(octaves)) * PITCHES;
      this.#pitchSum[Math.round(place) % PITCHES]! += Math.sqrt(here);
    }
  }

  #closeSlow(): void {
    for (const value of this.#pitchSum) this.#pitches.push(value);
    for (const value of this.#bandSum) this.#bands.push((value * HOP) / SLOW_HOP / 2);
    this.#pitchSum.fill(0);
    this.#bandSum.fill(0);
  }

  /** To be called once, at the end. */
  features(): Features {
    this.push(new Float32Array(LONG_FRAME / 2));
    if (this.#frame % (SLOW_HOP / HOP) !== 0) this.#closeSlow();
    return {
      onsets: this.#onsets.array(),
      flatness: this.#flatness.array(),
      level: this.#level.array(),
      prints: Uint32Array.from(this.#prints),
      pitches: this.#pitches.array(),
      bands: this.#bands.array(),
    };
  }
}
