/** Undo reaches this far back; a snapshot shares with its neighbours whatever did not change. */
const MOST_STEPS = 500;

/** Everything that curation changes, moment by moment, each step named and undoable. Snapshots are never changed themselves. */
export class History<S extends object> {
  #now: S;
  #past: { label: string; before: S }[] = [];
  #future: { label: string; after: S }[] = [];

  constructor(start: S) {
    this.#now = start;
  }

  get now(): S {
    return this.#now;
  }

  get undoLabel(): string | null {
    return this.#past.at(-1)?.label ?? null;
  }

  get redoLabel(): string | null {
    return this.#future.at(-1)?.label ?? null;
  }

  apply(label: string, fields: Partial<S>): void {
    this.#past = [...this.#past.slice(1 - MOST_STEPS), { label, before: this.#now }];
    this.#now = { ...this.#now, ...fields };
    this.#future = [];
  }

  /** Another look at the same things: no step of its own. */
  replace(fields: Partial<S>): void {
    this.#now = { ...this.#now, ...fields };
  }

  undo(): void {
    const last = this.#past.pop();
    if (!last) return;
    this.#future.push({ label: last.label, after: this.#now });
    this.#now = last.before;
  }

  redo(): void {
    const next = this.#future.pop();
    if (!next) return;
    this.#past.push({ label: next.label, before: this.#now });
    this.#now = next.after;
  }

  /** Takes the last step back as if it had never been: what it wanted could not be kept. */
  drop(): void {
    const last = this.#past.pop();
    if (last) this.#now = last.before;
  }
}
