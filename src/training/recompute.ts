/**
 * The plan with the fewest recomputed blocks that fits; where none does, the one that recomputes all. More recomputed blocks
 * never need more memory, so halving finds it.
 * @param blocks how many there are
 */
export function fewestRecomputed<P>(
  blocks: number,
  planOf: (recomputed: number) => P,
  fits: (plan: P) => boolean,
): { plan: P; recomputed: number } {
  const whole = planOf(0);
  if (blocks === 0 || fits(whole)) return { plan: whole, recomputed: 0 };
  let [enough, tooFew] = [blocks, 0];
  while (enough - tooFew > 1) {
    const middle = (enough + tooFew) >> 1;
    if (fits(planOf(middle))) enough = middle;
    else tooFew = middle;
  }
  return { plan: planOf(enough), recomputed: enough };
}
