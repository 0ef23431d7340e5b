/** Which stretches of a file are music: silence and noise (applause, talk of a crowd, hiss) are not. */
import { FAST_RATE } from './features.ts';
import type { Features } from './features.ts';
import type { Gap, GapReason } from './types.ts';

/** Seconds a label is decided for. */
const STEP = 0.25;
/** dB under full scale that is silence in any case, and under the file's own loudness. */
const SILENT = -60;
const SILENT_BELOW = 45;
/** Shorter silence is a rest. */
const LEAST_SILENCE = 1.5;
/** Clapping and hiss are as flat as this, and hold their level: drums are flat too, but rise and fall. */
const NOISY = 0.3;
const STEADY_DB = 5;
/** Seconds over which steadiness is judged, and which noise must last. */
const WINDOW = 3;
const LEAST_NOISE = 4;

export interface Stretch {
  start: number;
  end: number;
}

function median(values: number[]): number {
  values.sort((a, b) => a - b);
  return values[values.length >> 1] ?? 0;
}

type Label = 'music' | 'silence' | 'noise';

function labels({ level, flatness }: Features, loudest: number): Label[] {
  const per = STEP * FAST_RATE;
  const steps = Math.ceil(level.length / per);
  const quiet = Math.max(SILENT, loudest - SILENT_BELOW);
  const half = Math.round((WINDOW / 2) * FAST_RATE);
  return Array.from({ length: steps }, (_, step): Label => {
    const [from, to] = [Math.floor(step * per), Math.min(level.length, Math.floor((step + 1) * per))];
    let top = -Infinity;
    for (let i = from; i < to; i++) top = Math.max(top, level[i]!);
    if (top < quiet) return 'silence';
    const middle = (from + to) >> 1;
    const [a, b] = [Math.max(0, middle - half), Math.min(level.length, middle + half)];
    if (median(Array.from(flatness.subarray(a, b))) < NOISY) return 'music';
    // Levels of a tenth of a second: clapping is a thousand small blows a second, a drum is a few large ones.
    const tenth = Math.round(FAST_RATE / 10);
    const tenths: number[] = [];
    for (let i = a; i + tenth <= b; i += tenth) {
      let sum = 0;
      for (let n = i; n < i + tenth; n++) sum += 10 ** (level[n]! / 10);
      tenths.push(10 * Math.log10(sum / tenth));
    }
    const mean = tenths.reduce((sum, value) => sum + value, 0) / tenths.length;
    const spread = Math.sqrt(tenths.reduce((sum, value) => sum + (value - mean) ** 2, 0) / tenths.length);
    return spread < STEADY_DB / 2 ? 'noise' : 'music';
  });
}

/** Runs of one label: where each begins and ends, in steps. */
function runsOf(all: readonly Label[]): { label: Label; from: number; to: number }[] {
  const runs: { label: Label; from: number; to: number }[] = [];
  all.forEach((label, i) => {
    const last = runs.at(-1);
    if (last?.label === label) last.to = i + 1;
    else runs.push({ label, from: i, to: i + 1 });
  });
  return runs;
}

/**
 * Stretches of music, and the gaps between them.
 *
 * @param seconds of the file
 * @param shortest seconds of music that are worth a clip
 */
export function musicStretches(
  features: Features,
  seconds: number,
  shortest: number,
): { music: Stretch[]; gaps: Gap[] } {
  const loudest = features.level.reduce((most, value) => Math.max(most, value), -200);
  const all = labels(features, loudest);
  for (const { label, from, to } of runsOf(all)) {
    const length = (to - from) * STEP;
    const edge = from === 0 || to === all.length;
    // Silence at the edges is cut off however short it is.
    const short = label === 'silence' ? length < LEAST_SILENCE && !edge : label === 'noise' && length < LEAST_NOISE;
    if (short) all.fill('music', from, to);
  }
  const runs = runsOf(all);
  const music: Stretch[] = [];
  const gaps: Gap[] = [];
  runs.forEach(({ label, from, to }, i) => {
    const [start, end] = [Math.min(seconds, from * STEP), Math.min(seconds, to * STEP)];
    if (end <= start) return;
    if (label === 'music' && end - start >= shortest) {
      music.push({ start, end });
      return;
    }
    // The first and last claps of applause stand beside silence, and are taken for music.
    const beside = runs[i - 1]?.label === 'noise' || runs[i + 1]?.label === 'noise';
    const reason: GapReason = label !== 'music' ? label : beside ? 'noise' : 'too short';
    const last = gaps.at(-1);
    if (last?.end === start && last.reason === reason) last.end = end;
    else gaps.push({ start, end, reason });
  });
  return { music, gaps };
}
