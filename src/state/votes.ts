import type { VoteCounts } from '../storage/records.ts';

/** How what was taught compares with the base alone. */
export type Vote = 'better' | 'same' | 'worse';

/** The counts after a vote that takes the place of an earlier one on the same thing. */
export function countVote(votes: VoteCounts, before: Vote | null, vote: Vote): VoteCounts {
  const after = { ...votes };
  if (before) after[before] -= 1;
  after[vote] += 1;
  return after;
}

/** The order in which two are shown: by chance where the person judges blind. */
export function shownOrder<T>(those: readonly T[], blind: boolean): readonly T[] {
  return blind && Math.random() < 0.5 ? [...those].reverse() : those;
}
