/** Where music is cut: at beats, where it changes or takes breath, in clips of up to 30 seconds. */
import { BANDS, FAST_RATE, PITCHES, SLOW_RATE } from './features.ts';
import type { Features } from './features.ts';
import type { Stretch } from './stretches.ts';

/** What music models are trained at. */
export const LONGEST_CLIP = 30;
/** Shorter ones are only made where the music itself is shorter. */
const SHORTEST_CUT = 8;
/** What a clip's length is drawn to: room for crops at random places, without a rest that is thrown away. */
const USUAL = 26;
/** How much more it counts that the music changes than that it takes breath, and what a cut must be worth to be made at all. */
const CHANGE = 2;
const CUT_COST = 1.2;
/** Seconds on each side that a change is judged by. */
const AROUND = 6;

/**
 * How much the music changes, for every slow frame: the distance between the means of what comes before and after, which is
 * Foote's checkerboard novelty for a linear kernel (J. Foote, "Automatic audio segmentation using a measure of audio novelty",
 * 2000). Pitch classes count as much as sound colour.
 */
export function novelty({ bands, pitches }: Features): Float64Array<ArrayBuffer> {
  const frames = bands.length / BANDS;
  const size = BANDS + 12;
  const rows = new Float64Array(frames * size);
  for (let frame = 0; frame < frames; frame++) {
    for (let i = 0; i < BANDS; i++) rows[frame * size + i] = bands[frame * BANDS + i]!;
    let sum = 1e-9;
    for (let i = 0; i < PITCHES; i++) sum += pitches[frame * PITCHES + i]!;
    for (let i = 0; i < PITCHES; i++) {
      rows[frame * size + BANDS + ((((i + 1) / 3) | 0) % 12)]! += pitches[frame * PITCHES + i]! / sum;
    }
  }
  standardise(rows, size, 0, BANDS);
  standardise(rows, size, BANDS, size);
  const sums = new Float64Array((frames + 1) * size);
  for (let i = 0; i < rows.length; i++) sums[i + size] = sums[i]! + rows[i]!;
  const around = Math.max(1, Math.round(AROUND * SLOW_RATE));
  const out = new Float64Array(frames);
  for (let frame = 1; frame < frames; frame++) {
    const [from, to] = [Math.max(0, frame - around), Math.min(frames, frame + around)];
    let distance = 0;
    for (let i = 0; i < size; i++) {
      const before = (sums[frame * size + i]! - sums[from * size + i]!) / (frame - from);
      const after = (sums[to * size + i]! - sums[frame * size + i]!) / (to - frame);
      distance += (after - before) ** 2;
    }
    // What is told from less is trusted less.
    out[frame] = distance * Math.min(1, (frame - from) / around) * Math.min(1, (to - frame) / around);
  }
  return out;
}

/** Brings columns [from, to) of rows to a variance of 1 / columns together: two groups then weigh the same. */
function standardise(rows: Float64Array, size: number, from: number, to: number): void {
  const frames = rows.length / size;
  for (let i = from; i < to; i++) {
    let [sum, squares] = [0, 0];
    for (let frame = 0; frame < frames; frame++) {
      sum += rows[frame * size + i]!;
      squares += rows[frame * size + i]! ** 2;
    }
    const mean = sum / frames;
    const deviation = Math.sqrt(Math.max(1e-12, squares / frames - mean * mean) * (to - from));
    for (let frame = 0; frame < frames; frame++) {
      rows[frame * size + i] = (rows[frame * size + i]! - mean) / deviation;
    }
  }
}

/** How much quieter the quarter second before a place is than two seconds on either side, 0 to 1 for 0 to 20 dB. */
function breath(level: Float32Array, at: number): number {
  const frame = Math.round(at * FAST_RATE);
  const mean = (from: number, to: number): number => {
    const [a, b] = [Math.max(0, Math.round(from)), Math.min(level.length, Math.round(to))];
    let sum = 0;
    for (let i = a; i < b; i++) sum += level[i]!;
    return b > a ? sum / (b - a) : 0;
  };
  const around = Math.min(mean(frame - 2 * FAST_RATE, frame), mean(frame, frame + 2 * FAST_RATE));
  const dip = around - mean(frame - FAST_RATE / 4, frame);
  return Math.max(0, Math.min(1, dip / 20));
}

/** Places at which a stretch may be cut: beats where there is a beat, else onsets that stand out, at least each second. */
function candidates({ start, end }: Stretch, beats: Float64Array, onsets: Float32Array): number[] {
  const inside = Array.from(beats).filter((beat) => beat > start && beat < end);
  if (inside.length > (end - start) / 2) return inside;
  const places: number[] = [];
  for (let from = start + 1; from + 1 <= end; from += 1) {
    let best = Math.round(from * FAST_RATE);
    for (let i = best; i < (from + 1) * FAST_RATE && i < onsets.length; i++) if (onsets[i]! > onsets[best]!) best = i;
    places.push(best / FAST_RATE);
  }
  return places;
}

/** What a clip of so many seconds is worth, beside where its ends lie. */
function lengthScore(seconds: number): number {
  return -1.5 * ((seconds - USUAL) / USUAL) ** 2;
}

/**
 * Cuts a stretch of music into clips of up to LONGEST_CLIP seconds. Of all ways to cut it, that is taken whose places are the
 * best in sum (novelty, breath) while the lengths stay near the usual one.
 */
export function cutAtPhrases(
  stretch: Stretch,
  features: Features,
  change: Float64Array,
  beats: Float64Array,
): Stretch[] {
  const { start, end } = stretch;
  if (end - start <= LONGEST_CLIP) return [stretch];
  // A blow sounds from a little before its frame's middle on.
  const places = [start, ...candidates(stretch, beats, features.onsets).map((at) => Math.max(start, at - 0.03)), end];
  const changeAt = (at: number): number => change[Math.round(at * SLOW_RATE)] ?? 0;
  // What changes most inside the stretch counts: its edges, where the music begins and ends, would outdo all of it.
  const inner = places.filter((at) => at > start + AROUND && at < end - AROUND).map(changeAt);
  const most = Math.max(1e-12, ...inner);
  const worth = places.map((at, i) =>
    i === 0 || i === places.length - 1
      ? 0
      : CHANGE * Math.min(1, changeAt(at) / most) + breath(features.level, at) - CUT_COST,
  );
  const best = new Float64Array(places.length).fill(-Infinity);
  const from = new Int32Array(places.length).fill(-1);
  best[0] = 0;
  let first = 0;
  for (let i = 1; i < places.length; i++) {
    while (places[i]! - places[first]! > LONGEST_CLIP) first++;
    for (let j = first; j < i; j++) {
      const seconds = places[i]! - places[j]!;
      // Better a short rest than none at all: it costs so much that it is only left where nothing else fits.
      const rest = seconds < SHORTEST_CUT ? -20 : 0;
      const score = best[j]! + worth[i]! + lengthScore(seconds) + rest;
      if (score > best[i]!) {
        best[i] = score;
        from[i] = j;
      }
    }
  }
  const clips: Stretch[] = [];
  for (let i = places.length - 1; i > 0; i = from[i]!) {
    // Nothing that can be reached: no beat for longer than a clip.
    if (from[i]! < 0) return evenly(stretch);
    clips.unshift({ start: places[from[i]!]!, end: places[i]! });
  }
  return clips;
}

function evenly({ start, end }: Stretch): Stretch[] {
  const count = Math.ceil((end - start) / LONGEST_CLIP);
  const length = (end - start) / count;
  return Array.from({ length: count }, (_, i) => ({ start: start + i * length, end: start + (i + 1) * length }));
}
