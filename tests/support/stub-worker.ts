/** A Worker in this thread: messages go both ways in turns of their own, and the test makes it hang or crash. */
import { serve } from '../../src/worker/serve.ts';

type Held = () => void;

export class StubWorker extends EventTarget {
  static readonly all: StubWorker[] = [];
  /** What the next workers serve. */
  static host: (worker: StubWorker) => object = () => ({});

  readonly name: string;
  /** Pings that came to it. */
  pings = 0;
  ended = false;
  readonly #scope = new EventTarget();
  #held: Held[] | null = null;

  constructor(_url: URL | string, options: { name?: string } = {}) {
    super();
    this.name = options.name ?? '';
    StubWorker.all.push(this);
    const { name } = this;
    serve(StubWorker.host(this), {
      name,
      postMessage: (data) => this.#deliver(this, data),
      addEventListener: (type, listener) => this.#scope.addEventListener(type, listener),
      removeEventListener: (type, listener) => this.#scope.removeEventListener(type, listener),
    });
  }

  static get last(): StubWorker {
    return this.all.at(-1)!;
  }

  #deliver(to: EventTarget, data: unknown): void {
    queueMicrotask(() => {
      if (!this.ended) to.dispatchEvent(new MessageEvent('message', { data }));
    });
  }

  postMessage(data: unknown): void {
    if ((data as { type?: unknown }).type === 'ping') this.pings += 1;
    const deliver = (): void => this.#deliver(this.#scope, data);
    if (this.#held) this.#held.push(deliver);
    else deliver();
  }

  /** Answers nothing any more. */
  hang(): void {
    this.#held ??= [];
  }

  /** Answers what came meanwhile. */
  wake(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const deliver of held) deliver();
  }

  /** An exception that nobody caught; without a message: its script could not be loaded. */
  crash(message?: string): void {
    this.dispatchEvent(Object.assign(new Event('error'), message === undefined ? {} : { message }));
  }

  terminate(): void {
    this.ended = true;
  }
}

/** In place of the browser's locks: one is free when the test says so. */
export class StubLocks {
  readonly waiting = new Map<string, () => void>();
  /** The worker that held a lock is at its end at once, and not when `free` says so. */
  quick = true;

  request(name: string, ...rest: unknown[]): Promise<unknown> {
    // Without options it is the worker, which takes it for its life.
    if (rest.length === 1) return new Promise(() => undefined);
    if (this.quick) return Promise.resolve();
    return new Promise<void>((resolve) => this.waiting.set(name, resolve));
  }

  free(name: string): void {
    this.waiting.get(name)?.();
  }
}
