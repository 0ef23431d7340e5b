import { readCached, trimCache, writeCached } from '../storage/cache.ts';
import type { TaskCache } from '../tasks/cache.ts';

/** Keeps what a base made of pictures, sounds and words for the next run. */
export class TaskCacheStore implements TaskCache {
  readonly #baseId: string;

  constructor(baseId: string) {
    this.#baseId = baseId;
  }

  async read(key: string): Promise<Float32Array<ArrayBuffer> | undefined> {
    const bytes = await readCached(`${this.#baseId}\n${key}`);
    return bytes && bytes.byteLength % 4 === 0 ? new Float32Array(bytes) : undefined;
  }

  async write(key: string, values: Float32Array<ArrayBuffer>): Promise<void> {
    await writeCached(`${this.#baseId}\n${key}`, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }

  async trim(): Promise<void> {
    await trimCache();
  }
}
