import type { Vote } from './votes.ts';

/** Who makes something of a prompt: the base alone, the base with the prompt of Ask, or the base with what was taught. */
export type Side = 'base' | 'prompt' | 'tuned';

/** One prompt, and what each side made of it. */
export interface Compared<Settings = unknown, Result = unknown> {
  readonly id: number;
  readonly prompt: string;
  readonly settings: Settings;
  readonly strength: number;
  /** The tuned side's name: what it had learnt; empty where there is none. */
  readonly tunedLabel: string;
  /** The sides as they are shown, from the left; by chance where the person judges blind. */
  readonly order: readonly Side[];
  readonly blind: boolean;
  /** What was taught here stands beside the base. */
  readonly votable: boolean;
  readonly vote: Vote | null;
  readonly results: Readonly<Partial<Record<Side, Result>>>;
  /** Nothing more comes: every side is through, or it was stopped. */
  readonly finished: boolean;
}

type Named = Pick<Compared, 'order' | 'blind' | 'vote' | 'tunedLabel' | 'strength'>;

/** Whose is whose is not said before the vote. */
export const isBlinded = ({ blind, vote }: Pick<Compared, 'blind' | 'vote'>): boolean => blind && vote === null;

/** The name over what a side made; `what` stands for it while names are hidden: “Drawing 1”. */
export function sideLabel(one: Named, side: Side, what: string): string {
  if (isBlinded(one)) return `${what} ${one.order.indexOf(side) + 1}`;
  if (side === 'base') return 'Base';
  if (side === 'prompt') return 'Base with a prompt';
  return `${one.tunedLabel}${one.strength === 1 ? '' : `, strength ${one.strength}`}`;
}

/** The part of a file's name that says whose it is, and no more than is shown. */
export const sideInFileName = (one: Named, side: Side): string =>
  isBlinded(one) ? String(one.order.indexOf(side) + 1) : side;

/** The tuned one may be marked as such. */
export const isMarkedTuned = (one: Named, side: Side): boolean => side === 'tuned' && !isBlinded(one);
