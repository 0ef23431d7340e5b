/** Results by what was asked for, so that the same need not be made again. The oldest go first. */
export class KeptResults<Result> {
  readonly #most: number;
  readonly #results = new Map<string, Result>();

  /** Keeps at most so many. */
  constructor(most: number) {
    this.#most = most;
  }

  get(key: string): Result | undefined {
    return this.#results.get(key);
  }

  keep(key: string, result: Result): void {
    this.#results.delete(key);
    this.#results.set(key, result);
    for (const oldest of [...this.#results.keys()].slice(0, -this.#most)) this.#results.delete(oldest);
  }

  clear(): void {
    this.#results.clear();
  }
}
