import 'fake-indexeddb/auto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UserError } from '../../src/common/errors.ts';
import { announcer } from '../../src/state/announcer.svelte.ts';
import { openProject } from '../../src/state/project.svelte.ts';
import { settings } from '../../src/state/settings.svelte.ts';
import * as storage from '../../src/storage/projects.ts';
import type { DatasetRecord, ProjectRecord } from '../../src/storage/records.ts';

vi.mock('../../src/state/workers.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/projects.ts', { spy: true });

let project: ProjectRecord;
let other: ProjectRecord;
const onDisk = async (id = project.id): Promise<ProjectRecord> => (await storage.getProject(id))!;

beforeEach(async () => {
  project = await storage.createProject('voice', 'One');
  other = await storage.createProject('look', 'Two');
  await openProject.open(project.id);
});

afterEach(async () => {
  await openProject.close();
  for (const { id } of announcer.toasts) announcer.close(id);
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe('the open project', () => {
  it('is shown as it is changed, and on disk at once; typing a little later, or when it is asked for', async () => {
    openProject.update({ name: 'New' });
    expect(openProject.project?.name).toBe('New');
    await vi.waitFor(async () => expect((await onDisk()).name).toBe('New'));
    openProject.updateAsk({ wish: 'a' });
    openProject.updateAsk({ wish: 'ab' });
    expect(openProject.project?.ask.wish).toBe('ab');
    expect((await onDisk()).ask.wish).toBe('');
    await openProject.flush();
    expect((await onDisk()).ask.wish).toBe('ab');
  });

  it('writes only what was changed: fields that a worker wrote meanwhile stay', async () => {
    await storage.updateProject(project.id, { datasetId: 'set' });
    openProject.update({ sampleSeed: 5 });
    await openProject.flush();
    expect(await onDisk()).toMatchObject({ datasetId: 'set', sampleSeed: 5 });
  });

  it('keeps what was typed when another is opened, and changes of one that was left go to its own', async () => {
    openProject.update({ prompts: ['typed'] }, true);
    await openProject.open(other.id);
    expect((await onDisk()).prompts).toEqual(['typed']);
    await openProject.updateOf(project.id, { sampleSeed: 9 });
    expect([(await onDisk()).sampleSeed, openProject.project?.sampleSeed]).toEqual([9, 1]);
  });

  it('shows the last that was asked for, and says which is not there', async () => {
    await Promise.all([openProject.open(other.id), openProject.open(project.id)]);
    expect(openProject.project?.id).toBe(project.id);
    await openProject.open('gone');
    expect([openProject.project, openProject.missing]).toEqual([null, true]);
  });

  it('says that a change could not be kept, and keeps it with the next one', async () => {
    vi.mocked(storage.updateProject).mockRejectedValueOnce(new UserError('The disk is full.'));
    openProject.update({ name: 'Kept' });
    await openProject.flush();
    expect(announcer.toasts.map(({ message }) => message)).toEqual(['The disk is full.']);
    openProject.update({ sampleSeed: 3 });
    await openProject.flush();
    expect(await onDisk()).toMatchObject({ name: 'Kept', sampleSeed: 3 });
  });

  it('refuses settings out of range, and goes back to the defaults with an undo', async () => {
    openProject.setRecipe('learning_rate', 0.01);
    openProject.setAdapter('r', 4);
    expect(() => openProject.setRecipe('learning_rate', -1)).toThrow(UserError);
    expect(() => openProject.setAdapter('r', 0)).toThrow(UserError);
    expect([openProject.project?.recipe, openProject.project?.adapter]).toEqual([{ learning_rate: 0.01 }, { r: 4 }]);
    openProject.resetRecipe();
    expect([openProject.project?.recipe, openProject.project?.adapter]).toEqual([{}, {}]);
    announcer.toasts.at(-1)!.action!.run();
    expect(openProject.project?.recipe).toEqual({ learning_rate: 0.01 });
    await openProject.flush();
    expect((await onDisk()).adapter).toEqual({ r: 4 });
  });

  it('shows a data set of its own alone', async () => {
    const set = (projectId: string): DatasetRecord =>
      ({ id: `of ${projectId}`, projectId, rowCount: 2 }) as DatasetRecord;
    openProject.setDataset(set(other.id));
    expect(openProject.dataset).toBeNull();
    openProject.setDataset(set(project.id));
    await openProject.flush();
    expect([openProject.dataset?.rowCount, (await onDisk()).datasetId]).toEqual([2, `of ${project.id}`]);
  });
});

it('settings are found again, each with its default where what is kept is none', async () => {
  const dataset: Record<string, string> = {};
  vi.stubGlobal('document', { documentElement: { dataset } });
  await storage.setSetting('gpuMemory', -4);
  await storage.setSetting('theme', 'pink');
  await settings.load();
  expect([settings.theme, settings.gpuMemory, settings.notify]).toEqual(['system', 0, false]);
  await settings.set('gpuMemory', 24);
  await settings.set('theme', 'dark');
  await settings.set('notify', true);
  await settings.load();
  expect([settings.theme, settings.gpuMemory, settings.notify, dataset['theme']]).toEqual(['dark', 24, true, 'dark']);
  vi.mocked(storage.setSetting).mockRejectedValueOnce(new UserError('The disk is full.'));
  await settings.set('keepAwake', true);
  expect(announcer.toasts.map(({ message }) => message)).toEqual(['The disk is full.']);
});
