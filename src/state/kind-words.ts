/** What the page says of a kind: the middle of a sentence where it begins small. */
export interface KindWords {
  /** On the start page: what is taught, of what, and what the example brings. */
  title: string;
  what: string;
  example: string;
  /** One thing that is learnt from. */
  one: string;
  /** A project without any. */
  needs: string;
  /** All of them, and as what is missing. */
  all: string;
  missing: string;
  /** The way to them. */
  gather: string;
  /** What a step sees, for counts and speeds. */
  seen: string;
  perSecond: string;
  /** What one does on Try. */
  tries: string;
  tryIt: string;
  /** What makes a run smaller, under Train. */
  smaller: string;
  /** What the defaults suit. */
  suits: string;
  /** What is made ready before the first step; and by the name that each part of it has in its event. */
  prepares: string;
  preparing: Readonly<Record<string, string>>;
  /** What is held out. */
  heldOut: string;
  /** What a base brings, and what the page's own is good for. */
  base: string;
  embedded: string;
  /** What the loss tells. */
  loss: string;
  prompts: { label: string; help: string };
  /** Whose seed the project's is; null where none is drawn. */
  seedOf: string | null;
}
