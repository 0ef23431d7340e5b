import { UserError } from '../../common/errors.ts';
import type { GenerateRequest } from './types.ts';

/** Throws UserError for settings that mean nothing. */
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
