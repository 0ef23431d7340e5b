import { startDataWorker, startModelWorker, type DataClient, type ModelClient } from '../worker/client.ts';
import type { WorkerEvent } from '../worker/protocol.ts';

const listeners = new Set<(event: WorkerEvent) => void>();
let modelClient: ModelClient | null = null;
let dataClient: DataClient | null = null;

/** Hears everything that the model worker tells. */
export function onWorkerEvent(listener: (event: WorkerEvent) => void): void {
  listeners.add(listener);
}

function tell(event: WorkerEvent): void {
  for (const listener of listeners) listener(event);
}

/** The worker that holds the graphics card; started when first needed, and alive for as long as the page. */
export function modelWorker(): ModelClient {
  modelClient ??= startModelWorker(tell, (message) => tell({ type: 'device-lost', message }));
  return modelClient;
}

/** The worker that reads and keeps data sets and model folders. */
export function dataWorker(): DataClient {
  dataClient ??= startDataWorker();
  return dataClient;
}

export { callback } from '../worker/client.ts';
export { errorMessage } from '../worker/errors.ts';
