/**
 * Tempo and beats from onsets: autocorrelation with a preference for walking pace, then the beats by dynamic programming (D. Ellis,
 * "Beat tracking by dynamic programming", 2007). Libraries were looked at: those that are kept (realtime-bpm-analyzer,
 * web-audio-beat-detector) need Web Audio, which workers and Node lack; music-tempo has not been kept since 2017; aubio is GPL
 * and Essentia AGPL.
 */
import { FAST_RATE } from './features.ts';

const SLOWEST = 40;
const FASTEST = 220;
/** Octaves around 120 beats a minute that are about as likely. */
const SPREAD = 0.9;
/** Tempi that are the same where a person plays, and how much the tempo of the whole is preferred in its parts. */
const SAME_TEMPO = 0.06;
const PREFERENCE = 1.5;
/** Autocorrelation at the beat, of that at nothing, under which there is no steady beat. */
const LEAST = 0.12;
/** Frames of which the mean is taken away: what rises slowly is no beat. */
const AROUND = Math.round(FAST_RATE);

/** Onsets without their slow rise and fall. */
function sharpened(onsets: Float32Array): Float64Array {
  const sums = new Float64Array(onsets.length + 1);
  onsets.forEach((onset, i) => (sums[i + 1] = sums[i]! + onset));
  return Float64Array.from(onsets, (onset, i) => {
    const from = Math.max(0, i - AROUND);
    const to = Math.min(onsets.length, i + AROUND + 1);
    return Math.max(0, onset - (sums[to]! - sums[from]!) / (to - from));
  });
}

function autocorrelation(values: Float64Array, lags: number): Float64Array {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const out = new Float64Array(lags + 1);
  for (let lag = 0; lag <= lags; lag++) {
    let sum = 0;
    for (let i = lag; i < values.length; i++) sum += (values[i]! - mean) * (values[i - lag]! - mean);
    out[lag] = sum / (values.length - lag);
  }
  return out;
}

/** Where between two neighbours the top of a peak lies, and how high it is. */
function peakAt(values: Float64Array, lag: number): [place: number, height: number] {
  const [a, b, c] = [values[lag - 1]!, values[lag]!, values[lag + 1]!];
  const bend = a - 2 * b + c;
  const shift = bend < 0 ? Math.max(-0.5, Math.min(0.5, (0.5 * (a - c)) / bend)) : 0;
  return [lag + shift, b - 0.25 * (a - c) * shift];
}

/** Longest stretch that is looked at for a tempo: seconds from its middle. */
const MOST_SECONDS = 180;

/**
 * Beats a minute in frames [from, to) of the onsets, to a tenth; null where no steady beat is heard.
 * @param usual the tempo of the whole, if known: of several beats that fit, its own is taken
 */
export function tempoOf(
  onsets: Float32Array,
  from = 0,
  to = onsets.length,
  usual: number | null = null,
): number | null {
  const most = Math.round(MOST_SECONDS * FAST_RATE);
  const start = Math.max(from, Math.floor((from + to - most) / 2));
  const values = sharpened(onsets.subarray(start, Math.min(to, start + most)));
  const longest = Math.ceil((60 / SLOWEST) * FAST_RATE);
  // Four of the slowest beats must have been heard.
  if (values.length < 4 * longest) return tempoOfShort(values, usual);
  return tempoFrom(values, longest, usual);
}

/** Short clips know only faster beats. */
function tempoOfShort(values: Float64Array, usual: number | null): number | null {
  const longest = Math.floor(values.length / 4);
  return longest < FAST_RATE / 3 ? null : tempoFrom(values, longest, usual);
}

/**
 * A beat comes again at twice and four times its distance, and is mostly halved; a beat and a half comes again too, but its half
 * does not.
 */
const MULTIPLES: readonly (readonly [times: number, weight: number])[] = [
  [0.5, 0.5],
  [1, 1],
  [2, 0.6],
  [4, 0.3],
];

function tempoFrom(values: Float64Array, longest: number, usual: number | null): number | null {
  const lags = Math.min(values.length - 1, 4 * longest + 4);
  const similar = autocorrelation(values, lags);
  if (similar[0]! <= 0) return null;
  const shortest = Math.floor((60 / FASTEST) * FAST_RATE);
  let best = { lag: 0, score: 0 };
  for (let lag = shortest; lag <= longest; lag++) {
    if (similar[lag]! < similar[lag - 1]! || similar[lag]! < similar[lag + 1]!) continue;
    const [place] = peakAt(similar, lag);
    let sum = 0;
    let weights = 0;
    for (const [times, weight] of MULTIPLES) {
      const at = Math.round(place * times);
      if (at < 1 || at + 1 >= lags) continue;
      sum += weight * Math.max(similar[at - 1]!, similar[at]!, similar[at + 1]!);
      weights += weight;
    }
    const tempo = (60 * FAST_RATE) / place;
    const likely = Math.exp(-0.5 * (Math.log2(tempo / 120) / SPREAD) ** 2);
    const known = usual !== null && Math.abs(tempo / usual - 1) < SAME_TEMPO ? PREFERENCE : 1;
    const score = (sum / weights) * likely * known;
    if (score > best.score) best = { lag: place, score };
  }
  if (best.lag === 0 || similar[Math.round(best.lag)]! < LEAST * similar[0]!) return null;
  // The further away the same peak is found, the finer it tells the distance.
  let place = best.lag;
  for (const times of [2, 4]) {
    const near = Math.round(place * times);
    if (near + 3 >= lags) break;
    let top = near;
    for (let lag = near - 2; lag <= near + 2; lag++) if (similar[lag]! > similar[top]!) top = lag;
    if (similar[top]! < 0.5 * similar[Math.round(best.lag)]!) break;
    place = peakAt(similar, top)[0] / times;
  }
  return Math.round((600 * FAST_RATE) / place) / 10;
}

/** How much a beat that comes too early or late costs. */
const TIGHTNESS = 100;

/**
 * Beats in seconds, by the tempo given: the sequence of frames whose onsets are strong and whose distances are even.
 * @param tempo beats a minute
 */
export function beatsOf(onsets: Float32Array, tempo: number): Float64Array<ArrayBuffer> {
  const values = sharpened(onsets);
  const spread = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / Math.max(1, values.length));
  if (spread === 0) return new Float64Array();
  const period = (60 * FAST_RATE) / tempo;
  const [near, far] = [Math.max(1, Math.round(period / 2)), Math.round(2 * period)];
  const cost = Float64Array.from(
    { length: far + 1 },
    (_, distance) => -TIGHTNESS * Math.log(Math.max(1, distance) / period) ** 2,
  );
  const scores = new Float64Array(values.length);
  const previous = new Int32Array(values.length).fill(-1);
  for (let i = 0; i < values.length; i++) {
    let best = 0;
    for (let distance = near; distance <= Math.min(far, i); distance++) {
      const score = scores[i - distance]! + cost[distance]!;
      if (score > best) {
        best = score;
        previous[i] = i - distance;
      }
    }
    scores[i] = values[i]! / spread + best;
  }
  let at = values.length - 1;
  for (let i = Math.max(0, values.length - far); i < values.length; i++) if (scores[i]! > scores[at]!) at = i;
  const beats: number[] = [];
  for (; at >= 0; at = previous[at]!) beats.push(at / FAST_RATE);
  return Float64Array.from(beats.reverse());
}
