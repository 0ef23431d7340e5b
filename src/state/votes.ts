import type { VoteCounts } from '../storage/records.ts';

/** How what was taught compares with the base alone. */
export type Vote = 'better' | 'same' | 'worse';

export const NO_VOTES: VoteCounts = { better: 0, same: 0, worse: 0 };

/** The counts after a vote that takes the place of an earlier one on the same thing. */
export function countVote(votes: VoteCounts, before: Vote | null, vote: Vote): VoteCounts {
  const after = { ...votes };
  // The earlier one may have been forgotten since, with all others.
  if (before) after[before] = Math.max(0, after[before] - 1);
  after[vote] += 1;
  return after;
}

/** The same in an order of chance, each as likely (Fisher and Yates). `random` gives numbers in [0, 1). */
export function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
}
