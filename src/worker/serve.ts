import { expose } from 'comlink';

/** Asks a worker for a sign of life; it answers with PONG between two pieces of work. Comlink heeds neither. */
export const PING = { type: 'ping' } as const;
export const PONG = { type: 'pong' } as const;

/** The browser's locks; only a secure page has them. */
export const webLocks = (): LockManager | undefined => (globalThis.navigator as Partial<Navigator> | undefined)?.locks;

/** What a worker needs of its global scope. */
export interface WorkerScope {
  name: string;
  postMessage(message: unknown): void;
  addEventListener(type: string, listener: (event: Event) => void): void;
  removeEventListener(type: string, listener: (event: Event) => void): void;
}

/** Lets the page call this worker's host, as a SupervisedWorker does. */
export function serve(host: object, scope: WorkerScope = self): void {
  // Held for as long as the worker lives: who waits for it knows when all that the worker held is free.
  void webLocks()?.request(scope.name, () => new Promise<never>(() => undefined));
  scope.addEventListener('message', (event) => {
    if ((event as MessageEvent<{ type?: unknown } | null>).data?.type === PING.type) scope.postMessage(PONG);
  });
  scope.addEventListener('messageerror', () => {
    // What was asked can never be answered. Uncaught, it reaches the page, which starts a new worker.
    throw new Error('a message to it could not be read');
  });
  expose(host, scope);
}
