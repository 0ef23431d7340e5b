import type { InputData } from '../engine/program.ts';

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
