import 'fake-indexeddb/auto';
import { afterEach, expect, it, vi } from 'vitest';
import { database } from '../../src/storage/database.ts';
import { readFile } from '../../src/storage/datasets.ts';
import { readHistory, listRuns, appendMetrics, saveRun } from '../../src/storage/runs.ts';
import { deleteProjectSamples, storageUsage } from '../../src/storage/usage.ts';
import { lookRows } from '../../src/worker/look/rows.ts';
import { projects } from '../../src/state/projects.svelte.ts';
import { smallCurve } from '../support/curve.ts';
import { readDatabaseFixture, restoreDatabase } from '../support/database-fixture.ts';

vi.mock('../../src/state/workers.ts', () => import('./stub-page.ts'));
vi.mock('../../src/state/locks.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/cache.ts', () => ({ cachedBytes: async () => 0 }));

afterEach(() => vi.restoreAllMocks());

/** The stores that `work` reads from. */
async function storesRead(work: () => Promise<unknown>): Promise<Set<string>> {
  const opened = vi.spyOn(IDBTransaction.prototype, 'objectStore');
  await work();
  const names = new Set(opened.mock.calls.map(([name]) => name));
  opened.mockRestore();
  return names;
}

it('describes projects of an older build without their histories; pictures and curves are what those give', async () => {
  await restoreDatabase(readDatabaseFixture('database-v3'));
  await projects.load();
  const read = await storesRead(() => projects.load());
  expect(projects.error).toBe('');
  expect(read).toContain('previews');
  for (const store of ['metrics', 'checkpoints', 'checkpointBytes', 'rows']) expect(read).not.toContain(store);

  expect(projects.cards).toHaveLength(4);
  for (const { project, curve, picture, state } of projects.cards) {
    const [run] = await listRuns(project.id);
    const { steps, samples } = await readHistory(run!.id);
    expect(curve, project.name).toEqual(smallCurve(steps.map(({ loss }) => loss)));
    expect(curve.length, project.name).toBeGreaterThan(0);
    expect(state).toMatch(/Taught, loss|Interrupted at step/);
    const last = samples.at(-1)?.tuned;
    if (project.task !== 'look') {
      expect(picture).toBeNull();
    } else {
      expect(last).toBeInstanceOf(Blob);
      expect(await picture?.bytes()).toEqual(await (last as Blob).bytes());
    }
  }
});

it('shows the first picture of a look that has made none, without its rows', async () => {
  await restoreDatabase(readDatabaseFixture('database-v3'));
  await projects.load();
  const look = () => projects.cards.find(({ project }) => project.task === 'look')!;
  const { id, datasetId } = look().project;
  await deleteProjectSamples(id);
  const read = await storesRead(() => projects.load());
  for (const store of ['metrics', 'rows']) expect(read).not.toContain(store);
  const [first] = await lookRows.read(datasetId!);
  const thumbnail = (await readFile(datasetId!, first!.id))!.thumbnail!;
  expect(await look().picture?.bytes()).toEqual(await thumbnail.bytes());
});

it('shows what a run has written down, also where it never ended', async () => {
  await restoreDatabase(readDatabaseFixture('database-v3'));
  const { id: projectId } = await projects.create('voice', 'new');
  const run = (
    await listRuns(
      projects.cards.find(({ project }) => project.task === 'voice' && project.id !== projectId)!.project.id,
    )
  )[0]!;
  await saveRun({ ...run, id: 'broken off', projectId, status: 'running', startedAt: run.startedAt + 1 });
  const steps = Array.from({ length: 200 }, (_, i) => ({
    step: i + 1,
    loss: 5 - i / 100,
    learningRate: 0.1,
    gradNorm: 1,
    tokens: 1,
    seconds: 1,
  }));
  for (let i = 0; i < 200; i += 50) {
    await appendMetrics({
      runId: 'broken off',
      sequence: i / 50,
      steps: steps.slice(i, i + 50),
      evaluations: [],
      samples: [],
    });
  }
  const read = await storesRead(() => projects.load());
  expect(read).not.toContain('metrics');
  const card = projects.cards.find(({ project }) => project.id === projectId);
  expect(card?.curve).toEqual(steps.filter((_, i) => i % 4 === 0).map(({ loss }) => loss));
});

it('adds up what is kept without the histories', async () => {
  await restoreDatabase(readDatabaseFixture('database-v3'));
  vi.stubGlobal('navigator', {
    storage: { estimate: async () => ({ usage: 1, quota: 2 }), persisted: async () => false },
  });
  try {
    await database();
    const read = await storesRead(async () => {
      const { items } = await storageUsage();
      const of = (kind: string) => items.filter((item) => item.kind === kind).map(({ name }) => name);
      expect(new Set(of('samples'))).toEqual(new Set(['Zilo', 'Oluna']));
      expect(of('data')).toHaveLength(4);
    });
    expect(read).toContain('previews');
    expect(read).not.toContain('metrics');
  } finally {
    vi.unstubAllGlobals();
  }
});
