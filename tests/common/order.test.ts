import { expect, test } from 'vitest';
import { Xoshiro128, shuffledOrder, splitHeldOut } from '../../src/common/order.ts';
import { seeded } from '../support/seeds.ts';

/** xoshiro128** over unbounded integers, straight from its definition. */
function reference(state: readonly number[], count: number): number[] {
  const mask = 0xffffffffn;
  const rotate = (x: bigint, by: bigint) => ((x << by) | (x >> (32n - by))) & mask;
  let [a = 0n, b = 0n, c = 0n, d = 0n] = state.map(BigInt);
  return Array.from({ length: count }, () => {
    const result = (rotate((b * 5n) & mask, 7n) * 9n) & mask;
    const t = (b << 9n) & mask;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotate(d, 11n);
    return Number(result);
  });
}

test('the generator is xoshiro128**', () => {
  for (const state of [
    [1, 2, 3, 4],
    [0xdeadbeef, 0, 0xffffffff, 0x80000000],
  ] as const) {
    const random = new Xoshiro128([...state]);
    expect(Array.from({ length: 100 }, () => random.next())).toEqual(reference(state, 100));
  }
  // The first word by hand: rotl(2 · 5, 7) · 9.
  expect(new Xoshiro128([1, 2, 3, 4]).next()).toBe(11_520);
  expect(() => new Xoshiro128([0, 0, 0, 0])).toThrow(RangeError);
  expect(() => Xoshiro128.from(0.5)).toThrow('whole number');
});

seeded('orders are permutations, the same each time, others for other seeds and epochs', ({ seed }) => {
  for (const count of [0, 1, 2, 3, 100, 5000]) {
    const order = shuffledOrder(count, seed, 0);
    expect(Array.from(order).sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(shuffledOrder(count, seed, 0)).toEqual(order);
    if (count < 100) continue;
    for (const other of [
      shuffledOrder(count, seed + 1, 0),
      shuffledOrder(count, seed, 1),
      shuffledOrder(count, -seed, 0),
    ]) {
      const same = other.filter((value, i) => value === order[i]).length;
      expect(same, `seed ${String(seed)}`).toBeLessThan(20);
    }
  }
});

test('orders never change: a run goes on elsewhere where it stopped', () => {
  expect(shuffledOrder(10, 0, 0).join()).toBe('1,0,9,5,8,3,7,4,6,2');
  expect(shuffledOrder(10, 42, 3).join()).toBe('2,0,5,1,3,4,6,8,9,7');
  expect(splitHeldOut(10, 0.2, 0).heldOut).toEqual([3, 8]);
});

test('every place is equally likely', () => {
  const counts = Array.from({ length: 5 }, () => new Array<number>(5).fill(0));
  const runs = 20_000;
  for (let seed = 0; seed < runs; seed++) {
    shuffledOrder(5, seed, 0).forEach((value, place) => counts[place]![value]!++);
  }
  // Standard deviation sqrt(runs · 0.2 · 0.8) = 57; six of them.
  for (const count of counts.flat()) expect(Math.abs(count - runs / 5)).toBeLessThan(340);
});

test('a held-out share is disjoint, whole and of the size asked for', () => {
  for (const [count, share, size] of [
    [0, 0.1, 0],
    [1, 0.1, 0],
    [2, 0.1, 1],
    [2, 0.99, 1],
    [9, 0, 0],
    [100, 0.05, 5],
    [1000, 0.333, 333],
  ] as const) {
    const { train, heldOut } = splitHeldOut(count, share, 7);
    expect(heldOut).toHaveLength(size);
    expect([...train, ...heldOut].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(train).toEqual([...train].sort((a, b) => a - b));
    expect(heldOut).toEqual([...heldOut].sort((a, b) => a - b));
  }
  expect(splitHeldOut(1000, 0.1, 1).heldOut).not.toEqual(splitHeldOut(1000, 0.1, 2).heldOut);
  expect(() => splitHeldOut(10, 1, 0)).toThrow(RangeError);
  expect(() => splitHeldOut(10, NaN, 0)).toThrow(RangeError);
});
