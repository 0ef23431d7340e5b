/** Power spectra of real signals: Cooley and Tukey's transform over half the length. */
export class PowerSpectrum {
  /** Samples of a frame, a power of two. */
  readonly size: number;
  /** Numbers of a spectrum: size / 2 + 1, from 0 Hz to the Nyquist frequency. */
  readonly bins: number;
  readonly #window: Float64Array;
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;
  readonly #order: Uint32Array;
  readonly #re: Float64Array;
  readonly #im: Float64Array;

  constructor(size: number) {
    if (size < 8 || (size & (size - 1)) !== 0) throw new Error(`A transform's length is a power of two, not ${size}`);
    this.size = size;
    this.bins = size / 2 + 1;
    const half = size / 2;
    // Hann; scaled so that a full-scale sine has a power of 1 in its bin.
    this.#window = Float64Array.from({ length: size }, (_, i) => (2 - 2 * Math.cos((2 * Math.PI * i) / size)) / size);
    this.#cos = Float64Array.from({ length: half }, (_, i) => Math.cos((2 * Math.PI * i) / size));
    this.#sin = Float64Array.from({ length: half }, (_, i) => -Math.sin((2 * Math.PI * i) / size));
    this.#order = new Uint32Array(half);
    const bits = Math.log2(half);
    for (let i = 0; i < half; i++) {
      let reversed = 0;
      for (let bit = 0; bit < bits; bit++) reversed |= ((i >> bit) & 1) << (bits - 1 - bit);
      this.#order[i] = reversed;
    }
    this.#re = new Float64Array(half);
    this.#im = new Float64Array(half);
  }

  /** Power of `size` samples from `at` on under a Hann window, into `out` of `bins` numbers. */
  of(samples: Float32Array, at: number, out: Float32Array): void {
    const half = this.size / 2;
    const [re, im, window] = [this.#re, this.#im, this.#window];
    for (let i = 0; i < half; i++) {
      const to = this.#order[i]!;
      re[to] = samples[at + 2 * i]! * window[2 * i]!;
      im[to] = samples[at + 2 * i + 1]! * window[2 * i + 1]!;
    }
    this.#butterflies(half);
    // The even and the odd samples were one complex signal: taken apart, and put together as one real one.
    for (let k = 0; k <= half / 2; k++) {
      const other = (half - k) % half;
      const [ar, ai] = [re[k]!, im[k]!];
      const [br, bi] = [re[other]!, -im[other]!];
      const [er, ei] = [(ar + br) / 2, (ai + bi) / 2];
      const [or, oi] = [(ai - bi) / 2, -(ar - br) / 2];
      const [c, s] = [this.#cos[k]!, this.#sin[k]!];
      const [tr, ti] = [or * c - oi * s, or * s + oi * c];
      out[k] = (er + tr) ** 2 + (ei + ti) ** 2;
      out[half - k] = (er - tr) ** 2 + (ei - ti) ** 2;
    }
  }

  #butterflies(count: number): void {
    const [re, im, cos, sin] = [this.#re, this.#im, this.#cos, this.#sin];
    // The first two rounds at once: their factors are only 1 and -i.
    for (let a = 0; a < count; a += 4) {
      const [b, c, d] = [a + 1, a + 2, a + 3];
      const [sr, si] = [re[a]! + re[b]!, im[a]! + im[b]!];
      const [tr, ti] = [re[a]! - re[b]!, im[a]! - im[b]!];
      const [ur, ui] = [re[c]! + re[d]!, im[c]! + im[d]!];
      const [vr, vi] = [re[c]! - re[d]!, im[c]! - im[d]!];
      re[a] = sr + ur;
      im[a] = si + ui;
      re[b] = tr + vi;
      im[b] = ti - vr;
      re[c] = sr - ur;
      im[c] = si - ui;
      re[d] = tr - vi;
      im[d] = ti + vr;
    }
    for (let width = 4; width < count; width *= 2) {
      const stride = count / width;
      for (let start = 0; start < count; start += 2 * width) {
        for (let k = 0; k < width; k++) {
          const [c, s] = [cos[k * stride]!, sin[k * stride]!];
          const [a, b] = [start + k, start + k + width];
          const [tr, ti] = [re[b]! * c - im[b]! * s, re[b]! * s + im[b]! * c];
          re[b] = re[a]! - tr;
          im[b] = im[a]! - ti;
          re[a]! += tr;
          im[a]! += ti;
        }
      }
    }
  }
}
