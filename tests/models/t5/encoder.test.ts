import { expect, test } from 'vitest';
import { maskRanges } from '../../../src/models/layers/ranges.ts';
import type { T5Config } from '../../../src/models/t5/encoder.ts';
import { distanceBias, relativeBucket, t5Inputs } from '../../../src/models/t5/encoder.ts';

const config = (buckets: number, maxDistance: number): T5Config => ({
  vocabSize: 20,
  hiddenSize: 8,
  intermediateSize: 8,
  layers: 1,
  heads: 2,
  headDim: 4,
  buckets,
  maxDistance,
  eps: 1e-6,
  activation: 'relu',
  gated: false,
});

const DISTANCES = [
  -600, -128, -64, -33, -32, -16, -9, -8, -7, -1, 0, 1, 7, 8, 9, 15, 16, 31, 32, 63, 64, 127, 128, 600,
];

// Written by transformers 5.18: T5Attention._relative_position_bucket.
test.each([
  [32, 128, [15, 15, 14, 12, 12, 10, 8, 8, 7, 1, 0, 17, 23, 24, 24, 25, 26, 27, 28, 29, 30, 31, 31, 31]],
  [14, 40, [6, 6, 6, 6, 6, 5, 4, 4, 4, 1, 0, 8, 11, 11, 11, 12, 12, 13, 13, 13, 13, 13, 13, 13]],
  [8, 11, [3, 3, 3, 3, 3, 3, 3, 3, 3, 1, 0, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]],
])('%i buckets up to a distance of %i are those of transformers', (buckets, maxDistance, expected) => {
  expect(DISTANCES.map((distance) => relativeBucket(config(buckets, maxDistance), distance))).toEqual(expected);
});

test('the bias of a distance is its bucket’s, for each head', () => {
  const five = config(8, 5);
  const bias = distanceBias(
    five,
    Float32Array.from({ length: 16 }, (_, i) => i),
  );
  expect(bias.length).toBe(2 * 11);
  for (let distance = -5; distance <= 5; distance++) {
    const bucket = relativeBucket(five, distance);
    expect([bias[distance + 5], bias[11 + distance + 5]]).toEqual([2 * bucket, 2 * bucket + 1]);
  }
});

test('a mask says which tokens are seen, and by whom', () => {
  const ranges = maskRanges([1, 1, 0, 0, 0, 0, 0, 1, 1], { texts: 3, length: 3 });
  expect(Array.from(ranges.keys(1))).toEqual([0, 2, 3, 3, 7, 9]);
  expect(Array.from(ranges.queries(2))).toEqual([0, 2, 0, 2, 0, 0, 2, 2, 2, 2, 2, 2, 4, 4, 4, 6, 4, 6]);
});

test('a mask with a gap is refused', () => {
  expect(() => maskRanges([1, 1, 1, 0, 1, 0, 1, 0, 1], { texts: 3, length: 3 })).toThrow(
    'attention_mask of row 2 has gaps',
  );
  expect(() => maskRanges([2, 1], { texts: 1, length: 2 })).toThrow('values other than 0 and 1');
});

test('a token that the encoder does not have is refused', () => {
  const shape = { texts: 1, length: 2 };
  expect(() => t5Inputs(config(8, 11), 'text_encoder', shape, [3, 20], [1, 1])).toThrow('The token 20');
});
