import { beforeEach, expect, it, vi } from 'vitest';
import { UserError } from '../../src/common/errors.ts';
import { AdapterExport } from '../../src/state/adapter-export.svelte.ts';
import { openProject } from '../../src/state/project.svelte.ts';
import { training } from '../../src/state/training.svelte.ts';
import { clearStub, putProject } from './stub-page.ts';

vi.mock('../../src/state/workers.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/projects.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/runs.ts', () => import('./stub-page.ts'));
vi.mock('../../src/state/locks.ts', () => import('./stub-page.ts'));

let counter = 0;
let id: string;

beforeEach(async () => {
  clearStub();
  id = `export-${++counter}`;
  putProject(id, 'sound', 'base', [8, 4]);
  await openProject.open(id);
  await training.open(id);
});

it('takes the newest checkpoint or the one that is chosen, with its run and the base it was taught on', async () => {
  const taken: [string, number][] = [];
  const adapterExport = new AdapterExport();
  const make = () => adapterExport.make('files', async (run, step) => void taken.push([run.id, step]));
  await make();
  adapterExport.choose(`${id}-run/4`);
  // Another base was chosen since: that is no matter of what was taught.
  openProject.update({ baseId: 'another' });
  expect(adapterExport.baseId).toBe('base');
  await make();
  expect(taken).toEqual([
    [`${id}-run`, 8],
    [`${id}-run`, 4],
  ]);
});

it('says what it is at, and why it could not be done; the next time it may', async () => {
  const adapterExport = new AdapterExport();
  let fail: (error: Error) => void = () => undefined;
  const making = adapterExport.make('bundle', () => new Promise<void>((_, reject) => (fail = reject)));
  await vi.waitFor(() => expect(adapterExport.busy).toBe('bundle'));
  fail(new UserError('The clips are gone.'));
  await making;
  expect([adapterExport.busy, adapterExport.error]).toEqual([null, 'The clips are gone.']);
  await adapterExport.make('files', async () => undefined);
  expect(adapterExport.error).toBe('');
});

it('has nothing to take where nothing was taught', async () => {
  putProject(`${id}-new`, 'sound', 'base');
  await openProject.open(`${id}-new`);
  await training.open(`${id}-new`);
  const adapterExport = new AdapterExport();
  const work = vi.fn(async () => undefined);
  await adapterExport.make('files', work);
  expect([adapterExport.checkpoint, adapterExport.baseId, work.mock.calls.length]).toEqual([undefined, null, 0]);
});
