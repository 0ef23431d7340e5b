/**
 * Resampling by a windowed sinc in polyphase form (J. O. Smith, "Digital Audio Resampling"; the window is Kaiser's), a block at a
 * time. Libraries were looked at: libsamplerate's build for JavaScript weighs two megabytes and has not been kept since 2024,
 * mediabunny's own draws straight lines between samples.
 */

/** How good, and how dear: zero crossings of the sinc on each side, and the window's shape. */
export interface ResamplerQuality {
  zeros: number;
  /** Kaiser's beta: 10 is a stop band of -100 dB. */
  beta: number;
  /** Where the filter is at half, of the lower Nyquist frequency. */
  cutoff: number;
}

/** For training: flat to 0.88 of the Nyquist frequency, what would fold back is 100 dB down. */
export const BEST: ResamplerQuality = { zeros: 48, beta: 10, cutoff: 0.94 };
/** For measuring: -60 dB. */
export const FAST: ResamplerQuality = { zeros: 12, beta: 5.65, cutoff: 0.85 };

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** Modified Bessel function of the first kind, order zero. */
function bessel0(x: number): number {
  let [sum, term] = [1, 1];
  for (let k = 1; term > 1e-12 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** Filters of every phase between two samples, one after the other: [phases, taps]. */
interface Filters {
  up: number;
  down: number;
  taps: number;
  table: Float32Array;
}

const made = new Map<string, Filters>();

function filtersFor(from: number, to: number, quality: ResamplerQuality): Filters {
  const key = [from, to, quality.zeros].join();
  const known = made.get(key);
  if (known) return known;
  const divisor = gcd(from, to);
  const [up, down] = [to / divisor, from / divisor];
  // Of the input's rate: below its own Nyquist frequency going up, below the output's going down.
  const band = quality.cutoff * Math.min(1, to / from);
  const half = Math.ceil(quality.zeros / Math.min(1, to / from));
  const taps = 2 * half;
  const table = new Float32Array(up * taps);
  const scale = 1 / bessel0(quality.beta);
  for (let phase = 0; phase < up; phase++) {
    for (let tap = 0; tap < taps; tap++) {
      // Distance of the output's place from the input's sample, in samples of the input.
      const x = tap - half + 1 - phase / up;
      const edge = x / half;
      const window = Math.abs(edge) >= 1 ? 0 : bessel0(quality.beta * Math.sqrt(1 - edge * edge)) * scale;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * band * x) / (Math.PI * band * x);
      table[phase * taps + tap] = band * sinc * window;
    }
    const row = table.subarray(phase * taps, (phase + 1) * taps);
    // Silence of what is constant: no phase is louder than another.
    const sum = row.reduce((total, value) => total + value, 0);
    for (let tap = 0; tap < taps; tap++) row[tap]! /= sum;
  }
  const filters = { up, down, taps, table };
  if (made.size >= 8) made.clear();
  made.set(key, filters);
  return filters;
}

/** One channel. Sample n of what comes out lies at n / to seconds of what goes in; around it, silence. */
export class Resampler {
  readonly #filters: Filters;
  /** What is still needed of the input, from its sample `#first` on. */
  #held: Float32Array<ArrayBuffer>;
  #first: number;
  #taken = 0;
  /** Samples given so far, and where the next lies: whole samples of the input and phases beyond. */
  #given = 0;
  #whole = 0;
  #phase = 0;

  /** Rates in hertz, whole numbers. */
  constructor(from: number, to: number, quality: ResamplerQuality = BEST) {
    this.#filters = filtersFor(from, to, quality);
    const half = this.#filters.taps / 2;
    this.#held = new Float32Array(half - 1);
    this.#first = -(half - 1);
  }

  /** What can be said after these samples. */
  push(block: Float32Array): Float32Array<ArrayBuffer> {
    const { up, down } = this.#filters;
    if (up === down) return new Float32Array(block);
    const held = new Float32Array(this.#held.length + block.length);
    held.set(this.#held);
    held.set(block, this.#held.length);
    this.#held = held;
    this.#taken += block.length;
    return this.#give(Infinity);
  }

  /** The rest; ⌈samples · to / from⌉ have been given in all then. */
  end(): Float32Array<ArrayBuffer> {
    const { up, down, taps } = this.#filters;
    if (up === down) return new Float32Array(0);
    const most = Math.ceil((this.#taken * up) / down) - this.#given;
    const held = new Float32Array(this.#held.length + taps);
    held.set(this.#held);
    this.#held = held;
    return this.#give(most);
  }

  #give(most: number): Float32Array<ArrayBuffer> {
    const { up, down, taps, table } = this.#filters;
    const half = taps / 2;
    const held = this.#held;
    // The last sample that an output at `whole` touches is whole + half.
    const last = this.#first + held.length - 1 - half;
    const places = (last - this.#whole) * up + (up - 1 - this.#phase);
    const count = Math.max(0, Math.min(most, Math.floor(places / down) + 1));
    const out = new Float32Array(count);
    for (let n = 0; n < count; n++) {
      const from = this.#whole - half + 1 - this.#first;
      const row = this.#phase * taps;
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) sum += table[row + tap]! * held[from + tap]!;
      out[n] = sum;
      this.#phase += down;
      const steps = Math.floor(this.#phase / up);
      this.#whole += steps;
      this.#phase -= steps * up;
    }
    this.#given += count;
    const done = Math.min(held.length, this.#whole - half + 1 - this.#first);
    if (done > 0) {
      this.#held = held.slice(done);
      this.#first += done;
    }
    return out;
  }
}

/** A whole channel at once. */
export function resampleAll(
  samples: Float32Array<ArrayBuffer>,
  from: number,
  to: number,
  quality: ResamplerQuality = BEST,
): Float32Array<ArrayBuffer> {
  if (from === to) return samples;
  const resampler = new Resampler(from, to, quality);
  const [head, tail] = [resampler.push(samples), resampler.end()];
  const out = new Float32Array(head.length + tail.length);
  out.set(head);
  out.set(tail, head.length);
  return out;
}
