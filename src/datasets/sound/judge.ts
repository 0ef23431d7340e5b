/** What is said of each clip and decided about it once all of a set are known. */
import { decodePrint, samePrints } from './prints.ts';
import type { Clip, SoundFile, SoundWarning } from './types.ts';

const SHORT_SECONDS = 5;
/** LUFS. */
const VERY_QUIET = -40;

/** Warnings of a file by its numbers alone. */
export function isVeryQuiet(loudness: number | null): boolean {
  return loudness === null || loudness < VERY_QUIET;
}

/** Hertz below which what stops sounds dull. */
const ENOUGH_BANDWIDTH = 11_000;

/**
 * Whether a file was stored so small that it lacks what is high: an encoder's wall or a sampling rate below 11 kHz of sound.
 * Music that has nothing high by itself (a piano, a cello) has no wall.
 */
export function isLowBitrate({ wall, sampleRate }: { wall: number | null; sampleRate: number }): boolean {
  return Math.min(sampleRate / 2, wall ?? Infinity) < ENOUGH_BANDWIDTH;
}

function put(clip: Clip, warning: SoundWarning, holds: boolean): Clip {
  if (clip.warnings.includes(warning) === holds) return clip;
  const warnings = holds ? [...clip.warnings, warning] : clip.warnings.filter((other) => other !== warning);
  return { ...clip, warnings };
}

/**
 * Marks what depends on the clips' edges and on the others: short ones, and those of the same music. Clips of one file that
 * lie over each other are not the same twice.
 */
export function settleClips(clips: readonly Clip[]): Clip[] {
  const twice = new Set<number>();
  for (const [a, b] of samePairs(clips)) {
    // Of what is left out it is said why; what stays is only marked beside something else that stays.
    if (!clips[a]!.kept || clips[b]!.kept) twice.add(a);
    if (!clips[b]!.kept || clips[a]!.kept) twice.add(b);
  }
  return clips.map((clip, i) =>
    put(put(clip, 'short', clip.end - clip.start < SHORT_SECONDS), 'nearly the same', twice.has(i)),
  );
}

/** Prints that were compared last, and what came of it: most changes leave all prints as they are, or add some at the end. */
let compared: { prints: string[]; pairs: [number, number][] } = { prints: [], pairs: [] };

function samePairs(clips: readonly Clip[]): [number, number][] {
  const prints = clips.map(({ print }) => print);
  const known = compared.prints.every((print, i) => print === prints[i]) ? compared : { prints: [], pairs: [] };
  if (known !== compared || prints.length > known.prints.length) {
    const found = samePrints(prints.map(decodePrint), known.prints.length);
    compared = { prints, pairs: [...known.pairs, ...found] };
  }
  return compared.pairs.filter(([a, b]) => {
    const [one, other] = [clips[a]!, clips[b]!];
    return one.fileId !== other.fileId || one.end <= other.start || other.end <= one.start;
  });
}

/**
 * Leaves new clips out that are there already in another file, the better sounding of two new ones stays. Music that comes
 * again in one file is how it was made: it stays.
 *
 * @param existing clips (the first ones) that a person has decided about
 */
export function leaveOutCopies(clips: readonly Clip[], files: readonly SoundFile[], existing: number): Clip[] {
  const bandwidth = new Map(files.map((file) => [file.id, file.bandwidth]));
  const out = new Set<number>();
  for (const [a, b] of samePairs(clips)) {
    const [one, other] = [clips[a]!, clips[b]!];
    if (b < existing || one.fileId === other.fileId || out.has(a) || out.has(b)) continue;
    const better = (bandwidth.get(other.fileId) ?? 0) > 1.1 * (bandwidth.get(one.fileId) ?? 0);
    out.add(a >= existing && better ? a : b);
  }
  return clips.map((clip, i) => (out.has(i) ? { ...clip, kept: false } : clip));
}
