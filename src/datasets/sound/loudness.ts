/** Loudness as ITU-R BS.1770-4 measures it, from which what evens clips out is found. */
import { GrowingFloats } from './growing.ts';

/** Parts of a second that energies are kept for: BS.1770's blocks of 400 ms overlap by three quarters. */
export const ENERGIES_A_SECOND = 10;
const PARTS_A_BLOCK = 4;
const ABSOLUTE_GATE = -70;
const RELATIVE_GATE = -10;

/** A filter of second order: numerator and denominator, the latter's first being 1. */
type Biquad = [b0: number, b1: number, b2: number, a1: number, a2: number];

/**
 * The two filters of BS.1770 (its head shelf and its high-pass) at any sampling rate: the analogue ones behind the table that
 * the recommendation gives for 48 kHz (B. De Man, "Evaluation of implementations of the EBU R128 loudness measurement", 2018).
 */
export function kWeighting(rate: number): [Biquad, Biquad] {
  const shelf = (): Biquad => {
    const k = Math.tan((Math.PI * 1681.9744509555319) / rate);
    const q = 0.7071752369554193;
    const high = 10 ** (3.99984385397 / 20);
    const band = high ** 0.499666774155;
    const a0 = 1 + k / q + k * k;
    return [
      (high + (band * k) / q + k * k) / a0,
      (2 * (k * k - high)) / a0,
      (high - (band * k) / q + k * k) / a0,
      (2 * (k * k - 1)) / a0,
      (1 - k / q + k * k) / a0,
    ];
  };
  const k = Math.tan((Math.PI * 38.13547087613982) / rate);
  const q = 0.5003270373253953;
  const a0 = 1 + k / q + k * k;
  return [shelf(), [1, -2, 1, (2 * (k * k - 1)) / a0, (1 - k / q + k * k) / a0]];
}

/** Energies of every tenth of a second, weighted, summed over the channels: what every loudness is computed from. */
export class LoudnessMeter {
  readonly #filters: [Biquad, Biquad];
  /** Two numbers a filter and channel. */
  readonly #states: Float64Array[] = [];
  readonly #part: number;
  readonly #energies = new GrowingFloats();
  #sum = 0;
  #count = 0;

  constructor(rate: number) {
    this.#filters = kWeighting(rate);
    this.#part = Math.round(rate / ENERGIES_A_SECOND);
  }

  push(channels: readonly Float32Array[]): void {
    const length = channels[0]!.length;
    for (let at = 0; at < length;) {
      const end = Math.min(length, at + this.#part - this.#count);
      channels.forEach((channel, i) => {
        const state = (this.#states[i] ??= new Float64Array(4));
        this.#sum += this.#energy(channel, at, end, state);
      });
      this.#count += end - at;
      if (this.#count === this.#part) {
        this.#energies.push(this.#sum / this.#part);
        this.#sum = 0;
        this.#count = 0;
      }
      at = end;
    }
  }

  /** Sum of squares of samples [from, to) after both filters (transposed direct form II). */
  #energy(samples: Float32Array, from: number, to: number, state: Float64Array): number {
    const [[b0, b1, b2, a1, a2], [c0, c1, c2, d1, d2]] = this.#filters;
    let [s0, s1, t0, t1] = [state[0]!, state[1]!, state[2]!, state[3]!];
    let sum = 0;
    for (let i = from; i < to; i++) {
      const x = samples[i]!;
      const y = b0 * x + s0;
      s0 = b1 * x - a1 * y + s1;
      s1 = b2 * x - a2 * y;
      const z = c0 * y + t0;
      t0 = c1 * y - d1 * z + t1;
      t1 = c2 * y - d2 * z;
      sum += z * z;
    }
    // Numbers too small to be normal are a hundred times slower.
    const tidy = (value: number): number => (Math.abs(value) < 1e-30 ? 0 : value);
    state.set([tidy(s0), tidy(s1), tidy(t0), tidy(t1)]);
    return sum;
  }

  energies(): Float32Array<ArrayBuffer> {
    return this.#energies.array();
  }
}

export const toLufs = (energy: number): number => -0.691 + 10 * Math.log10(energy);
const fromLufs = (lufs: number): number => 10 ** ((lufs + 0.691) / 10);

/**
 * Integrated loudness of parts [from, to) in LUFS, gated twice; null where nothing passes -70 LUFS. What is shorter than a
 * block is one block.
 */
export function integratedLoudness(energies: Float32Array, from = 0, to = energies.length): number | null {
  const size = Math.min(PARTS_A_BLOCK, to - from);
  if (size <= 0) return null;
  const blocks = new Float64Array(to - from - size + 1);
  for (let i = 0; i < blocks.length; i++) {
    for (let part = 0; part < size; part++) blocks[i]! += energies[from + i + part]! / size;
  }
  const mean = (gate: number): number | null => {
    let [sum, count] = [0, 0];
    for (const block of blocks) {
      if (block <= gate) continue;
      sum += block;
      count++;
    }
    return count === 0 ? null : sum / count;
  };
  const loud = mean(fromLufs(ABSOLUTE_GATE));
  if (loud === null) return null;
  const gate = Math.max(fromLufs(ABSOLUTE_GATE), loud * 10 ** (RELATIVE_GATE / 10));
  const gated = mean(gate);
  return gated === null ? null : toLufs(gated);
}

/** What all clips are brought to: between the -14 of streaming shops and the -18 that leaves classical music its peaks. */
export const TARGET_LUFS = -16;
const HIGHEST_PEAK = 10 ** (-1 / 20);
/** More would mostly make noise louder. */
const MOST_GAIN_DB = 20;

/** What a clip is multiplied by: to the common loudness, as far as its peak stays 1 dB under full scale. */
export function eveningGain(loudness: number | null, peak: number): number {
  if (loudness === null || peak <= 0) return 1;
  const wanted = 10 ** (Math.min(MOST_GAIN_DB, TARGET_LUFS - loudness) / 20);
  return Math.min(wanted, HIGHEST_PEAK / peak);
}
