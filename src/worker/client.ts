import { proxy } from 'comlink';
import type { DataHost } from './data-host.ts';
import type { ModelHost } from './model-host.ts';
import type { WorkerListener } from './protocol.ts';
import { SupervisedWorker, type WorkerChange } from './supervised-worker.ts';

export type { WorkerChange } from './supervised-worker.ts';
export type ModelClient = SupervisedWorker<ModelHost>['client'];
export type DataClient = SupervisedWorker<DataHost>['client'];

type OnChange = (change: WorkerChange) => void;

/** The worker that holds the graphics card. `listener` hears what it tells, and nothing of one that has ended. */
export function superviseModelWorker(
  title: string,
  listener: WorkerListener,
  onChange: OnChange,
): SupervisedWorker<ModelHost> {
  return new SupervisedWorker<ModelHost>({
    title,
    start: (name) => new Worker(new URL('./model.worker.ts', import.meta.url), { type: 'module', name }),
    greet: (client, isCurrent) =>
      client.setup(
        document.baseURI,
        proxy((event) => {
          if (isCurrent()) listener(event);
        }),
      ),
    onChange,
  });
}

/** The worker that reads and keeps files, so that a large one does not stop the page. */
export function superviseDataWorker(title: string, onChange: OnChange): SupervisedWorker<DataHost> {
  return new SupervisedWorker<DataHost>({
    title,
    start: (name) => new Worker(new URL('./data.worker.ts', import.meta.url), { type: 'module', name }),
    onChange,
  });
}

/** A function that a worker may call back. */
export function callback<F extends (...args: never[]) => void>(work: F): F {
  return proxy(work);
}
