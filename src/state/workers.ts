import {
  superviseDataWorker,
  superviseModelWorker,
  type DataClient,
  type ModelClient,
  type WorkerChange,
} from '../worker/client.ts';
import type { WorkerEvent } from '../worker/protocol.ts';

/** The worker that holds the graphics card, and the one that reads and keeps data sets and model folders. */
export type WorkerName = 'model' | 'data';
export type NamedChange = WorkerChange & {
  worker: WorkerName;
  /** A run lives in it, or has just ended with it. */
  training: boolean;
};

/** How messages name them. */
export const WORKER_TITLES: Readonly<Record<WorkerName, string>> = {
  model: 'The worker that runs the models',
  data: 'The worker that keeps the data',
};

const listeners = new Set<(event: WorkerEvent) => void>();
const changeListeners = new Set<(change: NamedChange) => void>();
/** The run that lives in the model worker. */
let living: Extract<WorkerEvent, { type: 'run' }> | null = null;

const model = superviseModelWorker(WORKER_TITLES.model, tell, (change) => changed('model', change));
const data = superviseDataWorker(WORKER_TITLES.data, (change) => changed('data', change));

/** Hears everything that the model worker tells, and of what ended with it. */
export function onWorkerEvent(listener: (event: WorkerEvent) => void): void {
  listeners.add(listener);
}

/** Hears of workers that are silent, have ended and were started anew. */
export function onWorkerChange(listener: (change: NamedChange) => void): void {
  changeListeners.add(listener);
}

function tell(event: WorkerEvent): void {
  if (event.type === 'run') living = event.phase === 'ended' ? null : event;
  for (const listener of listeners) listener(event);
}

function changed(worker: WorkerName, change: WorkerChange): void {
  const run = worker === 'model' ? living : null;
  for (const listener of changeListeners) listener({ ...change, worker, training: run !== null });
  if (worker !== 'model' || change.type !== 'ended') return;
  tell({ type: 'unloaded' });
  living = null;
  // Its project is free again when the worker has really gone.
  if (run) void model.ended.then(() => tell({ ...run, phase: 'ended' }));
}

/** Calls go to the worker of the moment, which is started when first needed. A worker that ends refuses what it owes with a UserError. */
export function modelWorker(): ModelClient {
  return model.client;
}

export function dataWorker(): DataClient {
  return data.client;
}

/** Ends a worker, whatever it does; the next call starts a new one. */
export function restartWorker(worker: WorkerName): void {
  (worker === 'model' ? model : data).restart();
}

export { callback } from '../worker/client.ts';
export { errorMessage } from '../worker/errors.ts';
