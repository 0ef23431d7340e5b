import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Xoshiro128 } from '../../src/common/order.ts';
import { deleteProject, getProject, saveProject } from '../../src/storage/projects.ts';
import type { DatasetTypes } from '../../src/worker/dataset-kind.ts';
import type { DatasetHost } from '../../src/worker/dataset-host.ts';
import {
  forgetAll,
  Gate,
  lookSample,
  soundSample,
  stored,
  twoProjects,
  voiceSample,
  type Sample,
} from '../support/datasets.ts';
import { seeded } from '../support/seeds.ts';

const silent = (): void => undefined;
const CALLS = 100;

beforeEach(forgetAll);
afterEach(() => vi.restoreAllMocks());

function checkKind<T extends DatasetTypes, H extends DatasetHost<T>>(kind: Sample<T, H>): void {
  /** What lies on disk, read by somebody who knows nothing else. */
  const onDisk = (projectId: string): Promise<string> => kind.content(kind.host(), projectId);

  async function add(host: H, projectId: string, numbers: readonly number[], gate?: Gate) {
    const files = await Promise.all(numbers.map((number) => kind.file(number, gate)));
    return host.import(projectId, kind.input(files), silent, silent);
  }

  /** An open project with some files in it. */
  async function filled(numbers: readonly number[] = [0, 1, 2, 3]): Promise<[host: H, a: string, b: string]> {
    const host = kind.host();
    const [a, b] = await twoProjects(kind.task);
    await host.open(a, kind.options);
    await add(host, a, numbers);
    return [host, a, b];
  }

  it('an import that ends after another project was opened lands in its own, and holds the other one up in nothing', async () => {
    const host = kind.host();
    const [a, b] = await twoProjects(kind.task);
    const gate = new Gate();
    await host.open(a, kind.options);
    const slow = add(host, a, [0], gate);
    await gate.reached;
    const empty = await host.open(b, kind.options);
    expect(empty).toMatchObject({ undoLabel: null });
    const quick = await add(host, b, [1]);
    expect(quick).toMatchObject({ failure: '', stopped: false });
    expect(quick.added).toBeGreaterThan(0);
    gate.open();
    const late = await slow;
    expect(late).toMatchObject({ failure: '', stopped: false, state: { record: { projectId: a } } });
    // On disk and in memory each is as if the other had never been.
    for (const [project, numbers] of [
      [a, [0]],
      [b, [1]],
    ] as const) {
      const alone = await filledAlone(numbers);
      expect(await onDisk(project)).toBe(alone);
      expect(await kind.content(host, project)).toBe(alone);
    }
    for (const [project, state] of [
      [a, late.state],
      [b, quick.state],
    ] as const) {
      expect((await getProject(project))?.datasetId).toBe(state.record?.id);
    }
  });

  /** What a set of these files is when nothing else goes on. */
  async function filledAlone(numbers: readonly number[]): Promise<string> {
    const [, a] = await filled(numbers);
    return onDisk(a);
  }

  it('what is asked of a project that is left in the same breath is done in it', async () => {
    const [host, a, b] = await filled();
    const before = await onDisk(a);
    const random = Xoshiro128.from(1);
    const [change] = [kind.change(random, await host.open(a, kind.options))];
    const answers = [host.apply(a, change), host.undo(a), host.redo(a), host.undo(a)];
    const opened = await host.open(b, kind.options);
    expect(opened).toMatchObject({ record: null, undoLabel: null, redoLabel: null });
    await Promise.all(answers);
    expect(await onDisk(a)).toBe(before);
    // And of one that was left for long: its set is read anew, its history is gone.
    expect(await host.undo(a)).toMatchObject({ label: null, state: { record: { projectId: a } } });
    await host.apply(a, change);
    expect(await onDisk(a)).not.toBe(before);
    expect((await host.open(b, kind.options)).record).toBeNull();
    expect((await stored()).datasets).toBe(1);
  });

  it('refuses what is asked of a project that was never opened', async () => {
    const [a] = await twoProjects(kind.task);
    await expect(kind.host().undo(a)).rejects.toThrow('No data set is open. Reload the page.');
  });

  seeded(
    `after ${CALLS} changes, undos and redos at once disk and page agree, and are as if each had waited`,
    async ({ seed }) => {
      const [host, a] = await filled();
      const [waiting, b] = await filled();
      const state = await host.open(a, kind.options);
      const random = Xoshiro128.from(seed);
      const calls = Array.from({ length: CALLS }, () => {
        const what = random.below(4);
        const change = kind.change(random, state);
        return (of: H, to: string): Promise<unknown> => {
          // Some changes are of what is gone by then: they are refused, here as there.
          if (what < 2) return of.apply(to, change).catch(() => null);
          return what === 2 ? of.undo(to) : of.redo(to);
        };
      });
      await Promise.all(calls.map((call) => call(host, a)));
      const page = await kind.content(host, a);
      expect(await onDisk(a)).toBe(page);
      for (const call of calls) await call(waiting, b);
      expect(await onDisk(b)).toBe(page);
    },
  );

  it('keeps what was read until an import is stopped, as one step', async () => {
    const [host, a] = await filled([0]);
    const before = await onDisk(a);
    const gate = new Gate();
    const files = [await kind.file(1), await kind.file(2), await kind.file(3, gate)];
    const importing = host.import(a, kind.input(files), silent, silent);
    await gate.reached;
    await host.cancel(a, 'import');
    gate.open();
    const outcome = await importing;
    expect(outcome).toMatchObject({ stopped: true, failure: '', report: { stopped: true } });
    expect(outcome.report?.files).toHaveLength(2);
    const both = await onDisk(a);
    expect(both).toBe(await filledInTwo([0], [1, 2]));
    const undone = await host.undo(a);
    expect(undone.label).toMatch(/^Add /);
    expect(await onDisk(a)).toBe(before);
    await host.redo(a);
    expect(await onDisk(a)).toBe(both);
  });

  async function filledInTwo(first: readonly number[], then: readonly number[]): Promise<string> {
    const [host, a] = await filled(first);
    await add(host, a, then);
    return onDisk(a);
  }

  it('keeps nothing of an import that is stopped before anything was read, and of the set all of it', async () => {
    const [host, a] = await filled([0]);
    const before = await onDisk(a);
    const gate = new Gate();
    const importing = host.import(a, kind.input([await kind.file(1, gate)]), silent, silent);
    await gate.reached;
    await host.cancel(a, 'import');
    gate.open();
    expect(await importing).toMatchObject({ added: 0, stopped: true, failure: '' });
    expect(await onDisk(a)).toBe(before);
  });

  it('refuses what ends after its project was deleted, and leaves nothing of it behind', async () => {
    const host = kind.host();
    const [a, b] = await twoProjects(kind.task);
    await host.open(a, kind.options);
    const gate = new Gate();
    const importing = add(host, a, [0], gate);
    await gate.reached;
    await host.open(b, kind.options);
    await deleteProject(a);
    gate.open();
    expect((await importing).failure).toMatch(/project of this data set was deleted, so the change could not be kept/);
    expect(await stored()).toEqual({
      projects: 1,
      datasets: 0,
      rows: 0,
      files: 0,
    });
  });

  it('where the disk is full, page and disk stay as they were, and what could be done again still can', async () => {
    const [host, a] = await filled();
    await host.apply(a, kind.change(Xoshiro128.from(2), await host.open(a, kind.options)));
    await host.undo(a);
    const before = await kind.content(host, a);
    const { undoLabel, redoLabel } = await host.open(a, kind.options);
    expect(redoLabel).not.toBeNull();
    vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => {
      throw new DOMException('full', 'QuotaExceededError');
    });
    const change = kind.change(Xoshiro128.from(3), await host.open(a, kind.options));
    await expect(host.apply(a, change)).rejects.toThrow(/storage is full/);
    await expect(host.redo(a)).rejects.toThrow(/storage is full/);
    await expect(host.undo(a)).rejects.toThrow(/storage is full/);
    expect((await add(host, a, [5])).failure).toMatch(/storage is full/);
    vi.restoreAllMocks();
    expect(await kind.content(host, a)).toBe(before);
    expect(await onDisk(a)).toBe(before);
    expect(await host.open(a, kind.options)).toMatchObject({ undoLabel, redoLabel });
  });

  it('gives a project its own set back where it names the one of another', async () => {
    const [host, a, b] = await filled([0]);
    await host.open(b, kind.options);
    await add(host, b, [1]);
    const own = await onDisk(b);
    // As an older page left them behind.
    const project = (await getProject(b))!;
    await saveProject({ ...project, datasetId: (await getProject(a))!.datasetId });
    const fresh = kind.host();
    expect(await kind.content(fresh, b)).toBe(own);
    await fresh.apply(b, kind.change(Xoshiro128.from(4), await fresh.open(b, kind.options)));
    expect((await getProject(b))?.datasetId).toBe(project.datasetId);
  });

  it('finds the set of a first import whose project was written over meanwhile', async () => {
    const [, a] = await filled([0]);
    const there = await onDisk(a);
    await saveProject({ ...(await getProject(a))!, datasetId: null });
    expect(await onDisk(a)).toBe(there);
  });
}

describe('rows of a voice', () => checkKind(voiceSample));
describe('pictures of a look', () => checkKind(lookSample));
describe('songs of a sound', () => checkKind(soundSample));
