import { expect, test } from 'vitest';
import { overSeeds, seedsOf } from './seeds.ts';
import type { Draw } from './seeds.ts';

test('the seed that is given, one drawn anew, or as many as are asked for, with few shapes among them', () => {
  expect(seedsOf({ ATHANOR_SEED: '851805295', ATHANOR_SEEDS: '20' })).toEqual([851805295]);
  expect(seedsOf({})).toHaveLength(1);
  const seeds = seedsOf({ ATHANOR_SEEDS: '300' });
  expect(seeds).toHaveLength(300);
  for (const seed of seeds) expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31).toBe(true);
  // The upper bits draw the shapes.
  expect(new Set(seeds.map((seed) => seed >>> 19)).size).toBeLessThanOrEqual(6);
  expect(() => seedsOf({ ATHANOR_SEED: 'any' })).toThrow('ATHANOR_SEED is any, no whole number from 0 on.');
  expect(() => seedsOf({ ATHANOR_SEEDS: '0' })).toThrow('ATHANOR_SEEDS is 0, no whole number from 1 on.');
});

test('a failure names the seed that brings it back, and a sweep goes on to the last', async () => {
  const ran: number[] = [];
  const body = ({ seed }: Draw): void => {
    ran.push(seed);
    if (seed % 2 === 1) throw new Error('odd');
  };
  const once = { task: { meta: {} } };
  await expect(overSeeds(once, body, { seeds: [7], sweep: false })).rejects.toThrow(/^ATHANOR_SEED=7: odd$/);
  expect(once.task.meta).toEqual({});
  const many = { task: { meta: {} } };
  const all = overSeeds(many, body, { seeds: [1, 2, 3], sweep: true });
  await expect(all).rejects.toThrow(/^ATHANOR_SEED=1: odd\nATHANOR_SEED=3: odd$/);
  expect(ran).toEqual([7, 1, 2, 3]);
  const failures = [1, 3].map((seed) => ({ seed, message: 'odd' }));
  expect(many.task.meta).toEqual({ seeds: { ran: 3, failures } });
});

test('one seed draws the same values and the same shapes again', async () => {
  const drawn: unknown[] = [];
  const draw = ({ random, shapes }: Draw): void => void drawn.push([random.uniform(), shapes.uniform()]);
  await overSeeds({ task: { meta: {} } }, draw, { seeds: [5, 5, 6, 5 + 2 ** 19], sweep: true });
  const [first, again, others, otherShapes] = drawn as [number, number][];
  expect(again).toEqual(first);
  expect(others![0]).not.toBe(first![0]);
  expect(others![1]).toBe(first![1]);
  expect(otherShapes![1]).not.toBe(first![1]);
});
