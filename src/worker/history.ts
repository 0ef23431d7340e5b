interface Step<S> {
  label: string;
  /** What was there before it, of one that was done; after it, of one that was undone. */
  snapshot: S;
}

/** Everything a history knows at one time; never changed itself. */
export interface Moment<S> {
  now: S;
  past: readonly Step<S>[];
  future: readonly Step<S>[];
}

/**
 * Everything that curation changes, moment by moment, each step named and undoable. Snapshots are never changed themselves and
 * share with their neighbours whatever did not change.
 */
export class History<S extends object> {
  #moment: Moment<S>;
  readonly #steps: number;

  /** @param steps undo reaches this far back */
  constructor(start: S, steps = 500) {
    this.#moment = { now: start, past: [], future: [] };
    this.#steps = steps;
  }

  get now(): S {
    return this.#moment.now;
  }

  /** What undo would take back, or null. */
  get undoLabel(): string | null {
    return this.#moment.past.at(-1)?.label ?? null;
  }

  /** What redo would do again, or null. */
  get redoLabel(): string | null {
    return this.#moment.future.at(-1)?.label ?? null;
  }

  /** To come back to with `restore`. */
  get moment(): Moment<S> {
    return this.#moment;
  }

  /** As it was then: what came since has never been. */
  restore(moment: Moment<S>): void {
    this.#moment = moment;
  }

  apply(label: string, fields: Partial<S>): void {
    const { now, past } = this.#moment;
    this.#moment = {
      now: { ...now, ...fields },
      past: [...past, { label, snapshot: now }].slice(-this.#steps),
      future: [],
    };
  }

  /** Another look at the same things: no step of its own. */
  replace(fields: Partial<S>): void {
    this.#moment = { ...this.#moment, now: { ...this.now, ...fields } };
  }

  undo(): void {
    const { now, past, future } = this.#moment;
    const last = past.at(-1);
    if (!last) return;
    this.#moment = {
      now: last.snapshot,
      past: past.slice(0, -1),
      future: [...future, { label: last.label, snapshot: now }],
    };
  }

  redo(): void {
    const { now, past, future } = this.#moment;
    const next = future.at(-1);
    if (!next) return;
    this.#moment = {
      now: next.snapshot,
      past: [...past, { label: next.label, snapshot: now }],
      future: future.slice(0, -1),
    };
  }
}
