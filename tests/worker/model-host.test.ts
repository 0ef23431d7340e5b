import 'fake-indexeddb/auto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UserError } from '../../src/common/errors.ts';
import type { Task } from '../../src/common/task.ts';
import { createProject, getSetting, setSetting, updateProject } from '../../src/storage/projects.ts';
import type { ProjectRecord, RunRecord } from '../../src/storage/records.ts';
import { getRun, listCheckpoints, listRuns, readHistory, saveCheckpoint, saveRun } from '../../src/storage/runs.ts';
import { ModelHost } from '../../src/worker/model-host.ts';
import { runLock, type AppliedAdapter, type GpuReport, type WorkerEvent } from '../../src/worker/protocol.ts';
import { PLAN, stubDevice, stubKind, type StubDevice, type StubModel } from '../support/stub-model.ts';

const stub = vi.hoisted(() => ({
  loaded: [] as unknown[],
  failing: { error: null as Error | null },
  /** What opening the device gives, the next first; the last one stays. */
  devices: [] as unknown[],
  /** Why a project has nothing to learn from. */
  noData: null as Error | null,
  locked: new Set<string>(),
}));
const models = stub.loaded as StubModel[];

vi.mock('../../src/tasks/kinds.ts', () => ({
  kindOf: async (task: Task) => stubKind(task, models, stub.failing),
}));
vi.mock('../../src/worker/kinds.ts', () => ({
  workerKind: async () => ({
    learningData: async ({ name }: ProjectRecord) => {
      if (stub.noData) throw stub.noData;
      return { of: name };
    },
    encodeEvent: (event: string) => `<${event}>`,
    encodeSample: (made: string) => `[${made}]`,
    preview: (_model: unknown, items: readonly unknown[]) => items.map((item) => `seen ${String(item)}`),
  }),
}));
vi.mock('../../src/worker/gpu.ts', () => ({
  openDevice: async () => {
    const device = (stub.devices.length > 1 ? stub.devices.shift() : stub.devices[0]) as StubDevice | null;
    const report = { state: device ? 'software' : 'no-adapter', message: device ? '' : 'no card' } as GpuReport;
    return { device: device?.device ?? null, report };
  },
}));
vi.mock('../../src/training/checkpoint.ts', () => ({
  decodeRunState: async (bytes: Uint8Array) => ({ first: bytes[0] }),
  adapterOfState: ({ first }: { first: number }) => ({ first }),
}));
vi.mock('../../src/worker/task-cache.ts', () => ({
  TaskCacheStore: class {
    readonly stub = true;
  },
}));

const BASE = 'embedded:voice';
const OTHER = 'embedded:sound';
const step = (at: number) => ({
  type: 'step' as const,
  step: at,
  totalSteps: PLAN.totalSteps,
  epoch: 0,
  loss: 5 - at,
  learningRate: 0.1,
  gradNorm: 1,
  labelTokens: 3,
  seconds: 0.25,
});
const ready = { type: 'ready' as const, plan: PLAN, measuredBytes: 900, step: 0, totalSteps: PLAN.totalSteps };

let host: ModelHost;
let told: WorkerEvent[];
let card: StubDevice;
let project: ProjectRecord;

beforeEach(async () => {
  models.length = 0;
  stub.failing.error = null;
  stub.noData = null;
  stub.locked.clear();
  card = stubDevice();
  stub.devices = [card];
  vi.stubGlobal('navigator', {
    locks: {
      async request(name: string, _options: object, work: (lock: object | null) => Promise<unknown>) {
        if (stub.locked.has(name)) return work(null);
        stub.locked.add(name);
        try {
          return await work({ name });
        } finally {
          stub.locked.delete(name);
        }
      },
    },
  });
  told = [];
  host = new ModelHost();
  host.setup('http://page/', (event) => told.push(event));
  project = await createProject('voice', 'A project');
  project = (await updateProject(project.id, { baseId: BASE, prompts: ['p', ' ', 'q'] }))!;
});

afterEach(() => vi.unstubAllGlobals());

let nextId = 0;
function generate(words: string, adapter: AppliedAdapter = null, { baseId = BASE, task = 'voice' as Task } = {}) {
  const heard: string[] = [];
  const id = ++nextId;
  const done = host.generate({ id, task, baseId, adapter, request: { words } }, (event: never) => {
    heard.push(event);
  });
  return { id, heard, done };
}

const types = (): string[] => told.map(({ type }) => type);
const phases = (): string[] => told.flatMap((event) => (event.type === 'run' ? [event.phase] : []));
const refusal = async (work: Promise<unknown>): Promise<string> => {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(UserError);
  return (error as Error).message;
};
/** A run that lives, its model at its first event. */
async function begin(resume: { runId: string; step: number } | null = null) {
  const running = host.train({ projectId: project.id, resume });
  await vi.waitFor(() => expect(models[0]?.runs).toHaveLength(1));
  return { model: models[0]!, running };
}
async function newest(): Promise<RunRecord> {
  return (await listRuns(project.id))[0]!;
}

describe('the card', () => {
  it('is asked for once, and again where there was none', async () => {
    stub.devices = [null, card];
    expect(await host.gpu()).toMatchObject({ state: 'no-adapter' });
    stub.devices = [card];
    expect(await host.gpu()).toMatchObject({ state: 'software' });
    stub.devices = [null];
    expect(await host.gpu()).toMatchObject({ state: 'software' });
  });

  it('that cannot be had is refused with its reason', async () => {
    stub.devices = [null];
    expect(await refusal(host.load(BASE))).toBe('no card');
  });

  it('that is lost takes its base with it; the next call opens another and loads anew', async () => {
    await host.load(BASE);
    stub.devices = [stubDevice()];
    card.lose('driver reset');
    await vi.waitFor(() => expect(types()).toContain('device-lost'));
    expect(told.filter(({ type }) => type === 'device-lost' || type === 'unloaded')).toEqual([
      { type: 'device-lost', message: 'driver reset' },
      { type: 'unloaded' },
    ]);
    await host.load(BASE);
    expect(models).toHaveLength(2);
  });
});

describe('a base', () => {
  it('is loaded once and stays until another is wanted', async () => {
    expect(await host.load(BASE)).toMatchObject({ baseId: BASE, info: { task: 'voice' } });
    expect(told.map((event) => ('fraction' in event ? event.fraction : event.type))).toEqual([0, 0.5, 'loaded']);
    await host.load(BASE);
    expect(models).toHaveLength(1);
    expect(host.countTokens(OTHER, 'abc')).toBeNull();
    expect(await host.countTokens(BASE, 'abc')).toBe(3);
    await host.load(OTHER);
    expect(models.map(({ destroyed }) => destroyed)).toEqual([true, false]);
    await host.unload();
    expect(models[1]!.destroyed).toBe(true);
    expect(told.at(-1)).toEqual({ type: 'unloaded' });
  });

  it('that cannot be loaded leaves none, and the next is loaded all the same', async () => {
    stub.failing.error = new UserError('damaged');
    expect(await refusal(host.load(BASE))).toBe('damaged');
    expect(told.at(-1)).toEqual({ type: 'unloaded' });
    stub.failing.error = null;
    await host.load(BASE);
    expect(models).toHaveLength(1);
  });

  it('that is gone, or of another kind, is refused in words', async () => {
    expect(await refusal(host.load('gone'))).toMatch(/no longer on this machine/);
    await updateProject(project.id, { baseId: OTHER });
    expect(await refusal(host.plan(project.id))).toBe('This base is a sound. Choose a voice under Base.');
  });

  it('tells what it is made of without a card', async () => {
    stub.devices = [null];
    expect(await host.describeBase(OTHER)).toEqual({ name: 'the small sound of this page' });
  });
});

describe('generating', () => {
  it('tells each event as it crosses, and waits its turn', async () => {
    const first = generate('one');
    const second = generate('two');
    await vi.waitFor(() => expect(models[0]?.generated).toHaveLength(1));
    const [model] = models;
    model!.events.give('a', 'b', null);
    expect(await first.done).toEqual({ whole: true });
    expect(first.heard).toEqual(['<a>', '<b>']);
    await vi.waitFor(() => expect(model!.generated.map(({ words }) => words)).toEqual(['one', 'two']));
    model!.events.give(null);
    expect(await second.done).toEqual({ whole: true });
  });

  it('that is cancelled ends without an error, also before its turn; the next goes on', async () => {
    const first = generate('one');
    const waiting = generate('two');
    const third = generate('three');
    await vi.waitFor(() => expect(models[0]?.generated).toHaveLength(1));
    const [model] = models;
    model!.events.give('a');
    await vi.waitFor(() => expect(first.heard).toEqual(['<a>']));
    host.cancel(waiting.id);
    host.cancel(first.id);
    expect(await first.done).toEqual({ whole: false });
    expect(await waiting.done).toEqual({ whole: false });
    await vi.waitFor(() => expect(model!.generated.map(({ words }) => words)).toEqual(['one', 'three']));
    model!.events.give(new Error('broken'));
    await expect(third.done).rejects.toThrow('broken');
  });

  it('applies each adapter once: of a checkpoint of this base, of a file, or none', async () => {
    const run = { id: 'r', projectId: project.id, baseId: BASE, startedAt: 1 } as RunRecord;
    await saveRun(run);
    await saveRun({ ...run, id: 'elsewhere', baseId: OTHER });
    for (const runId of ['r', 'elsewhere'])
      await saveCheckpoint({ runId, step: 2, createdAt: 1 }, Uint8Array.of(9), 2, []);
    const choice = { runId: 'r', step: 2 };
    const say = async (adapter: AppliedAdapter): Promise<void> => {
      const { done } = generate('x', adapter);
      await vi.waitFor(() => expect(models).toHaveLength(1));
      models[0]!.events.give(null);
      await done;
    };
    await say(null);
    await say(choice);
    await say(choice);
    await say({ given: new File(['x'], 'theirs.safetensors', { lastModified: 1 }) });
    await say(null);
    expect(models[0]!.adapters).toEqual([{ first: 9 }, { read: 'theirs.safetensors theirs.safetensors' }, null]);
    expect(await refusal(generate('x', { runId: 'elsewhere', step: 2 }).done)).toMatch(/another base/);
    expect(await refusal(generate('x', { runId: 'r', step: 3 }).done)).toMatch(/step 3 is no longer on this machine/);
    expect(await refusal(generate('x', null, { task: 'look' }).done)).toMatch(/This base is a voice/);
  });
});

describe('a run', () => {
  it('is written down as it happens, told in order, and measured', async () => {
    const { model, running } = await begin();
    expect(host.current()).toMatchObject({ type: 'run', phase: 'preparing' });
    model.training.give(
      { type: 'prepare', what: 'codes', done: 1, total: 2 },
      ready,
      ...[1, 2, 3, 4].map(step),
      { type: 'evaluation', step: 4, loss: 0.5, best: true },
      { type: 'sample', step: 4, prompt: 'p', base: 'b', tuned: 't' },
      { type: 'checkpoint', step: 4, bytes: Uint8Array.of(1, 2) },
      { type: 'done', step: 4, reason: 'finished', bestStep: 4 },
      null,
    );
    await running;
    const run = await newest();
    expect(run).toMatchObject({
      status: 'finished',
      step: 4,
      totalSteps: 4,
      loss: 1,
      heldOutLoss: 0.5,
      bestStep: 4,
      plannedBytes: 1000,
      measuredBytes: 900,
      tokens: 20,
      seconds: 1,
    });
    const { steps, evaluations, samples } = await readHistory(run.id);
    expect(steps.map((point) => [point.step, point.loss])).toEqual([1, 2, 3, 4].map((at) => [at, 5 - at]));
    expect(evaluations).toEqual([{ step: 4, loss: 0.5 }]);
    expect(samples).toEqual([{ step: 4, prompt: 'p', base: '[b]', tuned: '[t]' }]);
    expect((await listCheckpoints(run.id)).map((one) => one.step)).toEqual([4]);
    expect([phases()[0], phases().at(-1)]).toEqual(['preparing', 'ended']);
    expect(types()).toEqual(expect.arrayContaining(['prepare', 'metrics', 'checkpoint']));
    expect(model.runs[0]).toMatchObject({ of: 'A project', samplePrompts: ['p', 'q'] });
    // 600 operations a step of a quarter second.
    expect(await getSetting('speed:test/stub/')).toBe(2400);
    expect(host.current()).toBeNull();
    expect(stub.locked.size).toBe(0);
  });

  it('keeps others off the card, and lets be read what is kept', async () => {
    const { model, running } = await begin();
    model.training.give(ready, step(1), { type: 'checkpoint', step: 1, bytes: Uint8Array.of(7) });
    await vi.waitFor(() => expect(types()).toContain('checkpoint'));
    expect(await refusal(host.load(OTHER))).toMatch(/busy training/);
    expect(await refusal(generate('x').done)).toMatch(/busy training/);
    expect(await refusal(host.train({ projectId: project.id, resume: null }))).toMatch(/busy training/);
    expect(await host.load(BASE)).toMatchObject({ baseId: BASE });
    const choice = { runId: (await newest()).id, step: 1 };
    expect(await host.exportFiles(choice, { name: 'mine' })).toEqual(
      new Map([['mine on athanor-small-voice', Uint8Array.of(7)]]),
    );
    expect(await host.describeBase(BASE)).toEqual({ name: 'the small voice of this page' });
    host.stop();
    await running;
    expect(await newest()).toMatchObject({ status: 'stopped', step: 1 });
  });

  it('pauses between two steps and goes on; stopping while it is paused keeps it', async () => {
    const { model, running } = await begin();
    model.training.give(ready, step(1));
    await vi.waitFor(() => expect(phases()).toContain('running'));
    host.pause();
    expect(phases().at(-1)).toBe('pausing');
    model.training.give(step(2));
    await vi.waitFor(() => expect(phases().at(-1)).toBe('paused'));
    host.goOn();
    await vi.waitFor(() => expect(host.current()).toMatchObject({ run: { step: 2 } }));
    host.pause();
    model.training.give(step(3));
    await vi.waitFor(() => expect(phases().at(-1)).toBe('paused'));
    host.stop();
    await running;
    expect(await newest()).toMatchObject({ status: 'stopped' });
    expect(phases().at(-1)).toBe('ended');
  });

  it('that fails says why, and the next may begin', async () => {
    const { model, running } = await begin();
    model.training.give(ready, step(1), new UserError('The loss is no number.'));
    await running;
    expect(await newest()).toMatchObject({ status: 'failed', reason: 'The loss is no number.', step: 1 });
    stub.noData = new UserError('Nothing to learn from.');
    await host.train({ projectId: project.id, resume: null });
    expect(await newest()).toMatchObject({ status: 'failed', reason: 'Nothing to learn from.' });
  });

  it('whose card is lost ends with a sentence', async () => {
    const { model, running } = await begin();
    model.training.give(ready, step(1));
    await vi.waitFor(() => expect(phases()).toContain('running'));
    card.lose('gone');
    await running;
    expect(await newest()).toMatchObject({
      status: 'failed',
      reason: expect.stringMatching(/stopped answering \(gone\)/),
    });
  });

  it('goes on from a checkpoint: what came after it is forgotten, and what is no longer there is said', async () => {
    const { model, running } = await begin();
    model.training.give(ready, step(1), { type: 'checkpoint', step: 1, bytes: Uint8Array.of(8) }, step(2));
    await vi.waitFor(() => expect(host.current()).toMatchObject({ run: { step: 2 } }));
    host.stop();
    await running;
    const { id } = await newest();
    const again = host.train({ projectId: project.id, resume: { runId: id, step: 1 } });
    await vi.waitFor(() => expect(model.runs).toHaveLength(2));
    expect(model.runs[1]).toMatchObject({ resume: Uint8Array.of(8) });
    model.training.give(ready, step(2), { type: 'done', step: 2, reason: 'finished', bestStep: 0 }, null);
    await again;
    expect(await listRuns(project.id)).toHaveLength(1);
    expect(await getRun(id)).toMatchObject({ status: 'finished', step: 2 });
    expect((await readHistory(id)).steps.map((point) => point.step)).toEqual([1, 2]);

    await host.train({ projectId: project.id, resume: { runId: id, step: 9 } });
    expect(await getRun(id)).toMatchObject({ status: 'failed', reason: expect.stringMatching(/step 9 is no longer/) });
    expect(await refusal(host.train({ projectId: project.id, resume: { runId: 'gone', step: 1 } }))).toMatch(
      /That run is no longer/,
    );
  });

  it('of a project that trains in another tab, has no base or is gone is refused', async () => {
    stub.locked.add(runLock(project.id));
    expect(await refusal(host.train({ projectId: project.id, resume: null }))).toMatch(/training in another tab/);
    stub.locked.clear();
    await updateProject(project.id, { baseId: null });
    expect(await refusal(host.train({ projectId: project.id, resume: null }))).toMatch(/Choose a base first/);
    expect(await refusal(host.plan(project.id))).toMatch(/Choose a base first/);
    expect(await refusal(host.train({ projectId: 'gone', resume: null }))).toMatch(/no longer on this machine/);
  });
});

it('plans with what was measured, and shows what would be learnt', async () => {
  expect(await refusal(host.preview(project.id, [1]))).toBe('Load the base first.');
  await setSetting('speed:test/stub/', 123);
  expect(await host.plan(project.id)).toEqual({ plan: PLAN, measuredFlops: 123, isSoftware: true });
  expect(await host.preview(project.id, [1, 2])).toEqual(['seen 1', 'seen 2']);
});
