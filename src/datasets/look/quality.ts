/** What a set of pictures is worth to a training, in words. */
import { nearGroups } from './judge.ts';
import type { PictureFraming, PictureRow } from './types.ts';

/** As the guides of the desktop trainers say for one person, animal or thing. */
export const USUAL_FROM = 10;
export const USUAL_TO = 40;
const TOO_MANY = 60;

/** One sentence where a set is unusually small or large, else null. */
export function countAdvice(count: number): string | null {
  if (count < USUAL_FROM) {
    return `There ${count === 1 ? 'is 1 picture' : `are ${count} pictures`}; ${USUAL_FROM} to ${USUAL_TO} are usual. With so few, what they have in common besides the subject is learnt too.`;
  }
  if (count > TOO_MANY) {
    return `There are ${count} pictures; ${USUAL_FROM} to ${USUAL_TO} are usual. All can be used, but training takes as much longer, and a choice of the best is often learnt better.`;
  }
  return null;
}

export interface PictureQuality {
  pictures: number;
  /** Pictures an epoch, repeats counted. */
  seen: number;
  framings: Record<PictureFraming, number>;
  captioned: number;
  blurred: number;
  tooSmall: number;
  veryDifferent: number;
  /** Pictures that could go without losing another view: all but one of each group of near ones. */
  repeatsOfOthers: number;
  /** How much there is and how much is usual. */
  amount: string;
  /** What would help, most helpful first. */
  advice: string[];
}

const pictures = (count: number): string => (count === 1 ? '1 picture' : `${count} pictures`);
const are = (count: number): string => (count === 1 ? 'is' : 'are');

/** Judges settled rows (see `settlePictures`). */
export function pictureQuality(rows: readonly PictureRow[]): PictureQuality {
  const having = (warning: PictureRow['warnings'][number]): number =>
    rows.filter(({ warnings }) => warnings.includes(warning)).length;
  const framings: Record<PictureFraming, number> = { close: 0, half: 0, full: 0, unknown: 0 };
  for (const { framing } of rows) framings[framing]++;
  const near = nearGroups(rows.map(({ hash }) => hash));
  const quality: PictureQuality = {
    pictures: rows.length,
    seen: rows.reduce((sum, { repeats }) => sum + repeats, 0),
    framings,
    captioned: rows.filter(({ caption }) => caption.trim() !== '').length,
    blurred: having('blurred'),
    tooSmall: having('too small'),
    veryDifferent: having('very different'),
    repeatsOfOthers: near.reduce((sum, group) => sum + group.length - 1, 0),
    amount: '',
    advice: [],
  };
  quality.amount =
    rows.length === 0
      ? `No pictures yet; ${USUAL_FROM} to ${USUAL_TO} are usual.`
      : (countAdvice(rows.length) ?? `${pictures(rows.length)}; ${USUAL_FROM} to ${USUAL_TO} are usual.`);
  quality.advice = adviceFor(quality, near);
  return quality;
}

function adviceFor(quality: PictureQuality, near: readonly number[][]): string[] {
  const { pictures: count, framings, repeatsOfOthers, tooSmall, blurred, veryDifferent } = quality;
  if (count === 0) return [];
  const advice: string[] = [];
  const own = count - repeatsOfOthers;
  if (own < USUAL_FROM) {
    advice.push(
      `Add ${pictures(USUAL_FROM - own)} or more that show something new: another place, light, side or distance.`,
    );
  }
  if (repeatsOfOthers > 0) {
    advice.push(
      `${pictures(repeatsOfOthers)} ${are(repeatsOfOthers)} nearly the same as another (${near.length === 1 ? 'one group' : `${near.length} groups`}); keep the best of each group.`,
    );
  }
  if (blurred > 0) advice.push(`${pictures(blurred)} ${are(blurred)} blurred; blur is learnt like everything else.`);
  if (tooSmall > 0) {
    advice.push(
      `${pictures(tooSmall)} ${are(tooSmall)} smaller than the size trained at and will look soft; use larger ones.`,
    );
  }
  if (veryDifferent > 0) {
    advice.push(
      `${pictures(veryDifferent)} ${are(veryDifferent)} of quite other colours than the rest. Only colours were compared: look whether they show the same subject.`,
    );
  }
  const known = count - framings.unknown;
  const most = Math.max(framings.close, framings.half, framings.full);
  if (count >= USUAL_FROM && known >= count / 2 && most > 0.8 * known) {
    const missing =
      most === framings.close
        ? 'from further away'
        : most === framings.full
          ? 'from close by'
          : 'both from close by and from further away';
    advice.push(`Nearly all pictures are framed alike; some ${missing} would let it be drawn at other distances.`);
  }
  return advice;
}
