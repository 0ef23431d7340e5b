/** What lies below the state classes, in memory: a worker that answers when the test says so, and a database. */
import { newProject, type CheckpointInfo, type ProjectRecord, type RunRecord } from '../../src/storage/records.ts';
import type { Task } from '../../src/common/task.ts';
import type { BaseInfo, LoadedBase } from '../../src/worker/protocol.ts';

export { errorMessage } from '../../src/worker/errors.ts';

/** A generation that the worker was asked for. */
export interface StubCall {
  what: 'generate' | 'draw' | 'compose';
  id: number;
  baseId: string;
  choice: unknown;
  /** Each kind has its own. */
  request: Record<string, unknown>;
  /** Tells the page an event. */
  tell: (event: unknown) => void;
  /** Ends the call: whole, or stopped; a voice's answer holds its text. */
  end: (answer?: { whole?: boolean; text?: string }) => void;
  fail: (error: Error) => void;
  cancelled: boolean;
}

export const stub = {
  calls: [] as StubCall[],
  loads: [] as string[],
  /** Called for every call where it is set; else the test ends each by hand. */
  play: null as ((call: StubCall) => void) | null,
  /** What a base says of itself, or why it cannot be loaded. */
  info: (_baseId: string): BaseInfo | Error => new Error('no base was set'),
  /** Resolves before a base is loaded. */
  loading: Promise.resolve(),
  projects: new Map<string, ProjectRecord>(),
  runs: [] as RunRecord[],
  checkpoints: [] as CheckpointInfo[],
};

function ask(what: StubCall['what']) {
  return (
    id: number,
    baseId: string,
    choice: unknown,
    request: Record<string, unknown>,
    tell: (event: unknown) => void,
  ) =>
    new Promise((resolve, reject) => {
      const call: StubCall = {
        what,
        id,
        baseId,
        choice,
        request,
        tell,
        end: (answer = {}) => resolve({ whole: true, text: '', ...answer }),
        fail: reject,
        cancelled: false,
      };
      stub.calls.push(call);
      stub.play?.(call);
    });
}

const model = {
  async load(baseId: string): Promise<LoadedBase> {
    stub.loads.push(baseId);
    await stub.loading;
    const info = stub.info(baseId);
    if (info instanceof Error) throw info;
    return { baseId, info };
  },
  generate: ask('generate'),
  draw: ask('draw'),
  compose: ask('compose'),
  async cancel(id: number): Promise<void> {
    const call = stub.calls.find((one) => one.id === id);
    if (call) call.cancelled = true;
    call?.end({ whole: false });
  },
};

// In place of src/state/workers.ts.
export const modelWorker = (): typeof model => model;
export const onWorkerEvent = (): void => undefined;
export const callback = <F>(work: F): F => work;

// In place of src/storage/projects.ts.
export const getProject = async (id: string): Promise<ProjectRecord | undefined> => stub.projects.get(id);
export const saveProject = async (project: ProjectRecord): Promise<void> => {
  stub.projects.set(project.id, project);
};
export const getSetting = async (): Promise<undefined> => undefined;

// In place of src/storage/runs.ts.
export const listRuns = async (projectId: string): Promise<RunRecord[]> =>
  stub.runs.filter((run) => run.projectId === projectId);
export const listCheckpoints = async (runId: string): Promise<CheckpointInfo[]> =>
  stub.checkpoints.filter((checkpoint) => checkpoint.runId === runId);
export const readHistory = async (): Promise<unknown> => ({
  steps: [],
  evaluations: [],
  samples: [],
  pictures: [],
  sounds: [],
});

// In place of src/state/locks.ts.
export const lockedRuns = async (): Promise<ReadonlySet<string>> => new Set();

/** A project on a base, where it says so with a run on that base and its checkpoints. */
export function putProject(id: string, task: Task, baseId: string, steps: readonly number[] = []): void {
  stub.projects.set(id, { ...newProject(id, task, id, 1), baseId });
  if (steps.length === 0) return;
  const run: Pick<RunRecord, 'id' | 'projectId' | 'baseId' | 'status'> = {
    id: `${id}-run`,
    projectId: id,
    baseId,
    status: 'finished',
  };
  stub.runs.push(run as RunRecord);
  stub.checkpoints.push(...steps.map((step) => ({ runId: run.id, step, createdAt: 1, size: 1 })));
}

/** Lets everything run that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

export function clearStub(): void {
  Object.assign(stub, { calls: [], loads: [], play: null, loading: Promise.resolve(), runs: [], checkpoints: [] });
  stub.projects.clear();
}
