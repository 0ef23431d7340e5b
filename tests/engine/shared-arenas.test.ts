import { expect, test } from 'vitest';
import type { Device } from '../../src/engine/device.ts';
import type { ProgramPlan } from '../../src/engine/program-plan.ts';
import { SharedArenas } from '../../src/engine/shared-arenas.ts';
import { fewestRecomputed } from '../../src/training/recompute.ts';

Object.assign(globalThis, { GPUBufferUsage: { STORAGE: 1, COPY_DST: 2, COPY_SRC: 4 } });

const planOf = (...arenas: number[]): ProgramPlan => ({ arenas: { arenas } }) as unknown as ProgramPlan;

function fakeDevice() {
  const held = new Set<{ size: number }>();
  const device = {
    guarded: (_: string, work: () => void) => Promise.resolve(work()),
    createBuffer(size: number) {
      const buffer = { size };
      held.add(buffer);
      return buffer;
    },
    destroyBuffer: (buffer: { size: number }) => held.delete(buffer),
  };
  return { device: device as unknown as Device, held };
}

test('each plan finds every one of its arenas in a buffer of its own that is large enough', async () => {
  const plans = [planOf(100, 400, 256), planOf(300, 300), planOf(8), planOf(256, 256, 256, 4)];
  const arenas = new SharedArenas(plans);
  expect(arenas.sizes).toEqual([400, 300, 256, 4]);
  expect(arenas.bytes).toBe(960);
  const { device, held } = fakeDevice();
  await arenas.allocate(device);
  await arenas.allocate(device);
  expect([...held].reduce((sum, { size }) => sum + size, 0)).toBe(arenas.bytes);
  for (const plan of plans) {
    const buffers = arenas.buffersFor(plan);
    expect(new Set(buffers).size).toBe(plan.arenas.arenas.length);
    buffers.forEach((buffer, i) => expect(buffer.size).toBeGreaterThanOrEqual(plan.arenas.arenas[i]!));
  }
  arenas.destroy();
  expect(held.size).toBe(0);
});

test('a plan that the arenas were not made for is refused', async () => {
  const arenas = new SharedArenas([planOf(100)]);
  await arenas.allocate(fakeDevice().device);
  expect(() => arenas.buffersFor(planOf(1, 1))).toThrow('made for other plans');
});

test.each([
  [0, 100, 0],
  [10, 101, 0],
  [10, 55, 5],
  [10, 12, 9],
  [10, 1, 10],
])('of %i blocks at a budget of %i the fewest are computed again: %i', (blocks, budget, expected) => {
  let asked = 0;
  const { plan, recomputed } = fewestRecomputed(
    blocks,
    (count) => {
      asked++;
      return { bytes: 10 * (blocks - count) + 1 };
    },
    ({ bytes }) => bytes <= budget,
  );
  expect(recomputed).toBe(expected);
  expect(plan.bytes).toBe(10 * (blocks - expected) + 1);
  expect(asked).toBeLessThan(8);
});
