/**
 * Keys from pitch classes: the profiles of C. Krumhansl and E. Kessler (1982) by the algorithm of C. Krumhansl and M. Schmuckler
 * ("Cognitive Foundations of Musical Pitch", 1990). Libraries were looked at: Essentia's key is AGPL, no other is kept.
 */
import { PITCHES, SLOW_RATE } from './features.ts';
import type { Features } from './features.ts';
import type { Key } from './types.ts';

const MAJOR = [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88];
const MINOR = [6.33, 2.68, 3.52, 5.38, 2.6, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17];
/** As most scores write them. */
const MAJOR_NAMES = ['C', 'Db', 'D', 'Eb', 'E', 'F', 'F#', 'G', 'Ab', 'A', 'Bb', 'B'];
const MINOR_NAMES = ['C', 'C#', 'D', 'Eb', 'E', 'F', 'F#', 'G', 'G#', 'A', 'Bb', 'B'];

/** Correlation under which no key is named. */
const LEAST = 0.55;

function correlation(a: readonly number[], b: readonly number[], shift: number): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const x = a[(i + shift) % a.length]! - ma;
    const y = b[i]! - mb;
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return aa === 0 ? 0 : ab / Math.sqrt(aa * bb);
}

/** Pitch classes, C first, each with what lies a sixth of a tone beside it; tuned as most of what sounds. */
function twelve(fine: Float64Array): number[] {
  const per = PITCHES / 12;
  const offset = Array.from({ length: per }, (_, part) => {
    let sum = 0;
    for (let i = part; i < PITCHES; i += per) sum += fine[i]! ** 2;
    return sum;
  });
  // 0 is in tune, 1 a third of a semitone sharp, 2 as much flat.
  const tuning = offset.indexOf(Math.max(...offset));
  const shift = tuning === 2 ? -1 : tuning;
  return Array.from({ length: 12 }, (_, i) => {
    const middle = i * per + shift;
    const at = (place: number): number => fine[(place + PITCHES) % PITCHES]!;
    return at(middle - 1) + at(middle) + at(middle + 1);
  });
}

/** The key of 12 strengths, C first; null where none fits. */
export function keyOf(strengths: readonly number[]): Key | null {
  let best: { fit: number; name: Key } = { fit: LEAST, name: '' };
  for (let tonic = 0; tonic < 12; tonic++) {
    const major = correlation(strengths, MAJOR, tonic);
    const minor = correlation(strengths, MINOR, tonic);
    if (major > best.fit) best = { fit: major, name: `${MAJOR_NAMES[tonic]!} major` };
    if (minor > best.fit) best = { fit: minor, name: `${MINOR_NAMES[tonic]!} minor` };
  }
  return best.name === '' ? null : best.name;
}

/** The key of seconds [start, end). */
export function keyBetween({ pitches }: Features, start: number, end: number): Key | null {
  const frames = pitches.length / PITCHES;
  const from = Math.max(0, Math.floor(start * SLOW_RATE));
  const to = Math.min(frames, Math.max(from + 1, Math.round(end * SLOW_RATE)));
  const sum = new Float64Array(PITCHES);
  for (let frame = from; frame < to; frame++) {
    for (let i = 0; i < PITCHES; i++) sum[i]! += pitches[frame * PITCHES + i]!;
  }
  return keyOf(twelve(sum));
}
