import { wrap, type Remote } from 'comlink';
import { UserError } from '../common/errors.ts';
import { PING, webLocks } from './serve.ts';

/** How often a worker that owes an answer is asked for a sign of life. */
export const PING_MS = 5000;
/**
 * So many times in vain, and it is silent. A minute: reading a large tokenizer, compiling for a slow card, or a captioner on one
 * core hold a worker for many seconds, which is why a silent one is never ended unasked.
 */
export const SILENT_PINGS = 12;
/** A worker that crashes so soon after a new start is not started once more by itself. */
export const STEADY_MS = 60_000;
/** A new worker waits no longer than this for the end of the one before: a browser ends a busy one within about two seconds. */
const ENDING_MS = 10_000;

export type WorkerChange =
  /** It owes an answer and gives no sign of life. It may be busy. */
  | { type: 'silent' }
  /** It does again. */
  | { type: 'answering' }
  /** It ended, and with it all it held. `failing`: it crashed right after it was started anew, so now nothing is called until `restart`. */
  | { type: 'ended'; crashed: boolean; detail: string; failing: boolean }
  /** Calls go to a new worker from here on, the first of which starts it. */
  | { type: 'restarted' };

export interface SupervisedWorkerOptions<Host extends object> {
  /** For messages, with a capital: “The worker that …”. */
  title: string;
  /** Starts the script under a name, which `serve` locks. */
  start: (name: string) => Worker;
  /** The first call to every worker; `isCurrent` is false from when that worker has ended. */
  greet?: (client: Remote<Host>, isCurrent: () => boolean) => unknown;
  onChange: (change: WorkerChange) => void;
}

interface PendingCall {
  promise: Promise<unknown>;
  reject: (error: Error) => void;
}

type Callable = ((...args: unknown[]) => Promise<unknown>) & { [key: string]: Callable };

/** Collects the path of a call, and makes it. */
function caller(call: (path: readonly string[], args: unknown[]) => unknown, path: readonly string[] = []): object {
  return new Proxy(() => undefined, {
    // Not a promise, though everything else is a method.
    get: (_, key) => (typeof key === 'symbol' || key === 'then' ? undefined : caller(call, [...path, key])),
    apply: (_, __, args: unknown[]) => call(path, args),
  });
}

/** Resolves when the worker of this name has really ended, and what it held (files, locks, the graphics card) is free. */
async function ended(name: string): Promise<void> {
  const signal = AbortSignal.timeout(ENDING_MS);
  await webLocks()
    ?.request(name, { signal }, () => undefined)
    .catch(() => undefined);
}

/**
 * A worker that may crash or hang without taking the page with it: whatever it owes then is refused with a sentence, and the next
 * call goes to a new one. A crash ends it at once; a silent one is only told of, for it may be busy, and ended by `restart`.
 */
export class SupervisedWorker<Host extends object> {
  /** Calls the worker of the moment, and starts one where there is none. */
  readonly client: Remote<Host>;
  readonly #options: SupervisedWorkerOptions<Host>;
  #worker: Worker | null = null;
  #remote: Remote<Host> | null = null;
  #name = '';
  /** The worker before this one is ending. */
  #ending: Promise<void> | null = null;
  /** Why nothing is called. */
  #refusal: UserError | null = null;
  #restartedAt = -Infinity;
  readonly #pending = new Set<PendingCall>();
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Pings without an answer. Counted, not timed: while the page itself sleeps none are missed. */
  #missed = 0;

  constructor(options: SupervisedWorkerOptions<Host>) {
    this.#options = options;
    this.client = caller((path, args) => this.#call(path, args)) as Remote<Host>;
  }

  /** Resolves when the worker that ended last holds nothing any more. */
  get ended(): Promise<void> {
    return this.#ending ?? Promise.resolve();
  }

  /** Ends the worker, whatever it does, and lets calls go to a new one. */
  restart(): void {
    const { title } = this.#options;
    if (this.#worker) this.#end(`${title} was started anew before this was done. Try again.`, false, '', false);
    this.#refusal = null;
    this.#restarted();
  }

  #restarted(): void {
    this.#restartedAt = performance.now();
    this.#options.onChange({ type: 'restarted' });
  }

  #call(path: readonly string[], args: unknown[]): Promise<unknown> {
    const pending: Partial<PendingCall> = {};
    const promise = new Promise<unknown>((resolve, reject) => {
      pending.reject = reject;
      if (this.#refusal) {
        reject(this.#refusal);
        return;
      }
      const post = (): void => {
        const method = path.reduce((at, key) => at[key]!, this.#need() as unknown as Callable);
        method(...args).then(resolve, reject);
      };
      // Calls of one turn are posted in their order in either case.
      if (this.#ending) {
        this.#ending.then(() => this.#pending.has(pending as PendingCall) && post()).catch(reject);
      } else post();
    });
    pending.promise = promise;
    if (this.#refusal) promise.catch(() => undefined);
    else this.#owe(pending as PendingCall);
    return promise;
  }

  #owe(call: PendingCall): void {
    this.#pending.add(call);
    this.#timer ??= setInterval(() => this.#ping(), PING_MS);
    const settle = (): void => {
      this.#pending.delete(call);
      if (this.#pending.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
    call.promise.then(settle, settle);
  }

  #need(): Remote<Host> {
    if (this.#remote) return this.#remote;
    this.#name = `athanor-worker-${Math.random().toString(36).slice(2)}`;
    const worker = this.#options.start(this.#name);
    const isCurrent = (): boolean => this.#worker === worker;
    const crash = (detail: string): void => {
      if (isCurrent()) this.#crash(detail);
    };
    worker.addEventListener('error', (event) => crash(event.message || 'its program could not be loaded'));
    worker.addEventListener('messageerror', () => crash('an answer of it could not be read'));
    worker.addEventListener('message', () => isCurrent() && this.#heard());
    this.#worker = worker;
    this.#missed = 0;
    const remote = wrap<Host>(worker);
    this.#remote = remote;
    void this.#options.greet?.(remote, isCurrent);
    return remote;
  }

  #ping(): void {
    // While the worker before it is ending there is nobody to ask.
    if (!this.#worker) return;
    if (this.#missed === 0) this.#worker.postMessage(PING);
    this.#missed += 1;
    // The first counted one has only just been sent. Told again and again: who chose to wait may think better of it.
    const inVain = this.#missed - 1;
    if (inVain > 0 && inVain % SILENT_PINGS === 0) this.#options.onChange({ type: 'silent' });
  }

  #heard(): void {
    const wasSilent = this.#missed > SILENT_PINGS;
    this.#missed = 0;
    if (wasSilent) this.#options.onChange({ type: 'answering' });
  }

  #crash(detail: string): void {
    const { title } = this.#options;
    const failing = performance.now() - this.#restartedAt < STEADY_MS;
    const sentence = failing
      ? `${title} crashed as soon as it was started anew (${detail}). Restart it once more, or reload the page.`
      : `${title} crashed before this was done (${detail}), and was started anew. Try again.`;
    this.#end(sentence, true, detail, failing);
    if (!failing) this.#restarted();
  }

  #end(sentence: string, crashed: boolean, detail: string, failing: boolean): void {
    const error = new UserError(sentence);
    this.#worker?.terminate();
    this.#worker = null;
    this.#remote = null;
    this.#refusal = failing ? error : null;
    const ending = ended(this.#name).then(() => {
      if (this.#ending === ending) this.#ending = null;
    });
    this.#ending = ending;
    for (const { promise, reject } of [...this.#pending]) {
      // Some calls are made and not waited for; that they end so is told below.
      promise.catch(() => undefined);
      reject(error);
    }
    this.#pending.clear();
    this.#options.onChange({ type: 'ended', crashed, detail, failing });
  }
}
