/** One prediction out of what the prompt and the negative prompt say; for one sample, step after step. */
export type Guide = (positive: ArrayLike<number>, negative: ArrayLike<number>) => Float64Array;

/** How a model follows a prompt more closely than it would by itself. */
export interface Guidance {
  /** Whether the negative prompt is asked at all at this scale. */
  isGuided(scale: number): boolean;
  /** A guide for one sample of this shape, which may remember the steps before. */
  guide(scale: number, sample: readonly number[]): Guide;
}

/** negative + scale · (positive - negative) (Ho and Salimans, arXiv:2207.12598). */
export const classifierFreeGuidance: Guidance = {
  isGuided: (scale) => scale > 1,
  guide: (scale) => (positive, negative) =>
    Float64Array.from({ length: positive.length }, (_, i) => negative[i]! + scale * (positive[i]! - negative[i]!)),
};
