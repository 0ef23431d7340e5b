import type { Vote } from './votes.ts';

/** Who answers a prompt: the base alone, or with what was taught. */
export type Side = 'base' | 'tuned';

/** One prompt as each hand answered it. */
export interface Compared {
  id: number;
  prompt: string;
  strength: number;
  /** The tuned hand's name: what it had learnt. */
  moment: string;
  hands: readonly Side[];
  /** The order in which the hands are shown; shuffled where the person judges blind. */
  order: readonly Side[];
  blind: boolean;
  vote: Vote | null;
}

/** Whose is whose is not said before the vote. */
export const isBlinded = ({ blind, vote }: Pick<Compared, 'blind' | 'vote'>): boolean => blind && vote === null;

/** The name over what a hand made; `what` stands for it while names are hidden: “Drawing 1”. */
export function sideLabel(one: Compared, hand: Side, what: string): string {
  if (isBlinded(one)) return `${what} ${one.order.indexOf(hand) + 1}`;
  if (hand === 'base') return 'Base';
  return `${one.moment}${one.strength === 1 ? '' : `, strength ${one.strength}`}`;
}

/** The part of a file's name that says whose it is, and no more than is shown. */
export const sideInFileName = (one: Compared, hand: Side): string =>
  isBlinded(one) ? String(one.order.indexOf(hand) + 1) : hand;
