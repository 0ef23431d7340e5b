import { proxy } from 'comlink';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import {
  PING_MS,
  SILENT_PINGS,
  STEADY_MS,
  SupervisedWorker,
  type WorkerChange,
} from '../../src/worker/supervised-worker.ts';
import { StubLocks, StubWorker } from '../support/stub-worker.ts';

const TITLE = 'The worker that counts';

/** What is called: answers at once, when the test says so, or never. */
class CountingHost {
  readonly nested = proxy({ double: (n: number): number => 2 * n });
  readonly #gates: (() => void)[] = [];
  calls = 0;

  add(a: number, b: number): number {
    this.calls += 1;
    return a + b;
  }

  fail(): never {
    throw new Error('on purpose');
  }

  async wait(): Promise<string> {
    this.calls += 1;
    await new Promise<void>((resolve) => this.#gates.push(resolve));
    return 'waited';
  }

  open(): void {
    for (const gate of this.#gates.splice(0)) gate();
  }
}

let hosts: CountingHost[];
let changes: WorkerChange[];
let locks: StubLocks;
/** What the page does when it hears of a change. */
let react: (change: WorkerChange) => void;

function supervised(): SupervisedWorker<CountingHost> {
  return new SupervisedWorker<CountingHost>({
    title: TITLE,
    start: (name) => new StubWorker('', { name }) as unknown as Worker,
    onChange: (change) => {
      changes.push(change);
      react(change);
    },
  });
}

const types = (): string[] => changes.map(({ type }) => type);

/** So many times the worker was asked for a sign of life. */
async function pings(count: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(count * PING_MS);
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  locks = new StubLocks();
  vi.stubGlobal('navigator', { locks });
  changes = [];
  react = () => undefined;
  hosts = [];
  StubWorker.all.length = 0;
  StubWorker.host = () => {
    const host = new CountingHost();
    hosts.push(host);
    return host;
  };
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('starts a worker with the first call, and hands on answers and errors', async () => {
  const { client } = supervised();
  expect(StubWorker.all).toHaveLength(0);
  expect(await client.add(1, 2)).toBe(3);
  expect(await client.nested.double(4)).toBe(8);
  await expect(client.fail()).rejects.toThrow('on purpose');
  expect(StubWorker.all).toHaveLength(1);
  expect(changes).toEqual([]);
});

it('a crash ends it: what it owes is refused with a sentence, and the next call goes to a new one', async () => {
  const { client } = supervised();
  const [one, two] = [client.wait(), client.wait()];
  await client.add(0, 0);
  StubWorker.last.crash('out of memory');
  const sentence = `${TITLE} crashed before this was done (out of memory), and was started anew. Try again.`;
  for (const call of [one, two]) {
    await expect(call).rejects.toMatchObject({ name: 'UserError', message: sentence });
  }
  expect(StubWorker.all[0]!.ended).toBe(true);
  expect(changes).toEqual([
    { type: 'ended', crashed: true, detail: 'out of memory', failing: false },
    { type: 'restarted' },
  ]);
  expect(await client.add(2, 2)).toBe(4);
  expect(StubWorker.all).toHaveLength(2);
});

it.each(['error', 'messageerror'])('a %s without words is a crash too, and its own', async (type) => {
  const { client } = supervised();
  const call = client.wait();
  StubWorker.last.dispatchEvent(new Event(type));
  await expect(call).rejects.toThrow(type === 'error' ? 'its program could not be loaded' : 'could not be read');
  // What the dead one still says counts no more.
  StubWorker.all[0]!.crash('again');
  expect(types()).toEqual(['ended', 'restarted']);
});

it('a call that nobody waits for may end so without being an unhandled rejection', async () => {
  const unhandled = vi.fn();
  process.on('unhandledRejection', unhandled);
  const { client } = supervised();
  for (let round = 1; round <= 2; round++) {
    void client.wait();
    await vi.waitFor(() => expect(StubWorker.all).toHaveLength(round));
    StubWorker.last.crash('gone');
  }
  // Refused at once, as nothing is called any more.
  void client.wait();
  expect(types()).toEqual(['ended', 'restarted', 'ended']);
  // Node tells of unhandled rejections after a turn.
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', unhandled);
  expect(unhandled).not.toHaveBeenCalled();
});

it('what crashes as soon as it is started anew is not started for ever; the person may', async () => {
  const supervision = supervised();
  const { client } = supervision;
  // Asks again each time it may, as a page does that shows what the worker holds.
  const asked: Promise<string>[] = [];
  const ask = (): void => {
    const call = client.wait();
    asked.push(call.catch((error: Error) => error.message));
  };
  react = ({ type }) => {
    if (type === 'restarted') ask();
  };
  StubWorker.host = (worker) => {
    queueMicrotask(() => worker.crash('broken'));
    return new CountingHost();
  };
  ask();
  expect(await asked[0]).toContain('was started anew');
  expect(await asked[1]).toBe(
    `${TITLE} crashed as soon as it was started anew (broken). Restart it once more, or reload the page.`,
  );
  expect(types()).toEqual(['ended', 'restarted', 'ended']);
  expect([StubWorker.all.length, asked.length]).toEqual([2, 2]);
  // Nothing is started by itself any more.
  await expect(client.add(1, 1)).rejects.toThrow('Restart it once more');
  expect(StubWorker.all).toHaveLength(2);
  StubWorker.host = () => new CountingHost();
  supervision.restart();
  expect(await client.add(1, 1)).toBe(2);
  expect(StubWorker.all).toHaveLength(3);
});

it('a crash long after a new start is a first one again', async () => {
  const { client } = supervised();
  for (let round = 0; round < 3; round++) {
    const call = client.wait();
    await client.add(0, 0);
    StubWorker.last.crash('now and then');
    await expect(call).rejects.toThrow('was started anew');
    await vi.advanceTimersByTimeAsync(STEADY_MS);
  }
  expect(types()).toEqual(['ended', 'restarted', 'ended', 'restarted', 'ended', 'restarted']);
});

it('asks for signs of life only while an answer is owed', async () => {
  const { client } = supervised();
  await client.add(1, 1);
  await pings(3);
  expect(StubWorker.last.pings).toBe(0);
  const call = client.wait();
  await pings(3);
  expect(StubWorker.last.pings).toBe(3);
  hosts[0]!.open();
  await call;
  await pings(3);
  expect(StubWorker.last.pings).toBe(3);
  expect(vi.getTimerCount()).toBe(0);
});

it('a call may take hours as long as the worker gives signs of life', async () => {
  const { client } = supervised();
  const call = client.wait();
  await pings(2000);
  hosts[0]!.open();
  expect(await call).toBe('waited');
  expect(changes).toEqual([]);
});

it('a silent worker is told of, not ended; a late answer takes it back', async () => {
  const { client } = supervised();
  const call = client.wait();
  await client.add(0, 0);
  StubWorker.last.hang();
  await pings(SILENT_PINGS);
  expect(changes).toEqual([]);
  await pings(1);
  expect(types()).toEqual(['silent']);
  // Told again, asked once, and never ended.
  await pings(99 * SILENT_PINGS);
  expect(types()).toEqual(Array<string>(100).fill('silent'));
  changes.length = 0;
  expect([StubWorker.last.pings, StubWorker.last.ended]).toEqual([1, false]);
  StubWorker.last.wake();
  await vi.advanceTimersByTimeAsync(0);
  expect(types()).toEqual(['answering']);
  hosts[0]!.open();
  expect(await call).toBe('waited');
  // A second time it is told of again.
  void client.wait();
  StubWorker.last.hang();
  await pings(SILENT_PINGS + 1);
  expect(types()).toEqual(['answering', 'silent']);
});

it('a silent worker is restarted when asked for: what it owes is refused, whatever it says later', async () => {
  const supervision = supervised();
  const { client } = supervision;
  const call = client.wait();
  await client.add(0, 0);
  StubWorker.last.hang();
  await pings(SILENT_PINGS + 1);
  const late = client.add(1, 1);
  supervision.restart();
  for (const owed of [call, late]) {
    await expect(owed).rejects.toThrow(`${TITLE} was started anew before this was done. Try again.`);
  }
  StubWorker.all[0]!.wake();
  await vi.advanceTimersByTimeAsync(0);
  expect(types()).toEqual(['silent', 'ended', 'restarted']);
  expect(await client.add(1, 2)).toBe(3);
  expect(StubWorker.all).toHaveLength(2);
});

it('a new worker waits until the one before has ended, and calls wait with it, in their order', async () => {
  locks.quick = false;
  const supervision = supervised();
  const { client } = supervision;
  await client.add(0, 0);
  supervision.restart();
  const order: number[] = [];
  const calls = [1, 2, 3].map((n) => client.add(n, 0).then((sum) => order.push(sum)));
  let free = false;
  void supervision.ended.then(() => (free = true));
  await pings(2);
  expect([StubWorker.all.length, free]).toEqual([1, false]);
  // Pressed once more, nothing is ended twice.
  supervision.restart();
  locks.free(StubWorker.all[0]!.name);
  await Promise.all(calls);
  expect([StubWorker.all.length, free, order]).toEqual([2, true, [1, 2, 3]]);
  expect(StubWorker.all[1]!.name).not.toBe(StubWorker.all[0]!.name);
});
