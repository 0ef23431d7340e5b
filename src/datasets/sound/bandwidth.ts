/** How far up a file sounds: cheap encodings cut off everything above some frequency. */
import { PowerSpectrum } from './fft.ts';

const FRAME = 2048;
/** Seconds between frames that are looked at. */
const EVERY = 0.5;
/** Under the loudest band of 500 Hz by so much, nothing is heard. */
const INAUDIBLE_DB = 90;
const STEP_HERTZ = 500;

export class BandwidthMeter {
  readonly #rate: number;
  readonly #spectrum = new PowerSpectrum(FRAME);
  readonly #power = new Float32Array(FRAME / 2 + 1);
  readonly #sum = new Float64Array(FRAME / 2 + 1);
  readonly #frame = new Float32Array(FRAME);
  #filled = 0;
  /** Samples to let pass before the next frame. */
  #wait = 0;

  constructor(rate: number) {
    this.#rate = rate;
  }

  push(mono: Float32Array): void {
    for (let at = 0; at < mono.length;) {
      const pass = Math.min(this.#wait, mono.length - at);
      this.#wait -= pass;
      at += pass;
      const take = Math.min(FRAME - this.#filled, mono.length - at);
      this.#frame.set(mono.subarray(at, at + take), this.#filled);
      this.#filled += take;
      at += take;
      if (this.#filled < FRAME) continue;
      this.#spectrum.of(this.#frame, 0, this.#power);
      this.#power.forEach((power, bin) => (this.#sum[bin]! += power));
      this.#filled = 0;
      this.#wait = Math.max(0, Math.round(EVERY * this.#rate) - FRAME);
    }
  }

  /** Mean power of bands of 500 Hz, dB. */
  #bands(): number[] {
    const width = this.#rate / FRAME;
    return Array.from({ length: Math.ceil(this.#rate / 2 / STEP_HERTZ) }, (_, band) => {
      const from = Math.ceil((band * STEP_HERTZ) / width);
      const to = Math.min(this.#sum.length, Math.ceil(((band + 1) * STEP_HERTZ) / width));
      let sum = 0;
      for (let bin = from; bin < to; bin++) sum += this.#sum[bin]!;
      return 10 * Math.log10(sum / Math.max(1, to - from) + 1e-30);
    });
  }

  /** Hertz, in steps of 500, over which nothing can be heard; half the rate where all of it sounds. */
  bandwidth(): number {
    const bands = this.#bands();
    const loudest = bands.reduce((most, band) => Math.max(most, band), -300);
    let top = bands.length;
    while (top > 0 && bands[top - 1]! < loudest - INAUDIBLE_DB) top--;
    return Math.min(this.#rate / 2, top * STEP_HERTZ);
  }

  /**
   * Hertz of a wall that an encoder has built: within 1500 Hz the power falls by 25 dB and more and stays there; null where
   * there is none. Music fades out towards the top by itself, but not so suddenly.
   */
  wall(): number | null {
    const bands = this.#bands();
    const floor = bands.reduce((most, band) => Math.max(most, band), -300) - INAUDIBLE_DB;
    for (let band = 8; band + 3 < bands.length; band++) {
      const before = Math.max(bands[band - 1]!, floor);
      const rest = bands.slice(band + 2).reduce((most, value) => Math.max(most, value), -300);
      if (before - Math.max(rest, floor) >= 25) return band * STEP_HERTZ;
    }
    return null;
  }
}
