/** A model, a device and a kind for tests of the worker that holds them: everything is noted, and each step waits for the test. */
import type { Adapter } from '../../src/adapters/peft.ts';
import type { Device } from '../../src/engine/device.ts';
import type { Kind } from '../../src/tasks/kind.ts';
import type { TaskEvent, TaskInfo, TaskModel } from '../../src/tasks/task-model.ts';
import type { Task } from '../../src/common/task.ts';
import type { SeededRunRequest } from '../../src/training/run-plan.ts';
import type { PlanReport } from '../../src/training/plan-report.ts';

export const PLAN = { totalBytes: 1000, totalSteps: 4, tokensPerStep: 5, flopsPerStep: 600 } as PlanReport;

/** Events that a test hands over one by one; what waits for the next is told how it may go on. */
export class Feed<E> {
  readonly #events: (E | Error | null)[] = [];
  #wake: () => void = () => undefined;

  /** The next event; an error that is thrown; or the end. */
  give(...events: (E | Error | null)[]): void {
    this.#events.push(...events);
    this.#wake();
  }

  async *read(signal?: AbortSignal): AsyncGenerator<E> {
    signal?.addEventListener('abort', () => this.#wake());
    for (;;) {
      signal?.throwIfAborted();
      const event = this.#events.shift();
      if (event === null) return;
      if (event instanceof Error) throw event;
      if (event !== undefined) yield event;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

export interface StubRequest {
  words?: string;
}

export class StubModel implements TaskModel<object, StubRequest, string, string> {
  readonly info: TaskInfo;
  readonly generated: StubRequest[] = [];
  readonly adapters: (Adapter | null)[] = [];
  readonly runs: (object & SeededRunRequest)[] = [];
  readonly events = new Feed<string>();
  readonly training = new Feed<TaskEvent<string>>();
  destroyed = false;

  constructor(task: Task) {
    this.info = { task, parameters: 1, precision: 'f32', targetModules: [] };
  }

  async countTokens(text: string): Promise<number> {
    return text.length;
  }

  async plan(): Promise<PlanReport> {
    return PLAN;
  }

  async *train(options: object & SeededRunRequest): AsyncGenerator<TaskEvent<string>> {
    this.runs.push(options);
    for await (const event of this.training.read(options.signal)) {
      if (event.type === 'step') await options.pause?.();
      yield event;
    }
  }

  generate(request: StubRequest & { signal?: AbortSignal }): AsyncGenerator<string> {
    this.generated.push(request);
    return this.events.read(request.signal);
  }

  async useAdapter(adapter: Adapter | null): Promise<void> {
    this.adapters.push(adapter);
  }

  destroy(): void {
    this.destroyed = true;
  }
}

export interface StubDevice {
  device: Device;
  lose: (message: string) => void;
}

export function stubDevice(): StubDevice {
  let lose: (info: { reason: string; message: string }) => void = () => undefined;
  const device = {
    info: { isSoftware: true, vendor: 'test', architecture: 'stub', description: '', hasF16: false, limits: {} },
    lost: new Promise((resolve) => (lose = resolve)),
    choices: { restore: () => undefined, chosen: new Map(), toJSON: () => ({}) },
    allocatedBytes: 77,
  } as unknown as Device;
  return { device, lose: (message) => lose({ reason: 'unknown', message }) };
}

/** A kind whose bases are stub models. */
export function stubKind(task: Task, loaded: StubModel[], failing: { error: Error | null }): Kind {
  return {
    task,
    does: `is a ${task}`,
    wanted: `a ${task}`,
    recognises: async () => 'certain',
    load: async (_device, _folder, { onProgress }) => {
      onProgress?.(0.5);
      await Promise.resolve();
      if (failing.error) throw failing.error;
      const model = new StubModel(task);
      loaded.push(model);
      return model as unknown as TaskModel;
    },
    describe: async ({ name }) => ({ name }),
    exportFiles: async (checkpoint, { name, baseName }) =>
      new Map([[`${name} on ${baseName}`, new Uint8Array(checkpoint)]]),
    readAdapter: async (folder, file) => ({ read: `${folder.name} ${file}` }) as unknown as Adapter,
  };
}
