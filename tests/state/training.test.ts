import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UserError } from '../../src/common/errors.ts';
import { announcer } from '../../src/state/announcer.svelte.ts';
import { gpu } from '../../src/state/gpu.svelte.ts';
import { openProject } from '../../src/state/project.svelte.ts';
import { training } from '../../src/state/training.svelte.ts';
import type { RunRecord } from '../../src/storage/records.ts';
import type { GpuReport, WorkerEvent } from '../../src/worker/protocol.ts';
import { clearStub, putProject, stub } from './stub-page.ts';

interface Asked {
  request: { projectId: string; resume: unknown };
  answer: () => void;
  fail: (error: Error) => void;
}

const worker = vi.hoisted(() => ({
  tell: [] as ((event: WorkerEvent) => void)[],
  trains: [] as Asked[],
  calls: [] as string[],
  current: null as WorkerEvent | null,
  reports: [] as (GpuReport | Error)[],
}));

vi.mock('../../src/state/workers.ts', async () => ({
  ...(await import('./stub-page.ts')),
  onWorkerEvent: (listener: (event: WorkerEvent) => void) => worker.tell.push(listener),
  modelWorker: () => ({
    train: (request: Asked['request']) =>
      new Promise<void>((answer, fail) => worker.trains.push({ request, answer, fail })),
    pause: async () => worker.calls.push('pause'),
    goOn: async () => worker.calls.push('goOn'),
    stop: async () => worker.calls.push('stop'),
    current: async () => worker.current,
    gpu: async () => {
      const report = worker.reports.shift()!;
      if (report instanceof Error) throw report;
      return report;
    },
  }),
}));
vi.mock('../../src/storage/projects.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/runs.ts', () => import('./stub-page.ts'));
vi.mock('../../src/state/locks.ts', () => import('./stub-page.ts'));

let counter = 0;
let a: string;
let b: string;

const tell = (event: WorkerEvent): void => {
  for (const listener of worker.tell) listener(event);
};
const run = (projectId: string, fields: Partial<RunRecord> = {}): RunRecord =>
  ({
    id: `${projectId}-new`,
    projectId,
    baseId: 'base',
    status: 'running',
    step: 0,
    totalSteps: 10,
    ...fields,
  }) as RunRecord;
const point = (step: number) => ({ step, loss: 1, learningRate: 1, gradNorm: 1, tokens: 8, seconds: 0.5 });
const metrics = (runId: string, steps: number[]): WorkerEvent => ({
  type: 'metrics',
  runId,
  steps: steps.map(point),
  evaluations: [],
  samples: [],
});

beforeEach(async () => {
  vi.stubGlobal('document', { visibilityState: 'visible' });
  clearStub();
  stub.locked.clear();
  worker.trains.length = 0;
  worker.calls.length = 0;
  worker.current = null;
  counter++;
  [a, b] = [`train-a${counter}`, `train-b${counter}`];
  putProject(a, 'sound', 'base', [8, 4]);
  putProject(b, 'sound', 'base');
  await openProject.open(a);
  await training.open(a);
});

afterEach(() => {
  for (const { id } of announcer.toasts) announcer.close(id);
  tell({ type: 'run', run: run(a, { status: 'stopped' }), phase: 'ended' });
  vi.unstubAllGlobals();
});

describe('a run', () => {
  it('is followed as it is told: phase, curve, speed, time left', async () => {
    const going = training.start(null);
    await vi.waitFor(() => expect(worker.trains).toHaveLength(1));
    expect(worker.trains[0]!.request).toEqual({ projectId: a, resume: null });
    tell({ type: 'run', run: run(a), phase: 'preparing' });
    tell({ type: 'prepare', runId: `${a}-new`, what: 'codes', done: 1, total: 4 });
    expect([training.alive, training.livingProject, training.preparation?.done]).toEqual([true, a, 1]);
    tell({ type: 'run', run: run(a), phase: 'running' });
    expect(training.preparation).toBeNull();
    tell(metrics(`${a}-new`, [1, 2]));
    tell(metrics('of another run', [3]));
    expect(training.steps.map(({ step }) => step)).toEqual([1, 2]);
    tell({ type: 'notice', runId: `${a}-new`, message: 'The disk is full.' });
    expect(training.notice).toBe('The disk is full.');
    training.pause();
    training.goOn();
    training.stop();
    expect(worker.calls).toEqual(['pause', 'goOn', 'stop']);
    tell({ type: 'run', run: run(a, { status: 'finished', step: 10 }), phase: 'ended' });
    worker.trains[0]!.answer();
    await going;
    expect([training.alive, training.livingProject, training.run?.status]).toEqual([false, null, 'finished']);
  });

  it('that cannot begin says why in its own project alone', async () => {
    const going = training.start(null);
    await vi.waitFor(() => expect(worker.trains).toHaveLength(1));
    worker.trains[0]!.fail(new UserError('Choose a base first.'));
    await going;
    expect([training.error, training.alive]).toEqual(['Choose a base first.', false]);

    const late = training.start(null);
    await vi.waitFor(() => expect(worker.trains).toHaveLength(2));
    await openProject.open(b);
    await training.open(b);
    worker.trains[1]!.fail(new UserError('Choose a base first.'));
    await late;
    expect(training.error).toBe('');
    expect(announcer.toasts.map(({ message }) => message)).toEqual([`${a}: Choose a base first.`]);
  });

  it('of another project is known to live, and does not draw here', async () => {
    tell({ type: 'run', run: run(b), phase: 'running' });
    tell(metrics(`${b}-new`, [1]));
    expect([training.livingProject, training.alive, training.steps]).toEqual([b, false, []]);
    worker.current = { type: 'run', run: run(b, { step: 5 }), phase: 'paused' };
    stub.runs.push(run(b));
    await openProject.open(b);
    await training.open(b);
    expect([training.alive, training.phase, training.run?.step]).toEqual([true, 'paused', 5]);
    tell({ type: 'run', run: run(b, { status: 'stopped' }), phase: 'ended' });
  });

  it('in another tab is said, and cannot be gone on with here', async () => {
    stub.locked.add(b);
    putProject(b, 'sound', 'base', [3]);
    await openProject.open(b);
    await training.open(b);
    expect([training.elsewhere, training.resumable, training.alive]).toEqual([true, null, false]);
  });

  it('of a project that was left while it was being opened is not shown in the next', async () => {
    putProject(b, 'sound', 'base', [3]);
    await Promise.all([training.open(b), training.open(a)]);
    expect(training.run?.projectId).toBe(a);
    expect(training.checkpoints.map(({ runId }) => runId)).toEqual([`${a}-run`, `${a}-run`]);
  });
});

it('knows the checkpoints of each base, newest first, and from which a run can go on', () => {
  expect(training.checkpoints.map(({ step }) => step)).toEqual([8, 4]);
  expect(training.checkpointsOn('base')).toHaveLength(2);
  expect(training.checkpointsOn('another')).toEqual([]);
  expect([training.baseOf(`${a}-run`), training.baseOf('gone')]).toEqual(['base', null]);
});

it('says what the card is, that it could not be asked, and that it was lost', async () => {
  vi.stubGlobal('navigator', { userAgent: 'Chrome/140' });
  worker.reports = [new UserError('No answer.'), { state: 'software', vendor: 'google' } as GpuReport];
  expect(gpu.usable).toBe(false);
  await gpu.check();
  expect(gpu.report).toBeNull();
  await gpu.check();
  expect(worker.reports).toHaveLength(1);
  await gpu.check(true);
  expect([gpu.report?.state, gpu.usable]).toEqual(['software', true]);
});
