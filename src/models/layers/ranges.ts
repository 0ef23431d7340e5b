import { UserError } from '../../common/errors.ts';
import type { InputData } from '../../engine/program.ts';

/**
 * Which keys each query sees, u32 [images · queries, 2], where an image's queries see the image's keys: all of them, or with
 * `causal` those up to their own place. Swapping queries and keys gives the ranges of the other direction.
 */
export function rangesByImage(images: number, queries: number, keys: number, causal?: 'keys' | 'queries'): InputData {
  const ranges = new Uint32Array(2 * images * queries);
  for (let image = 0; image < images; image++) {
    for (let query = 0; query < queries; query++) {
      const at = 2 * (image * queries + query);
      ranges[at] = image * keys + (causal === 'queries' ? query : 0);
      ranges[at + 1] = image * keys + (causal === 'keys' ? query + 1 : keys);
    }
  }
  return ranges;
}

/** The tokens of each text that count, [first, last + 1) among all rows; first = last + 1 where there are none. */
export interface MaskRanges {
  /** u32 [texts · queries, 2]: which tokens each query of a text sees. */
  keys(queries: number): Uint32Array<ArrayBuffer>;
  /** u32 [texts · length, 2]: which of its text's queries see each token, for gradients. */
  queries(queries: number): Uint32Array<ArrayBuffer>;
}

/**
 * Key ranges out of an attention mask [texts · length] of zeros and ones.
 * Throws UserError where a text has a gap: a query sees one run of tokens.
 */
export function maskRanges(mask: ArrayLike<number>, { texts, length }: { texts: number; length: number }): MaskRanges {
  if (mask.length !== texts * length)
    throw new Error(`a mask of ${mask.length} for ${texts} texts of ${length} tokens`);
  const runs = Array.from({ length: texts }, (_, text) => {
    const row = Array.from({ length }, (_, i) => Number(mask[text * length + i]));
    const from = Math.max(0, row.indexOf(1));
    const to = row.lastIndexOf(1) + 1;
    if (row.some((value, i) => value !== (i >= from && i < to ? 1 : 0))) {
      throw new UserError(
        `attention_mask of row ${text} has gaps or values other than 0 and 1; padding may only lie at the ends.`,
      );
    }
    return { from: text * length + from, to: text * length + Math.max(from, to) };
  });
  return {
    keys(queries) {
      return Uint32Array.from(
        runs.flatMap(({ from, to }) => Array.from({ length: 2 * queries }, (_, i) => (i % 2 ? to : from))),
      );
    },
    queries(queries) {
      return Uint32Array.from(
        runs.flatMap(({ from, to }, text) =>
          Array.from({ length }, (_, i) => text * length + i).flatMap((token) =>
            token >= from && token < to ? [text * queries, (text + 1) * queries] : [text * queries, text * queries],
          ),
        ),
      );
    },
  };
}
