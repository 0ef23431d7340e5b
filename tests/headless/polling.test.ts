import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { pacePolling } from '../../src/headless/polling.ts';

const plain = globalThis.setImmediate;
beforeEach(() => pacePolling());
afterEach(() => {
  globalThis.setImmediate = plain;
});

/** As Dawn's binding waits: a nameless function of native code that sets itself again until something is over. */
function nativePoll(isOver: () => boolean): { polls: () => number; done: Promise<void> } {
  let polls = 0;
  let finish: () => void;
  const done = new Promise<void>((resolve) => (finish = resolve));
  const poll: () => void = function () {
    polls++;
    if (isOver()) finish();
    else setImmediate(native);
  }.bind(undefined);
  const native = Object.defineProperty(poll, 'name', { value: '' });
  setImmediate(native);
  return { polls: () => polls, done };
}

test('a wait that is over at once is answered in the next turn of the event loop, not by a timer', async () => {
  const order: string[] = [];
  const { polls, done } = nativePoll(() => true);
  void done.then(() => order.push('answer'));
  await new Promise<void>((resolve) => plain(() => plain(resolve)));
  expect(order).toEqual(['answer']);
  expect(polls()).toBe(1);
});

test('in a longer wait the event loop sleeps, and the poll comes back until it is over', async () => {
  let over = false;
  const before = performance.eventLoopUtilization();
  const { polls, done } = nativePoll(() => over);
  let idle = 0;
  // A loop that is never without an immediate is never idle, however long one waits.
  for (let i = 0; i < 100 && idle === 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    idle = performance.eventLoopUtilization(before).idle;
  }
  expect(idle).toBeGreaterThan(0);
  const seen = polls();
  over = true;
  await done;
  expect(polls()).toBe(seen + 1);
});

test('immediates of anybody else are as they were: in order, with their arguments, promisified, cleared', async () => {
  const order: string[] = [];
  setImmediate((a: string, b: string) => order.push(a, b), 'first', 'second');
  const cleared = setImmediate(() => order.push('cleared'));
  clearImmediate(cleared);
  setImmediate((() => order.push('bound')).bind(undefined));
  expect(await promisify(setImmediate)('value')).toBe('value');
  expect(order).toEqual(['first', 'second', 'bound']);
});
