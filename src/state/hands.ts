import type { Vote } from './votes.ts';

/** Who answers a prompt: the base alone, or with what was taught. */
export type Hand = 'base' | 'tuned';

/** One prompt as each hand answered it. */
export interface ByHands {
  id: number;
  prompt: string;
  strength: number;
  /** The tuned hand's name: what it had learnt. */
  moment: string;
  hands: readonly Hand[];
  /** The order in which the hands are shown; shuffled where the person judges blind. */
  order: readonly Hand[];
  blind: boolean;
  vote: Vote | null;
}

/** Whose is whose is not said before the vote. */
export const namesHidden = ({ blind, vote }: Pick<ByHands, 'blind' | 'vote'>): boolean => blind && vote === null;

/** The name over what a hand made; `what` stands for it while names are hidden: “Drawing 1”. */
export function handName(one: ByHands, hand: Hand, what: string): string {
  if (namesHidden(one)) return `${what} ${one.order.indexOf(hand) + 1}`;
  if (hand === 'base') return 'Base';
  return `${one.moment}${one.strength === 1 ? '' : `, strength ${one.strength}`}`;
}

/** The part of a file's name that says whose it is, and no more than is shown. */
export const handInFile = (one: ByHands, hand: Hand): string =>
  namesHidden(one) ? String(one.order.indexOf(hand) + 1) : hand;
