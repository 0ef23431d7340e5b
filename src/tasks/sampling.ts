import type { RandomStream } from '../common/random.ts';

/** Under transformers' names. */
export interface SamplingOptions {
  temperature?: number;
  /** 0: all. */
  top_k?: number;
  top_p?: number;
}

/** The likeliest token, the first of equals. */
export function greedy(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/** Draws a token as transformers does: temperature, then the top_k likeliest, then the fewest that make up top_p. */
export function sampleToken(logits: Float32Array, request: SamplingOptions, random: RandomStream): number {
  const { temperature = 1, top_k = 0, top_p = 1 } = request;
  let candidates = Array.from(logits, (logit, id) => ({ id, logit: logit / temperature }));
  if (top_k > 0 || top_p < 1) candidates.sort((a, b) => b.logit - a.logit);
  if (top_k > 0) candidates = candidates.slice(0, top_k);
  const most = candidates.reduce((max, { logit }) => Math.max(max, logit), -Infinity);
  const weighed = candidates.map(({ id, logit }) => ({ id, weight: Math.exp(logit - most) }));
  let total = weighed.reduce((sum, { weight }) => sum + weight, 0);
  let kept = weighed.length;
  if (top_p < 1) {
    let sum = 0;
    kept = 0;
    while (kept < weighed.length && sum < top_p * total) sum += weighed[kept++]!.weight;
    total = sum;
  }
  let left = random.uniform() * total;
  for (let i = 0; i < kept; i++) {
    left -= weighed[i]!.weight;
    if (left < 0) return weighed[i]!.id;
  }
  return weighed[kept - 1]!.id;
}
