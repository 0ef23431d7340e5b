/** What a set of clips is worth to a training, in words. */
import type { Clip, SoundFile, SoundWarning } from './types.ts';

/** Minutes that music LoRAs are usually made from. */
export const USUAL_FROM_MINUTES = 5;
export const USUAL_TO_MINUTES = 60;

export interface SoundQuality {
  files: number;
  clips: number;
  /** Clips that are learnt from, and their seconds. */
  kept: number;
  seconds: number;
  /** Kept clips that have words. */
  worded: number;
  /** Kept clips with each mark. */
  warnings: Partial<Record<SoundWarning, number>>;
  /** How much there is and how much is usual. */
  amount: string;
  /** What would help, most helpful first. */
  advice: string[];
}

const clipsOf = (count: number): string => (count === 1 ? '1 clip' : `${count} clips`);
const are = (count: number): string => (count === 1 ? 'is' : 'are');

function minutes(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} seconds`;
  return `${Math.round(seconds / 60)} minutes`;
}

/** One sentence where a set is unusually small or large, else null. */
export function amountAdvice(seconds: number): string | null {
  const usual = `${USUAL_FROM_MINUTES} to ${USUAL_TO_MINUTES} minutes are usual`;
  if (seconds < 60 * USUAL_FROM_MINUTES) {
    return `There are ${minutes(seconds)} of music; ${usual}. With so little, the pieces themselves are learnt more than their manner.`;
  }
  if (seconds > 2 * 60 * USUAL_TO_MINUTES) {
    return `There are ${minutes(seconds)} of music; ${usual}. All can be used, but training takes as much longer, and a choice of one manner is often learnt better.`;
  }
  return null;
}

/** Judges settled clips (see `settleClips`). */
export function soundQuality(files: readonly SoundFile[], clips: readonly Clip[]): SoundQuality {
  const kept = clips.filter((clip) => clip.kept);
  const seconds = kept.reduce((sum, { start, end }) => sum + end - start, 0);
  const warnings: SoundQuality['warnings'] = {};
  for (const { warnings: own } of kept) for (const warning of own) warnings[warning] = (warnings[warning] ?? 0) + 1;
  const quality: SoundQuality = {
    files: files.length,
    clips: clips.length,
    kept: kept.length,
    seconds,
    worded: kept.filter(({ words }) => words.trim() !== '').length,
    warnings,
    amount: '',
    advice: [],
  };
  const usual = `${USUAL_FROM_MINUTES} to ${USUAL_TO_MINUTES} minutes are usual.`;
  quality.amount =
    kept.length === 0
      ? `No music yet; ${usual}`
      : (amountAdvice(seconds) ?? `${clipsOf(kept.length)}, ${minutes(seconds)} of music; ${usual}`);
  quality.advice = adviceFor(quality, kept);
  return quality;
}

function adviceFor({ warnings, seconds, worded }: SoundQuality, kept: readonly Clip[]): string[] {
  if (kept.length === 0) return [];
  const advice: string[] = [];
  const say = (warning: SoundWarning, sentence: (count: number) => string): void => {
    const count = warnings[warning] ?? 0;
    if (count > 0) advice.push(sentence(count));
  };
  const missing = 60 * USUAL_FROM_MINUTES - seconds;
  if (missing > 0) advice.push(`Add ${minutes(missing)} or more of the same manner, from other pieces.`);
  const without = kept.length - worded;
  if (without > 0) {
    advice.push(
      `${clipsOf(without)} ${are(without)} without words; a few words on the instruments and the mood help it to be called.`,
    );
  }
  say('nearly the same', (n) => `${clipsOf(n)} ${are(n)} the same music as another; keep one of each.`);
  say('clipped', (n) => `${clipsOf(n)} ${are(n)} clipped; crackle is learnt like everything else.`);
  say(
    'low bitrate',
    (n) => `${clipsOf(n)} ${are(n)} dull from being stored too small; a better copy gives a clearer sound.`,
  );
  say('very quiet', (n) => `${clipsOf(n)} ${are(n)} very quiet, and noisy when made louder.`);
  say('noise', (n) => `${clipsOf(n)} ${are(n)} noise more than music; listen to them once.`);
  return advice;
}
