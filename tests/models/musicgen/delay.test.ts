import { describe, expect, test } from 'vitest';
import {
  codebookBatch,
  delayOf,
  delayedLabels,
  framesOfSteps,
  isPredicted,
  requireSteps,
  stepsOfFrames,
} from '../../../src/models/musicgen/delay.ts';

// Written by transformers 5.18: MusicgenForCausalLM.build_delay_pattern_mask and shift_tokens_right.
const PATTERNS = [
  {
    books: { codebooks: 4, channels: 1 },
    steps: 7,
    pattern: ['01111000', '00111100', '00011110', '00001111'],
    labels: [
      [0, 100, 100, 100],
      [1, 5, 100, 100],
      [2, 6, 10, 100],
      [3, 7, 11, 15],
      [4, 8, 12, 16],
    ],
  },
  {
    books: { codebooks: 4, channels: 2 },
    steps: 4,
    pattern: ['01110', '01110', '00111', '00111'],
    labels: [
      [0, 5, 100, 100],
      [1, 6, 10, 15],
      [2, 7, 11, 16],
      [3, 8, 12, 17],
      [4, 9, 13, 18],
    ],
  },
  {
    books: { codebooks: 2, channels: 1 },
    steps: 3,
    pattern: ['0110', '0011'],
    labels: [
      [0, 100],
      [1, 5],
      [2, 6],
      [3, 7],
      [4, 8],
    ],
  },
];

describe.each(PATTERNS)(
  '$books.codebooks codebooks of $books.channels channels',
  ({ books, steps, pattern, labels }) => {
    const { codebooks } = books;
    const codes = Int32Array.from({ length: codebooks * 5 }, (_, i) => i);

    test('the steps that predict a codebook are those of transformers', () => {
      pattern.forEach((row, k) => {
        // The first place of a row is what the decoder begins with.
        const ours = Array.from({ length: steps }, (_, step) => (isPredicted(books, k, step, steps) ? '1' : '0'));
        expect(ours.join('')).toBe(row.slice(1));
        expect([...row].filter((place) => place === '1').length).toBe(framesOfSteps(books, steps));
      });
    });

    test('labels without the delayed end are those of musicgen-dreamboothing', () => {
      expect(Array.from(delayedLabels(books, codes, 100, { whole: false }))).toEqual(labels.flat());
    });

    test('whole labels hold every code, as many steps late as its codebook is', () => {
      const whole = delayedLabels(books, codes, 100);
      expect(whole.length).toBe(stepsOfFrames(books, 5) * codebooks);
      expect(Array.from(whole.subarray(0, 5 * codebooks))).toEqual(labels.flat());
      const found = Array.from(
        codes,
        (_, i) => whole[((i % 5) + delayOf(books, Math.floor(i / 5))) * codebooks + Math.floor(i / 5)],
      );
      expect(found).toEqual(Array.from(codes));
    });
  },
);

test('too few steps for the delay are refused', () => {
  const books = { codebooks: 4, channels: 1 };
  expect(() => requireSteps(books, 5)).toThrow('max_new_tokens is 5; with 4 codebooks at least 6 are needed.');
  expect(() => requireSteps(books, 6)).not.toThrow();
  expect(() => requireSteps({ codebooks: 8, channels: 2 }, 6)).not.toThrow();
});

describe('batches', () => {
  const books = { codebooks: 2, channels: 1 };
  const tokens = { vocabSize: 100, startId: 99, padId: 100 };
  const shape = { rows: 2, length: 3 };
  const labels = [1, 2, 3, 100, -100, 5, 7, -100, 100, 8, 9, -100];

  test('inputs are the labels one step later, as transformers shifts them', () => {
    const { ids } = codebookBatch(books, tokens, labels, shape);
    expect(ids.map((list) => Array.from(list))).toEqual([
      [99, 1, 3, 99, 7, 100],
      [99, 2, 100, 99, 100, 8],
    ]);
  });

  test('pad and -100 carry no loss, and each codebook counts by its own labels', () => {
    const batch = codebookBatch(books, tokens, labels, shape);
    expect(batch.labels.map((list) => Array.from(list))).toEqual([
      [1, 3, -100, 7, -100, 9],
      [2, -100, 5, -100, 8, -100],
    ]);
    expect(batch.weights.map((list) => Array.from(list))).toEqual([
      [1 / 8, 1 / 8, 0, 1 / 8, 0, 1 / 8],
      [1 / 6, 0, 1 / 6, 0, 1 / 6, 0].map(Math.fround),
    ]);
  });

  test('a codebook without labels adds nothing', () => {
    const { weights } = codebookBatch(books, tokens, [1, 100, 2, -100, 3, 100], { rows: 1, length: 3 });
    expect(Array.from(weights[1]!)).toEqual([0, 0, 0]);
  });

  test.each([101, -1, 2.5])('a label of %d is refused', (label) => {
    expect(() => codebookBatch(books, tokens, [label, 1], { rows: 1, length: 1 })).toThrow(
      `A label of codebook 0 is ${label}`,
    );
  });
});
