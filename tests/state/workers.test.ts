import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { RunRecord } from '../../src/storage/records.ts';
import type { workerNotices } from '../../src/state/worker-notices.svelte.ts';
import type * as Workers from '../../src/state/workers.ts';
import type { WorkerEvent, WorkerListener } from '../../src/worker/protocol.ts';
import { PING_MS, SILENT_PINGS } from '../../src/worker/supervised-worker.ts';
import { StubLocks, StubWorker } from '../support/stub-worker.ts';

const RUN = { id: 'r', projectId: 'p', status: 'running', step: 7 } as RunRecord;

/** What the model worker's host does here: tells the page what the test wants told. */
class StubHost {
  tell: (event: WorkerEvent) => unknown = () => undefined;
  setup(_url: string, listener: WorkerListener): void {
    this.tell = listener;
  }
  train(): Promise<never> {
    return new Promise(() => undefined);
  }
  gpu(): string {
    return 'a card';
  }
}

let hosts: StubHost[];
let locks: StubLocks;
let events: WorkerEvent[];
let workers: typeof Workers;
let notices: typeof workerNotices;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  locks = new StubLocks();
  vi.stubGlobal('navigator', { locks });
  vi.stubGlobal('document', { baseURI: 'https://page.example/' });
  vi.stubGlobal('Worker', StubWorker);
  hosts = [];
  events = [];
  StubWorker.all.length = 0;
  StubWorker.host = () => {
    const host = new StubHost();
    hosts.push(host);
    return host;
  };
  vi.resetModules();
  workers = await import('../../src/state/workers.ts');
  workers.onWorkerEvent((event) => events.push(event));
  ({ workerNotices: notices } = await import('../../src/state/worker-notices.svelte.ts'));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Begins a run in the model worker. */
async function train(): Promise<{ ended: Promise<string> }> {
  const ended = workers
    .modelWorker()
    .train({ projectId: 'p', resume: null })
    .then(
      () => 'done',
      (error: Error) => error.message,
    );
  await workers.modelWorker().gpu();
  await hosts.at(-1)!.tell({ type: 'run', run: RUN, phase: 'running' });
  return { ended };
}

const sentences = (): string[] => notices.list.map(({ sentence }) => sentence);

it('a crash during a run: the base is unloaded, and the run has ended when its project is free', async () => {
  locks.quick = false;
  const { ended } = await train();
  const { tell } = hosts[0]!;
  events.length = 0;
  StubWorker.last.crash('out of memory');
  expect(events).toEqual([{ type: 'unloaded' }]);
  expect(await ended).toContain('The worker that runs the models crashed before this was done (out of memory)');
  // What the dead one still says is not heard.
  await tell({ type: 'run', run: RUN, phase: 'running' });
  expect(events).toHaveLength(1);
  locks.free(StubWorker.all[0]!.name);
  await vi.waitFor(() => expect(events.at(-1)).toEqual({ type: 'run', run: RUN, phase: 'ended' }));
  expect(events).toHaveLength(2);
  expect(notices.list).toEqual([
    {
      worker: 'model',
      sentence:
        'The worker that runs the models crashed (out of memory) and was started anew. The run ended with it; its checkpoints are kept, and it can go on from the last one under Train.',
      offersRestart: false,
    },
  ]);
  // The next one is asked as if nothing had been, and another crash ends no run.
  expect(await workers.modelWorker().gpu()).toBe('a card');
  notices.close('model');
  expect(notices.list).toEqual([]);
});

it('a run that has ended is not ended once more by a crash', async () => {
  await train();
  await hosts[0]!.tell({ type: 'run', run: RUN, phase: 'ended' });
  events.length = 0;
  StubWorker.last.crash('late');
  await workers.modelWorker().gpu();
  expect(events).toEqual([{ type: 'unloaded' }]);
  expect(sentences()).toEqual([expect.stringContaining('everything kept is still there')]);
});

it('a silent worker is offered to be restarted; an answer takes the offer back', async () => {
  await train();
  StubWorker.last.hang();
  await vi.advanceTimersByTimeAsync((SILENT_PINGS + 1) * PING_MS);
  expect(notices.list).toMatchObject([{ worker: 'model', offersRestart: true }]);
  expect(sentences()[0]).toContain(
    'It may be busy and answer yet; restarting it loses the run since its last checkpoint',
  );
  StubWorker.last.wake();
  await vi.advanceTimersByTimeAsync(0);
  expect(notices.list).toEqual([]);
});

it('restarted by the person, it says what that cost, and answers', async () => {
  const { ended } = await train();
  StubWorker.last.hang();
  await vi.advanceTimersByTimeAsync((SILENT_PINGS + 1) * PING_MS);
  notices.restart('model');
  expect(await ended).toBe('The worker that runs the models was started anew before this was done. Try again.');
  expect(notices.list).toMatchObject([{ offersRestart: false }]);
  expect(sentences()[0]).toMatch(/^The worker that runs the models was started anew\. The run ended with it/);
  expect(await workers.modelWorker().gpu()).toBe('a card');
  expect(events.at(-1)).toMatchObject({ type: 'run', phase: 'ended' });
});

it('what crashes again at once waits for the person, in words', async () => {
  for (let round = 1; round <= 2; round++) {
    const call = workers.dataWorker().cancelImportBase();
    await vi.waitFor(() => expect(StubWorker.all).toHaveLength(round));
    StubWorker.last.crash();
    await expect(call).rejects.toThrow('its program could not be loaded');
  }
  expect(notices.list).toMatchObject([{ worker: 'data', offersRestart: true }]);
  expect(sentences()[0]).toContain('crashed as soon as it was started anew');
  await expect(workers.dataWorker().cancelImportBase()).rejects.toThrow('Restart it once more, or reload the page.');
  StubWorker.host = () => ({ cancelImportBase: () => undefined });
  notices.restart('data');
  expect(notices.list).toEqual([]);
  await workers.dataWorker().cancelImportBase();
  // The other worker has nothing to do with it.
  expect(events).toEqual([]);
});
