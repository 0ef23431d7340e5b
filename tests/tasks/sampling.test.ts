import { describe, expect, test } from 'vitest';
import { RandomStream } from '../../src/common/random.ts';
import { greedy, sampleToken } from '../../src/tasks/sampling.ts';
import { checkSampling } from '../../src/tasks/voice/check-sampling.ts';
import type { GenerateRequest } from '../../src/tasks/voice/types.ts';

const LOGITS = Float32Array.of(1, 3, 2, -1, 2.5, -40);
const request = (fields: Partial<GenerateRequest>): GenerateRequest => ({
  prompt: '',
  max_new_tokens: 1,
  do_sample: true,
  ...fields,
});

/** Shares of each token over many draws. */
function shares(fields: Partial<GenerateRequest>, draws = 20_000): number[] {
  const random = new RandomStream(7, 'generate');
  const counts = new Array<number>(LOGITS.length).fill(0);
  for (let i = 0; i < draws; i++) counts[sampleToken(LOGITS, request(fields), random)]!++;
  return counts.map((count) => count / draws);
}

function softmax(temperature: number, kept: readonly number[]): number[] {
  const weights = Array.from(LOGITS, (logit, id) => (kept.includes(id) ? Math.exp(logit / temperature) : 0));
  const total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / total);
}

const ALL = [0, 1, 2, 3, 4, 5];
const close = (got: number[], expected: number[]): void =>
  // Five standard deviations of 20 000 draws.
  got.forEach((share, id) =>
    expect(Math.abs(share - expected[id]!), `token ${id}`).toBeLessThan(
      5 * Math.sqrt((expected[id]! * (1 - expected[id]!)) / 20_000) + 1e-12,
    ),
  );

describe('choosing a token', () => {
  test('the likeliest, the first of equals', () => {
    expect(greedy(LOGITS)).toBe(1);
    expect(greedy(Float32Array.of(2, 5, 5))).toBe(1);
    expect(greedy(Float32Array.of(-Infinity, -3))).toBe(1);
  });

  test('drawn as often as the softmax says, at any temperature', () => {
    for (const temperature of [1, 0.5, 3]) close(shares({ temperature }), softmax(temperature, ALL));
  });

  test('top_k keeps the likeliest k', () => {
    close(shares({ top_k: 3 }), softmax(1, [1, 4, 2]));
    close(shares({ top_k: 1 }), softmax(1, [1]));
    close(shares({ top_k: 100 }), softmax(1, ALL));
  });

  test('top_p keeps the fewest that make up p, at least one', () => {
    // 0.469, 0.285, 0.173, 0.064, 0.009: p of 0.7 takes two, 0.76 three.
    const plain = softmax(1, ALL);
    expect(plain[1]! + plain[4]!).toBeGreaterThan(0.7);
    expect(plain[1]! + plain[4]!).toBeLessThan(0.76);
    close(shares({ top_p: 0.7 }), softmax(1, [1, 4]));
    close(shares({ top_p: 0.76 }), softmax(1, [1, 4, 2]));
    close(shares({ top_p: 1e-9 }), softmax(1, [1]));
  });

  test('top_p counts what top_k left', () => {
    const of3 = softmax(1, [1, 4, 2]);
    expect(of3[1]! + of3[4]!).toBeGreaterThan(0.8);
    close(shares({ top_k: 3, top_p: 0.8 }), softmax(1, [1, 4]));
  });

  test('the same seed draws the same tokens', () => {
    const draw = (seed: number): number[] => {
      const random = new RandomStream(seed, 'generate');
      return Array.from({ length: 50 }, () => sampleToken(LOGITS, request({ temperature: 2 }), random));
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  test.each([
    [{ temperature: 0 }, /temperature/],
    [{ temperature: NaN }, /temperature/],
    [{ top_k: -1 }, /top_k/],
    [{ top_k: 1.5 }, /top_k/],
    [{ top_p: 0 }, /top_p/],
    [{ top_p: 1.1 }, /top_p/],
    [{ max_new_tokens: 0 }, /max_new_tokens/],
  ])('%j is refused by name', (fields, message) => {
    expect(() => checkSampling(request(fields))).toThrow(message);
  });
});
