import type { RandomStream } from '../../adapters/random.ts';
import { UserError } from '../../engine/errors.ts';
import type { GenerateRequest } from './types.ts';

export function greedy(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

export function checkSampling({
  max_new_tokens,
  temperature = 1,
  top_k = 0,
  top_p = 1,
  do_sample,
}: GenerateRequest): void {
  if (!Number.isSafeInteger(max_new_tokens) || max_new_tokens < 1)
    throw new UserError('max_new_tokens must be a whole number from 1.');
  if (!do_sample) return;
  if (!(temperature > 0))
    throw new UserError('temperature must be above 0. For the likeliest words alone, turn sampling off.');
  if (!Number.isSafeInteger(top_k) || top_k < 0)
    throw new UserError('top_k must be a whole number from 0 (0: no limit).');
  if (!(top_p > 0 && top_p <= 1)) throw new UserError('top_p must be above 0 and at most 1.');
}

/** Draws a token as transformers does: temperature, then the top_k likeliest, then the fewest that make up top_p. */
export function sampleToken(logits: Float32Array, request: GenerateRequest, random: RandomStream): number {
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
