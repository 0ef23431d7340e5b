import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UserError } from '../../src/common/errors.ts';
import { announcer } from '../../src/state/announcer.svelte.ts';
import { bases } from '../../src/state/base.svelte.ts';
import { openProject } from '../../src/state/project.svelte.ts';
import type { PlanAnswer } from '../../src/worker/protocol.ts';
import { clearStub, putProject, stub } from './stub-page.ts';

interface Asked {
  projectId: string;
  answer: (plan: PlanAnswer) => void;
  fail: (error: Error) => void;
}

const { plans, imports } = vi.hoisted(() => ({
  plans: [] as Asked[],
  imports: [] as { answer: (base: { id: string }) => void; fail: (error: Error) => void }[],
}));

vi.mock('../../src/state/workers.ts', async () => {
  const page = await import('./stub-page.ts');
  return {
    ...page,
    modelWorker: () => ({
      ...page.modelWorker(),
      plan: (projectId: string) => new Promise<PlanAnswer>((answer, fail) => plans.push({ projectId, answer, fail })),
    }),
    dataWorker: () => ({
      importBase: () => new Promise<{ id: string }>((answer, fail) => imports.push({ answer, fail })),
    }),
  };
});
vi.mock('../../src/storage/projects.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/datasets.ts', () => ({ getDataset: async (id: string) => ({ id, rowCount: 3 }) }));
vi.mock('../../src/storage/bases.ts', () => ({ listBases: async () => [], deleteBase: async () => undefined }));

const planOf = (totalSteps: number): PlanAnswer =>
  ({ plan: { totalSteps }, measuredFlops: null, isSoftware: false }) as unknown as PlanAnswer;

let counter = 0;
let a: string;
let b: string;

beforeEach(async () => {
  clearStub();
  plans.length = 0;
  imports.length = 0;
  counter++;
  [a, b] = [`base-a${counter}`, `base-b${counter}`];
  for (const id of [a, b]) {
    putProject(id, 'look', `of-${id}`);
    stub.projects.set(id, { ...stub.projects.get(id)!, datasetId: `set-${id}` });
  }
  await openProject.open(a);
});

afterEach(() => {
  for (const { id } of announcer.toasts) announcer.close(id);
});

describe('what a run would take', () => {
  it('is shown for its own project alone, and not before it is known', async () => {
    stub.info = () => ({ task: 'look' }) as never;
    const first = bases.makePlan();
    await vi.waitFor(() => expect(plans).toHaveLength(1));
    plans[0]!.answer(planOf(7));
    await first;
    expect(bases.plan?.plan.totalSteps).toBe(7);
    await openProject.open(b);
    expect(bases.plan).toBeNull();
    const second = bases.makePlan();
    expect(bases.plan).toBeNull();
    await vi.waitFor(() => expect(plans).toHaveLength(2));
    expect(bases.planning).toBe(true);
    plans[1]!.fail(new UserError('too large'));
    await second;
    expect([bases.plan, bases.planError, bases.planning]).toEqual([null, 'too large', false]);
    await openProject.open(a);
    expect(bases.planError).toBe('');
  });

  it('that is answered after another project was opened is not shown there', async () => {
    stub.info = () => ({ task: 'look' }) as never;
    const making = bases.makePlan();
    await vi.waitFor(() => expect(plans).toHaveLength(1));
    await openProject.open(b);
    plans[0]!.answer(planOf(7));
    await making;
    expect(bases.plan).toBeNull();
  });
});

describe('a base that takes long to arrive', () => {
  it('becomes that of the project in which it was asked for', async () => {
    const adding = bases.add('look', 'large', []).then((id) => bases.choose(id!, a));
    await openProject.open(b);
    imports[0]!.answer({ id: 'arrived' });
    await adding;
    await openProject.flush();
    expect(stub.projects.get(a)!.baseId).toBe('arrived');
    expect(stub.projects.get(b)!.baseId).toBe(`of-${b}`);
    expect(stub.loads).toEqual([]);
  });

  it('says under another project whose it was that failed, and nothing is wrong with the one that is open', async () => {
    const adding = bases.add('look', 'large', []);
    await openProject.open(b);
    imports[0]!.fail(new UserError('The disk is full.'));
    expect(await adding).toBeNull();
    expect(bases.error).toBe('');
    expect(announcer.toasts.map(({ message }) => message)).toEqual(['The disk is full.']);
  });
});
