import type { GpuReport } from '../worker/protocol.ts';
import { describeGpu, type GpuWords } from './gpu-labels.ts';
import { errorMessage, modelWorker, onWorkerEvent } from './workers.ts';

/** What the graphics card is, in words. */
class Gpu {
  #report = $state.raw<GpuReport | null>(null);
  #failure = $state.raw('');
  #lost = $state.raw('');
  #asked = false;

  readonly words: GpuWords = $derived.by(() =>
    describeGpu(this.#report, this.#failure, this.#lost, navigator.userAgent),
  );

  constructor() {
    onWorkerEvent((event) => {
      // Whatever loads afterwards proves that there is a new one.
      if (event.type === 'loaded') this.#lost = '';
      if (event.type === 'device-lost') this.#lost = event.message || 'no reason given';
    });
  }

  get report(): GpuReport | null {
    return this.#report;
  }

  get usable(): boolean {
    return this.#report?.state === 'ready' || this.#report?.state === 'software';
  }

  /** Asks once; `again` asks anew, after something was changed. */
  async check(again = false): Promise<void> {
    if (this.#asked && !again) return;
    this.#asked = true;
    this.#failure = '';
    try {
      this.#report = await modelWorker().gpu();
      this.#lost = '';
    } catch (error) {
      this.#failure = errorMessage(error);
    }
  }
}

export const gpu = new Gpu();
