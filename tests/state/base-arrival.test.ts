import { beforeEach, expect, it, vi } from 'vitest';
import type { BaseRecord } from '../../src/storage/records.ts';
import { announcer } from '../../src/state/announcer.svelte.ts';
import { bases } from '../../src/state/base.svelte.ts';

const there = vi.hoisted(() => ({ list: [] as unknown[], adds: null as unknown }));

vi.mock('../../src/state/workers.ts', async () => ({
  ...(await import('./stub-page.ts')),
  dataWorker: () => ({
    importBase: async () => {
      there.list = [there.adds, ...there.list.filter((base) => base !== there.adds)];
      return there.adds;
    },
  }),
}));
vi.mock('../../src/storage/bases.ts', () => ({ listBases: async () => there.list, deleteBase: async () => undefined }));

const base = (id: string, name: string): BaseRecord => ({
  id,
  task: 'voice',
  name,
  createdAt: 1,
  bytes: 1,
  files: [],
  complete: true,
});

beforeEach(async () => {
  there.list = [base('a', 'tiny')];
  await bases.refresh();
  vi.restoreAllMocks();
});

it.each<[string, BaseRecord, string]>([
  ['new', base('b', 'other'), 'other'],
  ['the one that is here', base('a', 'tiny'), 'tiny'],
])('says nothing special of a folder that is %s', async (_what, adds, name) => {
  there.adds = adds;
  const shown = vi.spyOn(announcer, 'show');
  const said = vi.spyOn(announcer, 'say');
  expect(await bases.add('voice', name, [])).toBe(adds.id);
  expect(shown).not.toHaveBeenCalled();
  expect(said).toHaveBeenCalledWith(`${name} has arrived.`);
});

it('says that a folder of a known name holds something else, and that one of another name is here', async () => {
  const shown = vi.spyOn(announcer, 'show');
  there.adds = base('c', 'tiny (2)');
  expect(await bases.add('voice', 'tiny', [])).toBe('c');
  expect(shown).toHaveBeenLastCalledWith(
    '“tiny” holds something else than the base of that name that is here, so it was added as “tiny (2)”.',
  );
  there.adds = base('a', 'tiny');
  there.list = [there.adds];
  await bases.refresh();
  expect(await bases.add('voice', 'renamed', [])).toBe('a');
  expect(shown).toHaveBeenLastCalledWith('What is in “renamed” is here already, as “tiny”.');
  expect(shown).toHaveBeenCalledTimes(2);
});
