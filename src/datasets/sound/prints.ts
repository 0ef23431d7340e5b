/**
 * Fingerprints by which the same music is found again, at another bitrate, loudness or place: 32 bits a frame, each telling whether
 * the difference of two neighbouring bands grew (J. Haitsma, T. Kalker, "A highly robust audio fingerprinting system", 2002).
 */

export const PRINT_BANDS = 33;
const LOWEST = 300;
const HIGHEST = 2000;

/** Energies of bands from 300 to 2000 Hz, equally wide to the ear. */
export function printBands(power: Float32Array, binWidth: number, out: Float32Array): void {
  const ratio = (HIGHEST / LOWEST) ** (1 / PRINT_BANDS);
  let low = LOWEST;
  for (let band = 0; band < PRINT_BANDS; band++) {
    const high = low * ratio;
    let sum = 0;
    for (let bin = Math.round(low / binWidth); bin < Math.round(high / binWidth); bin++) sum += power[bin]!;
    out[band] = sum;
    low = high;
  }
}

export function printWord(now: Float32Array, before: Float32Array): number {
  let word = 0;
  for (let bit = 0; bit < PRINT_BANDS - 1; bit++) {
    const rose = now[bit]! - now[bit + 1]! - (before[bit]! - before[bit + 1]!) > 0;
    word = (word << 1) | (rose ? 1 : 0);
  }
  return word >>> 0;
}

export function encodePrint(words: Uint32Array): string {
  let text = '';
  for (const word of words) text += String.fromCharCode(word & 255, (word >> 8) & 255, (word >> 16) & 255, word >>> 24);
  return btoa(text);
}

export function decodePrint(print: string): Uint32Array<ArrayBuffer> {
  const text = atob(print);
  const byte = (at: number): number => text.charCodeAt(at);
  return Uint32Array.from(
    { length: text.length >> 2 },
    (_, i) => (byte(4 * i) | (byte(4 * i + 1) << 8) | (byte(4 * i + 2) << 16) | (byte(4 * i + 3) << 24)) >>> 0,
  );
}

function bits(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return (((v + (v >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}

/** Share of differing bits over which two prints are of the same music; of different music half of them differ. */
const SAME_UNDER = 0.35;
/** Frames that must lie over each other: about three seconds. */
const FEWEST = 32;

/** Share of differing bits where `b` lies `shift` frames later than `a`, or 0.5 where they hardly meet. */
export function printDistance(a: Uint32Array, b: Uint32Array, shift: number): number {
  const from = Math.max(0, shift);
  const to = Math.min(a.length, b.length + shift);
  const count = to - from;
  if (count < FEWEST) return 0.5;
  let sum = 0;
  for (let i = from; i < to; i++) sum += bits(a[i]! ^ b[i - shift]!);
  return sum / (32 * count);
}

/** Words that silence, steady tones and loops share say nothing; those that are only near even less. */
const TOO_COMMON = 40;
const TOO_COMMON_NEAR = 8;

/**
 * Pairs (indices, the earlier first) of prints that are of the same music. Only pairs that share words (at most one bit apart)
 * at some shift are compared, so a thousand clips take seconds and not minutes.
 * @param from pairs whose later print lies before this one are known already and left out
 */
export function samePrints(prints: readonly Uint32Array[], from = 0): [number, number][] {
  const places = new Map<number, [print: number, frame: number][]>();
  prints.forEach((words, print) => {
    words.forEach((word, frame) => {
      const list = places.get(word);
      if (!list) places.set(word, [[print, frame]]);
      else if (list.length <= TOO_COMMON) list.push([print, frame]);
    });
  });
  const pairs: [number, number][] = [];
  for (let b = from; b < prints.length; b++) {
    const words = prints[b]!;
    /** Pairs and shifts that were compared, and prints that are the same. */
    const tried = new Set<number>();
    const found = new Set<number>();
    const meet = (a: number, shift: number): void => {
      const key = a * 65_536 + shift;
      if (a >= b || found.has(a) || tried.has(key)) return;
      tried.add(key);
      const shorter = Math.min(prints[a]!.length, words.length);
      const overlap = Math.min(prints[a]!.length, words.length + shift) - Math.max(0, shift);
      // Half of the shorter one must be the same: a shared bar is no copy.
      if (overlap >= shorter / 2 && printDistance(prints[a]!, words, shift) < SAME_UNDER) found.add(a);
    };
    words.forEach((word, frame) => {
      for (let flip = -1; flip < 32; flip++) {
        const list = places.get(flip < 0 ? word : (word ^ (1 << flip)) >>> 0);
        if (!list || list.length > (flip < 0 ? TOO_COMMON : TOO_COMMON_NEAR)) continue;
        for (const [a, place] of list) meet(a, place - frame);
      }
    });
    for (const a of [...found].sort((x, y) => x - y)) pairs.push([a, b]);
  }
  return pairs;
}
