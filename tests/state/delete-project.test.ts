import 'fake-indexeddb/auto';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { announcer } from '../../src/state/announcer.svelte.ts';
import { projects } from '../../src/state/projects.svelte.ts';
import { database } from '../../src/storage/database.ts';
import { getProject, updateProject } from '../../src/storage/projects.ts';
import { readDatabaseFixture, restoreDatabase } from '../support/database-fixture.ts';
import { stub } from './stub-page.ts';

vi.mock('../../src/state/workers.ts', () => import('./stub-page.ts'));
vi.mock('../../src/state/locks.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/cache.ts', () => ({ cachedBytes: async () => 0 }));

const MINUTE = 60_000;

beforeEach(async () => {
  stub.locked.clear();
  await restoreDatabase(readDatabaseFixture('database-v3'));
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] });
  await projects.load();
});

afterEach(() => {
  for (const { id } of announcer.toasts) announcer.close(id);
  vi.useRealTimers();
});

const ids = (): string[] => projects.cards.map(({ project }) => project.id);

/** Records that are left of a project. */
async function left(id: string): Promise<number> {
  const db = await database();
  const runs = await db.getAllKeysFromIndex('runs', 'project', id);
  const sets = await db.getAllKeysFromIndex('datasets', 'project', id);
  return runs.length + sets.length + ((await db.get('projects', id)) ? 1 : 0);
}

it('is gone for every page at once, and comes back whole by an undo', async () => {
  const [card] = projects.cards;
  const { id } = card!.project;
  const before = await getProject(id);
  await projects.remove(card!);
  // A page that is opened now, or stands in another tab, and whatever still writes to it there.
  await projects.load();
  expect(ids()).not.toContain(id);
  await updateProject(id, { sampleSeed: 7 });
  expect(await getProject(id)).toBeUndefined();
  announcer.toasts.at(-1)!.action!.run();
  await vi.waitFor(() => expect(ids()).toContain(id));
  expect(await getProject(id)).toEqual({ ...before, sampleSeed: 7, deletedAt: undefined });
  await vi.advanceTimersByTimeAsync(MINUTE);
  await projects.sweep();
  expect(await left(id)).toBeGreaterThan(1);
});

it('is off the disk when the moment to undo has passed', async () => {
  const [card] = projects.cards;
  const { id } = card!.project;
  await projects.remove(card!);
  expect(await left(id)).toBeGreaterThan(1);
  await vi.advanceTimersByTimeAsync(MINUTE);
  await vi.waitFor(async () => expect(await left(id)).toBe(0));
});

it('is taken off the disk by the next visit where the page was closed before', async () => {
  const [card] = projects.cards;
  const { id } = card!.project;
  await projects.remove(card!);
  vi.clearAllTimers();
  await projects.sweep();
  expect(await left(id), 'another tab may still undo it').toBeGreaterThan(1);
  vi.setSystemTime(Date.now() + MINUTE);
  await projects.sweep();
  expect(await left(id)).toBe(0);
});

it('that began to train in another tab meanwhile is here again', async () => {
  const [card] = projects.cards;
  const { id } = card!.project;
  await projects.remove(card!);
  stub.locked.add(id);
  await vi.advanceTimersByTimeAsync(MINUTE);
  await vi.waitFor(() => expect(ids()).toContain(id));
  expect(announcer.toasts.at(-1)!.message).toMatch(/training in another tab/);
  expect(await left(id)).toBeGreaterThan(1);
});
