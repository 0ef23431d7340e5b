import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Pacer } from '../../src/datasets/pacer.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

it('gives other work its turn after more than 16 ms of its own, and counts anew from there', async () => {
  const pacer = new Pacer();
  const passed = vi.fn();
  vi.advanceTimersByTime(16);
  expect(pacer.due).toBe(false);
  await pacer.pause();
  vi.advanceTimersByTime(1);
  expect(pacer.due).toBe(true);
  const pausing = pacer.pause().then(passed);
  await Promise.resolve();
  // It waits for a turn of the event loop.
  expect([passed.mock.calls.length, vi.getTimerCount()]).toEqual([0, 1]);
  vi.advanceTimersToNextTimer();
  await pausing;
  expect(pacer.due).toBe(false);
});

it('ends where the work was stopped meanwhile', async () => {
  const abort = new AbortController();
  const pacer = new Pacer(abort.signal);
  vi.advanceTimersByTime(100);
  const pausing = pacer.pause();
  abort.abort(new Error('enough'));
  const ended = expect(pausing).rejects.toThrow('enough');
  vi.advanceTimersToNextTimer();
  await ended;
});
