/** What lies below the state classes, in memory: a worker that answers when the test says so, and a database. */
import { newProject, type CheckpointInfo, type ProjectRecord, type RunRecord } from '../../src/storage/records.ts';
import type { Task } from '../../src/common/task.ts';
import type { TaskInfo } from '../../src/tasks/task-model.ts';
import type { GenerationRequest, LoadedBase } from '../../src/worker/protocol.ts';

export { errorMessage } from '../../src/worker/errors.ts';

/** A generation that the worker was asked for. */
export interface StubCall {
  task: Task;
  id: number;
  baseId: string;
  choice: unknown;
  /** Each kind has its own. */
  request: Record<string, unknown>;
  /** Tells the page an event; of a voice, a piece of its text. */
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
  info: (_baseId: string): TaskInfo | Error => new Error('no base was set'),
  /** Resolves before a base is loaded. */
  loading: Promise.resolve(),
  projects: new Map<string, ProjectRecord>(),
  runs: [] as RunRecord[],
  checkpoints: [] as CheckpointInfo[],
  /** Projects that train in another tab. */
  locked: new Set<string>(),
};

function generate({ id, task, baseId, adapter, request }: GenerationRequest, hear: (event: never) => void) {
  return new Promise<{ whole: boolean }>((resolve, reject) => {
    let said = '';
    const tell = (event: unknown): void => {
      const text = task === 'voice' ? String(event) : '';
      said += text;
      (hear as (event: unknown) => void)(task === 'voice' ? { text, tokenIds: [] } : event);
    };
    const call: StubCall = {
      task,
      id,
      baseId,
      choice: adapter,
      request: request as Record<string, unknown>,
      tell,
      end: ({ whole = true, text = '' } = {}) => {
        // What was not told yet is told before the answer.
        if (text.length > said.length) tell(text.slice(said.length));
        resolve({ whole });
      },
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
  generate,
  async cancel(id: number): Promise<void> {
    const call = stub.calls.find((one) => one.id === id);
    if (call) call.cancelled = true;
    call?.end({ whole: false });
  },
};

// In place of src/state/workers.ts.
export const modelWorker = (): typeof model => model;
export const onWorkerEvent = (): void => undefined;
export const onWorkerChange = (): void => undefined;
export const callback = <F>(work: F): F => work;

// In place of src/storage/projects.ts.
export const getProject = async (id: string): Promise<ProjectRecord | undefined> => stub.projects.get(id);
export const saveProject = async (project: ProjectRecord): Promise<void> => {
  stub.projects.set(project.id, project);
};
export const updateProject = async (id: string, fields: Partial<ProjectRecord>): Promise<ProjectRecord | undefined> => {
  const before = stub.projects.get(id);
  const after = before && { ...before, ...fields };
  if (after) stub.projects.set(id, after);
  return after;
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
});

// In place of src/state/locks.ts.
export const lockedRuns = async (): Promise<ReadonlySet<string>> => stub.locked;
export const whileNotTraining = async (id: string, work: () => Promise<void>): Promise<boolean> => {
  if (!stub.locked.has(id)) await work();
  return !stub.locked.has(id);
};

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
