import { expect, test } from 'vitest';
import { initLora } from '../../src/adapters/init.ts';
import { inverseNormal, philox, RandomStream } from '../../src/common/random.ts';
import type { LoraTarget } from '../../src/adapters/targets.ts';

const target = (name: string, r = 8, inFeatures = 300, outFeatures = 20): LoraTarget => ({
  name,
  r,
  inFeatures,
  outFeatures,
  alpha: r,
  scale: 1,
});

test('Philox gives the numbers of its authors', () => {
  // Known answers of Random123 (kat_vectors, philox4x32-10).
  expect([...philox([0, 0, 0, 0], 0, 0)]).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  const ones = 0xffffffff;
  expect([...philox([ones, ones, ones, ones], ones, ones)]).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  expect([...philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], 0xa4093822, 0x299f31d0)]).toEqual([
    0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
  ]);
});

test('A and B begin as in PEFT', () => {
  const { A, B } = initLora([target('q', 64, 1024)], { init_lora_weights: true }, 3).get('q')!;
  const bound = 1 / Math.sqrt(1024);
  expect(B.every((value) => value === 0)).toBe(true);
  expect(A.every((value) => Math.abs(value) <= bound)).toBe(true);
  const mean = A.reduce((sum, value) => sum + value, 0) / A.length;
  const variance = A.reduce((sum, value) => sum + value * value, 0) / A.length;
  // 65,536 values: three standard errors of a uniform distribution.
  expect(Math.abs(mean)).toBeLessThan((3 * bound) / Math.sqrt(3 * A.length));
  expect(Math.abs(variance / (bound ** 2 / 3) - 1)).toBeLessThan(0.02);

  const gaussian = initLora([target('q', 64, 1024)], { init_lora_weights: 'gaussian' }, 3).get('q')!.A;
  const spread = Math.sqrt(gaussian.reduce((sum, value) => sum + value * value, 0) / gaussian.length);
  expect(Math.abs(spread * 64 - 1)).toBeLessThan(0.01);
});

test('values depend on seed and name alone', () => {
  const init = { init_lora_weights: true } as const;
  const both = initLora([target('a'), target('b')], init, 7);
  const swapped = initLora([target('b'), target('a')], init, 7);
  expect(both.get('a')).toEqual(swapped.get('a'));
  expect(both.get('a')!.A).not.toEqual(both.get('b')!.A);
  expect(initLora([target('a')], init, 8).get('a')!.A).not.toEqual(both.get('a')!.A);
  // These very numbers: an adapter begun on one machine begins alike on every other.
  expect([...both.get('a')!.A.subarray(0, 3)]).toEqual(FIRST_UNIFORM);
  const normal = new RandomStream(2 ** 40 + 5, 'x');
  for (const value of FIRST_NORMAL) expect(normal.normal()).toBeCloseTo(value, 8);
});
// Computed apart, in Python.
const FIRST_UNIFORM = [-0.051441799849271774, -0.02267930842936039, -0.027768632397055626];
const FIRST_NORMAL = [0.140746919456921, 0.062234473941035505];

test('quantiles of the normal distribution', () => {
  for (const [p, z] of [
    [0.5, 0],
    [0.975, 1.959963984540054],
    [0.001, -3.090232306167813],
    [1e-9, -5.997807014771],
  ] as const) {
    expect(inverseNormal(p)).toBeCloseTo(z, 7);
  }
});

test('a permutation holds everything once and follows its seed', () => {
  const order = new RandomStream(1, 'epoch 0').permutation(1000);
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  expect(new RandomStream(1, 'epoch 0').permutation(1000)).toEqual(order);
  expect(new RandomStream(1, 'epoch 1').permutation(1000)).not.toEqual(order);
  const counts = new Array<number>(6).fill(0);
  for (let seed = 0; seed < 3000; seed++) counts[new RandomStream(seed, 'dice').integer(6)]!++;
  for (const count of counts) expect(Math.abs(count - 500)).toBeLessThan(90);
});
