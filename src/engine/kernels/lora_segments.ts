import { multipleOf4 } from './lanes.ts';

/**
 * One layer of a LoRA group: a range of the output's columns with its own B. The segments of a group follow each other from
 * column 0 and cover all columns (q, k, v of one attention, gate and up of one MLP, or a single layer). At most four.
 */
export interface LoraSegment {
  /** output columns of the layer */
  columns: number;
  /** 0: a layer of the group without adapter */
  rank: number;
  /** alpha / r, or alpha / √r with rsLoRA; multiplied by the step's `strength` */
  scale: number;
  /** first column of h and of g that belongs to the layer */
  hOffset: number;
  /** element of the buffer `b` where the layer's B begins, [columns, rank] row-major */
  bOffset: number;
}

export const MAX_SEGMENTS = 4;

/** Lays out the segments of a group: h offsets one after the other, and B's one after the other from `bOffset`. */
export function loraSegments(
  layers: readonly { columns: number; rank: number; scale: number }[],
  bOffset = 0,
): LoraSegment[] {
  let hOffset = 0;
  return layers.map((layer) => {
    const segment = { ...layer, hOffset, bOffset };
    hOffset += layer.rank;
    bOffset += layer.columns * layer.rank;
    return segment;
  });
}

/** Sum of the ranks: the width of h and g, and the rows of the group's A. */
export const totalRank = (segments: readonly LoraSegment[]): number =>
  segments.reduce((sum, segment) => sum + segment.rank, 0);

/** Spreads up to four items over the numbered fields of a shader's Params: name0 … name3. */
export function numbered<S>(
  name: string,
  items: readonly S[],
  value: (item: S) => number,
  rest = 0,
): Record<string, number> {
  if (items.length > MAX_SEGMENTS) throw new Error(`a LoRA group of ${items.length} layers: at most ${MAX_SEGMENTS}`);
  const fields: Record<string, number> = {};
  for (let i = 0; i < MAX_SEGMENTS; i++) fields[`${name}${i}`] = i < items.length ? value(items[i]!) : rest;
  return fields;
}

/** Whether four ranks can be read at once everywhere. */
export const ranksAligned = (segments: readonly LoraSegment[]): boolean =>
  segments.every(({ columns, rank, hOffset, bOffset }) => multipleOf4(columns, rank, hOffset, bOffset));

/** Σ columns · rank: the elements of the group's B, and the multiply-adds of a token's low-rank path. */
export const lowRankWork = (segments: readonly LoraSegment[]): number =>
  segments.reduce((sum, { columns, rank }) => sum + columns * rank, 0);
