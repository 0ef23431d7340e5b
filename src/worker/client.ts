import { proxy, wrap, type Remote } from 'comlink';
import type { DataHost } from './data-host.ts';
import type { ModelHost } from './model-host.ts';
import type { WorkerListener } from './protocol.ts';

export type ModelClient = Remote<ModelHost>;
export type DataClient = Remote<DataHost>;

/** Starts the worker that holds the graphics card. `onFailure` hears of a worker that could not even start. */
export function startModelWorker(listener: WorkerListener, onFailure: (message: string) => void): ModelClient {
  const worker = new Worker(new URL('./model.worker.ts', import.meta.url), { type: 'module', name: 'model' });
  worker.addEventListener('error', (event) => onFailure(event.message || 'the worker could not start'));
  const client = wrap<ModelHost>(worker);
  void client.setup(document.baseURI, proxy(listener));
  return client;
}

/** Starts the worker that reads and keeps files, so that a large one does not stop the page. */
export function startDataWorker(): DataClient {
  const worker = new Worker(new URL('./data.worker.ts', import.meta.url), { type: 'module', name: 'data' });
  return wrap<DataHost>(worker);
}

/** A function that a worker may call back. */
export function callback<F extends (...args: never[]) => void>(work: F): F {
  return proxy(work);
}
