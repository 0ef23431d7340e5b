/**
 * Orders and splits that a seed decides, the same on every machine: 32-bit integer arithmetic alone.
 */

const rotateLeft = (value: number, by: number): number => (value << by) | (value >>> (32 - by));

/** xoshiro128** 1.1 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021). */
export class Xoshiro128 {
  readonly #state: Uint32Array;

  /** From a state of four words, not all zero. */
  constructor(state: readonly [number, number, number, number]) {
    this.#state = Uint32Array.from(state);
    if (this.#state.every((word) => word === 0)) throw new RangeError('The state of the generator is all zero.');
  }

  /**
   * From numbers such as seed and epoch: each is taken by its low 53 bits and stirred in with splitmix32 (the 32-bit
   * finaliser of MurmurHash3 over a Weyl sequence), so that neighbouring seeds give unrelated sequences.
   */
  static from(...numbers: number[]): Xoshiro128 {
    let weyl = 0;
    let hash = 0;
    const next = (word: number): number => {
      weyl = (weyl + 0x9e3779b9) | 0;
      let mixed = (hash ^ word) + weyl;
      mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
      mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
      hash = mixed ^ (mixed >>> 16);
      return hash;
    };
    for (const number of numbers) {
      if (!Number.isSafeInteger(number)) throw new RangeError(`A seed must be a whole number, not ${String(number)}.`);
      next(number);
      next(Math.floor(number / 2 ** 32));
    }
    return new Xoshiro128([next(1), next(2), next(3), next(4) || 1]);
  }

  /** A whole number in [0, 2^32). */
  next(): number {
    const s = this.#state;
    const [s0 = 0, s1 = 0, s2 = 0, s3 = 0] = s;
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    const a = s2 ^ s0;
    const b = s3 ^ s1;
    s[1] = s1 ^ a;
    s[0] = s0 ^ b;
    s[2] = a ^ (s1 << 9);
    s[3] = rotateLeft(b, 11);
    return result;
  }

  /** A whole number in [0, bound), each equally likely; bound in 1..2^32. */
  below(bound: number): number {
    const limit = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      const number = this.next();
      if (number < limit) return number % bound;
    }
  }
}

/** Keeps the uses of one seed apart. */
const SHUFFLE = 1;
const HELD_OUT = 2;

function permutation(count: number, random: Xoshiro128): Uint32Array<ArrayBuffer> {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last--) {
    const other = random.below(last + 1);
    const kept = order[last] ?? 0;
    order[last] = order[other] ?? 0;
    order[other] = kept;
  }
  return order;
}

/** The order in which an epoch (from 0) takes `count` things: a permutation of 0..count-1 (Fisher-Yates). */
export function shuffledOrder(count: number, seed: number, epoch: number): Uint32Array<ArrayBuffer> {
  return permutation(count, Xoshiro128.from(SHUFFLE, seed, epoch));
}

export interface HeldOutSplit {
  /** Indices, ascending. */
  train: number[];
  heldOut: number[];
}

/**
 * Sets a share (0 to under 1) of `count` things aside. Where anything is to be set aside and two things are there, at
 * least one is, and at least one is left to train on.
 */
export function splitHeldOut(count: number, share: number, seed: number): HeldOutSplit {
  if (!(share >= 0 && share < 1))
    throw new RangeError(`The held-out share must be 0 to under 1, not ${String(share)}.`);
  const wanted = share > 0 && count > 1 ? Math.min(count - 1, Math.max(1, Math.round(count * share))) : 0;
  const order = Array.from(permutation(count, Xoshiro128.from(HELD_OUT, seed)));
  const ascending = (a: number, b: number): number => a - b;
  return { train: order.slice(wanted).sort(ascending), heldOut: order.slice(0, wanted).sort(ascending) };
}
