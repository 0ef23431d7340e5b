/** Milliseconds of work after which other work of the page gets its turn. */
const SLICE_MS = 16;

/** Keeps long work from freezing a page: `await pacer.pause()` between its parts lets other work run where it is due. */
export class Pacer {
  #sliceStart = performance.now();
  readonly #signal: AbortSignal | undefined;

  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** Whether a pause is due; asked first where parts are so small that awaiting each would cost more than they do. */
  get due(): boolean {
    return performance.now() - this.#sliceStart > SLICE_MS;
  }

  /** @throws the signal's reason where it was aborted. */
  async pause(): Promise<void> {
    if (!this.due) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#signal?.throwIfAborted();
    this.#sliceStart = performance.now();
  }
}
