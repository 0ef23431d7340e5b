/** Which keys of its row a token of a layer sees: all up to itself, or the last `window` of those, itself among them. */
export type KeyRange = 'causal' | { readonly window: number };

/** The end of the names of a graph's inputs that hold such ranges. */
export const rangeName = (range: KeyRange): string => (range === 'causal' ? '' : `.window${range.window}`);

/** The kinds of ranges among a model's layers, in the order of their first layer. */
export const distinctRanges = (ranges: readonly KeyRange[]): KeyRange[] => [
  ...new Map(ranges.map((range) => [rangeName(range), range])).values(),
];

/** The first key that a token at `position` of its row sees; the last is always itself. */
export const firstKey = (range: KeyRange, position: number): number =>
  range === 'causal' ? 0 : Math.max(0, position - range.window + 1);
