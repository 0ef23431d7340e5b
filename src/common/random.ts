/**
 * Philox4x32-10, a counter-based random generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011):
 * block n of a stream is a function of the key and of n alone, so that the same seed gives the same numbers on every
 * machine, in whatever order they are asked for.
 */
export function philox(counter: readonly [number, number, number, number], key0: number, key1: number): Uint32Array {
  let [c0, c1, c2, c3] = counter;
  let k0 = key0 >>> 0;
  let k1 = key1 >>> 0;
  for (let round = 0; round < 10; round++) {
    const low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    const next0 = (mulHigh(0xcd9e8d57, c2) ^ c1 ^ k0) >>> 0;
    const next2 = (mulHigh(0xd2511f53, c0) ^ c3 ^ k1) >>> 0;
    c0 = next0;
    c1 = low1;
    c2 = next2;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return Uint32Array.of(c0, c1, c2, c3);
}

/** Upper 32 bits of the product of two unsigned 32-bit numbers. */
function mulHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0;
}

/** 32-bit FNV-1a over the UTF-8 bytes of a text. */
export function hashText(text: string, basis = 0x811c9dc5): number {
  let hash = basis >>> 0;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

/** A stream of random numbers for one purpose: seed and name make the key, the position makes the counter. */
export class RandomStream {
  readonly #key0: number;
  readonly #key1: number;
  readonly #name: number;
  #block = 0;
  #words = new Uint32Array(0);
  #used = 0;

  /** seed: an integer of at most 53 bits. */
  constructor(seed: number, name: string) {
    this.#key0 = seed >>> 0;
    this.#key1 = Math.floor(seed / 4294967296) >>> 0;
    this.#name = hashText(name);
  }

  /** An integer in 0 .. 2^32 - 1. */
  next(): number {
    if (this.#used === this.#words.length) {
      // The counter's last word tells the streams of different names apart, its second carries long streams on.
      const high = Math.floor(this.#block / 4294967296);
      this.#words = new Uint32Array(philox([this.#block >>> 0, high, 0, this.#name], this.#key0, this.#key1));
      this.#block++;
      this.#used = 0;
    }
    return this.#words[this.#used++]!;
  }

  /** In [0, 1), a multiple of 2^-24, so that float32 holds it exactly. */
  uniform(): number {
    return (this.next() >>> 8) / 16777216;
  }

  /** An integer in 0 .. below - 1, each equally likely. */
  integer(below: number): number {
    const limit = 4294967296 - (4294967296 % below);
    let value = this.next();
    while (value >= limit) value = this.next();
    return value % below;
  }

  /** Standard normal. Uses no function whose last digit differs from one JavaScript engine to the next. */
  normal(): number {
    return inverseNormal((this.next() + 0.5) / 4294967296);
  }

  /** 0 .. n-1 in random order (Fisher and Yates). */
  permutation(n: number): Uint32Array<ArrayBuffer> {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const swapped = order[i]!;
      order[i] = order[j]!;
      order[j] = swapped;
    }
    return order;
  }
}

/** Natural logarithm for 0 < x <= 1 from basic arithmetic: x = m·2^e, ln m = 2 artanh((m - 1) / (m + 1)). */
function naturalLog(x: number): number {
  let mantissa = x;
  let exponent = 0;
  while (mantissa < Math.SQRT1_2) {
    mantissa *= 2;
    exponent--;
  }
  const ratio = (mantissa - 1) / (mantissa + 1);
  const square = ratio * ratio;
  let sum = 0;
  for (let k = 19; k >= 1; k -= 2) sum = sum * square + 1 / k;
  return 2 * ratio * sum + exponent * Math.LN2;
}

/** Quantile of the standard normal distribution, relative error below 1.2e-9 (P. J. Acklam's rational approximation). */
export function inverseNormal(p: number): number {
  if (p > 0.5) return -inverseNormal(1 - p);
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * naturalLog(p));
    const top = -7.784894002430293e-3;
    return (
      (((((top * q - 0.3223964580411365) * q - 2.400758277161838) * q - 2.549732539343734) * q + 4.374664141464968) *
        q +
        2.938163982698783) /
      ((((7.784695709041462e-3 * q + 0.3224671290700398) * q + 2.445134137142996) * q + 3.754408661907416) * q + 1)
    );
  }
  const q = p - 0.5;
  const r = q * q;
  return (
    ((((((-39.69683028665376 * r + 220.9460984245205) * r - 275.9285104469687) * r + 138.357751867269) * r -
      30.66479806614716) *
      r +
      2.506628277459239) *
      q) /
    (((((-54.47609879822406 * r + 161.5858368580409) * r - 155.6989798598866) * r + 66.80131188771972) * r -
      13.28068155288572) *
      r +
      1)
  );
}
