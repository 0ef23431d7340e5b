/** The small curve of all losses of a run: every n-th, n the least power of two that leaves at most 64. */
export function smallCurve(losses: readonly number[]): number[] {
  for (let every = 1; ; every *= 2) {
    const kept = losses.filter((_, i) => i % every === 0);
    if (kept.length <= 64) return kept;
  }
}
