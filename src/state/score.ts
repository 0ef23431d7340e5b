import type { VoteCounts } from '../storage/records.ts';

/** The chance that fair coins give at least this lopsided a result: the two-sided sign test; ties do not count. */
export function signTest(better: number, worse: number): number {
  const n = better + worse;
  if (n === 0) return 1;
  const k = Math.max(better, worse);
  // Binomial tail by running products in the logarithm, for n may be large.
  let tail = 0;
  let logChoose = 0;
  for (let i = 1; i <= n; i++) {
    logChoose += Math.log(n - i + 1) - Math.log(i);
    if (i >= k) tail += Math.exp(logChoose - n * Math.LN2);
  }
  return Math.min(1, 2 * tail);
}

/** What the votes say, and no more than that. */
export function scoreLine({ better, same, worse }: VoteCounts): string {
  const all = better + same + worse;
  if (all === 0) return 'No votes yet.';
  const counts = `Of ${all} ${all === 1 ? 'vote' : 'votes'}: tuned better ${better}, same ${same}, base better ${worse}.`;
  if (better + worse < 6) return `${counts} Too few to tell anything yet.`;
  const chance = signTest(better, worse);
  if (chance > 0.05) return `${counts} That could well be chance.`;
  return `${counts} ${better > worse ? 'The tuned one is really preferred' : 'The base is really preferred'}: chance alone seldom gives this.`;
}
