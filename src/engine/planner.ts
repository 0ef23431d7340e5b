import { UserError } from '../common/errors.ts';
import { align } from './tensor.ts';

/** One dispatch as the planner sees it: which intermediates it only reads, and which it writes (or reads and writes). */
export interface PlannedUse<T> {
  reads: readonly T[];
  writes: readonly T[];
}

export interface Placement {
  arena: number;
  /** bytes, a multiple of 256 */
  offset: number;
}

export interface ArenaPlan<T> {
  placements: Map<T, Placement>;
  /** Size of each arena in bytes; their sum is what will be allocated. */
  arenas: number[];
  /** The least any layout could take: the most bytes alive at one dispatch. */
  lowerBound: number;
}

interface Interval<T> {
  tensor: T;
  size: number;
  first: number;
  last: number;
  /** Tensors that must lie in another arena. */
  apart: Set<T>;
}

/**
 * Lays intermediates into a few arenas by lifetime: two tensors may share bytes when no dispatch sees both alive.
 *
 * WebGPU tracks usage by whole buffers, and a buffer cannot be bound read-only and writable in one dispatch; so what a
 * dispatch reads lies in other arenas than what it writes (a greedy colouring in order of first use). Within an arena
 * tensors are placed greedily by size, largest first, at the lowest offset free during their lifetime
 * (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", arXiv:2001.03288).
 *
 * @param sizeOf bytes of a tensor
 * @param maxArena largest buffer or binding the device allows, in bytes
 */
export function planArenas<T>(
  uses: readonly PlannedUse<T>[],
  sizeOf: (tensor: T) => number,
  maxArena = Infinity,
): ArenaPlan<T> {
  const intervals = new Map<T, Interval<T>>();
  uses.forEach(({ reads, writes }, index) => {
    for (const tensor of [...reads, ...writes]) {
      const known = intervals.get(tensor);
      if (known) known.last = index;
      else intervals.set(tensor, { tensor, size: align(sizeOf(tensor)), first: index, last: index, apart: new Set() });
    }
    const written = new Set(writes);
    for (const write of written) {
      for (const read of reads) {
        if (written.has(read)) continue;
        intervals.get(write)!.apart.add(read);
        intervals.get(read)!.apart.add(write);
      }
    }
  });

  const arenaOf = new Map<T, number>();
  const members: Interval<T>[][] = [];
  const ordered = [...intervals.values()].sort((a, b) => a.first - b.first);
  for (const interval of ordered) {
    const taken = new Set<number>();
    for (const other of interval.apart) {
      const arena = arenaOf.get(other);
      if (arena !== undefined) taken.add(arena);
    }
    let arena = 0;
    while (taken.has(arena)) arena++;
    arenaOf.set(interval.tensor, arena);
    (members[arena] ??= []).push(interval);
  }

  const placements = new Map<T, Placement>();
  const arenas: number[] = [];
  for (const group of members) {
    let waiting = group;
    // An arena that would pass the device's limit overflows into a further one.
    while (waiting.length > 0) {
      const { height, placed, overflow } = placeBySize(waiting, maxArena);
      for (const [interval, offset] of placed) placements.set(interval.tensor, { arena: arenas.length, offset });
      arenas.push(height);
      if (placed.size === 0) throw tooLarge(Math.max(...waiting.map(({ size }) => size)), maxArena);
      waiting = overflow;
    }
  }
  return { placements, arenas, lowerBound: peakAlive(ordered, uses.length) };
}

const tooLarge = (bytes: number, limit: number): UserError =>
  new UserError(
    `A step needs one buffer of ${bytes} bytes, and the graphics device allows ${limit}. Choose a smaller batch or length.`,
  );

function placeBySize<T>(intervals: readonly Interval<T>[], maxArena: number) {
  const placed = new Map<Interval<T>, number>();
  const overflow: Interval<T>[] = [];
  let height = 0;
  for (const interval of [...intervals].sort((a, b) => b.size - a.size || a.first - b.first)) {
    const neighbours = [...placed]
      .filter(([other]) => other.first <= interval.last && interval.first <= other.last)
      .sort((a, b) => a[1] - b[1]);
    let offset = 0;
    for (const [other, at] of neighbours) {
      if (offset + interval.size <= at) break;
      offset = Math.max(offset, at + other.size);
    }
    if (offset + interval.size > maxArena) overflow.push(interval);
    else {
      placed.set(interval, offset);
      height = Math.max(height, offset + interval.size);
    }
  }
  return { height, placed, overflow };
}

function peakAlive(intervals: readonly Interval<unknown>[], dispatches: number): number {
  const change = new Float64Array(dispatches + 1);
  for (const { first, last, size } of intervals) {
    change[first]! += size;
    change[last + 1]! -= size;
  }
  let alive = 0;
  let peak = 0;
  for (const bytes of change) peak = Math.max(peak, (alive += bytes));
  return peak;
}
