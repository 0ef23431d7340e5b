import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/common/errors.ts';
import type { ArenaPlan, PlannedUse } from '../../src/engine/planner.ts';
import { planArenas } from '../../src/engine/planner.ts';
import { align } from '../../src/engine/tensor.ts';
import { Random } from '../support/matmul.ts';
import { rounds, seeded } from '../support/seeds.ts';

interface Piece {
  name: number;
  bytes: number;
}

interface RandomGraph {
  uses: PlannedUse<Piece>[];
  largest: number;
}

/** Dispatches that read a few earlier tensors and write new ones, some in place; lifetimes short and long. */
function randomGraph(random: Random): RandomGraph {
  const pieces: Piece[] = [];
  const uses: PlannedUse<Piece>[] = [];
  const dispatches = random.int(1, 60);
  const reach = random.int(1, 12);
  for (let i = 0; i < dispatches; i++) {
    const reads = new Set<Piece>();
    const writes = new Set<Piece>();
    for (let r = random.int(0, 3); r > 0 && pieces.length > 0; r--) {
      // Mostly recent tensors; now and then one from the beginning, as a backward pass reads.
      const far = random.uniform() < 0.2;
      reads.add(pieces[random.int(far ? 0 : Math.max(0, pieces.length - reach), pieces.length - 1)]!);
    }
    if (pieces.length > 0 && random.uniform() < 0.2) {
      const target = pieces.at(-1)!;
      reads.delete(target);
      writes.add(target);
    }
    for (let w = random.int(writes.size > 0 ? 0 : 1, 3); w > 0; w--) {
      const piece = { name: pieces.length, bytes: random.int(1, random.uniform() < 0.2 ? 40_000 : 3_000) };
      pieces.push(piece);
      writes.add(piece);
    }
    uses.push({ reads: [...reads], writes: [...writes] });
  }
  const kept = pieces[random.int(0, pieces.length - 1)];
  uses.push({ reads: kept ? [kept] : [], writes: [] });
  return { uses, largest: pieces.reduce((most, { bytes }) => Math.max(most, align(bytes)), 0) };
}

/** First and last dispatch of every tensor, and the bytes alive at each dispatch: said again, in the plainest way. */
function lifetimes(uses: readonly PlannedUse<Piece>[]) {
  const lives = new Map<Piece, [first: number, last: number]>();
  uses.forEach(({ reads, writes }, i) => {
    for (const piece of [...reads, ...writes]) lives.set(piece, [lives.get(piece)?.[0] ?? i, i]);
  });
  const alive = uses.map((_, i) =>
    [...lives].reduce((sum, [{ bytes }, [first, last]]) => sum + (first <= i && i <= last ? align(bytes) : 0), 0),
  );
  return { lives, peak: Math.max(...alive) };
}

function check({ uses }: RandomGraph, plan: ArenaPlan<Piece>, limit: number, note: string): void {
  const { lives, peak } = lifetimes(uses);
  expect([...plan.placements.keys()].length, note).toBe(lives.size);
  const placed = [...lives].map(([piece, [first, last]]) => ({ piece, first, last, ...plan.placements.get(piece)! }));
  for (const { piece, arena, offset } of placed) {
    expect(offset % 256, note).toBe(0);
    expect(offset + align(piece.bytes), note).toBeLessThanOrEqual(plan.arenas[arena]!);
  }
  for (const [i, a] of placed.entries()) {
    for (const b of placed.slice(0, i)) {
      const together = a.arena === b.arena && a.first <= b.last && b.first <= a.last;
      const apart = a.offset + align(a.piece.bytes) <= b.offset || b.offset + align(b.piece.bytes) <= a.offset;
      if (together && !apart)
        expect.fail(`${note}: tensors ${a.piece.name} and ${b.piece.name} share bytes while both live`);
    }
  }
  for (const { reads, writes } of uses) {
    for (const write of writes) {
      for (const read of reads) {
        expect(plan.placements.get(read)!.arena, note).not.toBe(plan.placements.get(write)!.arena);
      }
    }
  }
  for (const size of plan.arenas) expect(size, note).toBeLessThanOrEqual(limit);
  expect(plan.lowerBound, note).toBe(peak);
  const total = plan.arenas.reduce((sum, size) => sum + size, 0);
  const everything = [...lives.keys()].reduce((sum, { bytes }) => sum + align(bytes), 0);
  expect(total, note).toBeGreaterThanOrEqual(peak);
  expect(total, note).toBeLessThanOrEqual(everything);
}

const bytesOf = ({ bytes }: Piece): number => bytes;

describe('planning of arenas', () => {
  seeded('400 random graphs, with and without a limit', ({ seed }) => {
    for (let round = 0; round < rounds(400); round++) {
      const random = new Random(seed + round);
      const graph = randomGraph(random);
      // From no room to spare to no limit at all.
      const limit = [Infinity, graph.largest, 2 * graph.largest, graph.largest + 256 * random.int(1, 100)][round % 4]!;
      const plan = planArenas(graph.uses, bytesOf, limit);
      check(graph, plan, limit, `seed ${seed + round}`);
      const again = planArenas(graph.uses, bytesOf, limit);
      expect(again, `seed ${seed + round}`).toEqual(plan);
    }
  });

  test('a chain takes the bytes of two tensors, however long it is', () => {
    const chain = Array.from({ length: 101 }, (_, name) => ({ name, bytes: 1000 }));
    const uses = chain.slice(1).map((piece, i) => ({ reads: [chain[i]!], writes: [piece] }));
    const plan = planArenas(uses, bytesOf);
    expect(plan.arenas).toEqual([1024, 1024]);
    expect(plan.lowerBound).toBe(2048);
  });

  test('what is kept to the end is never overwritten', () => {
    const [kept, ...others] = Array.from({ length: 20 }, (_, name) => ({ name, bytes: 256 }));
    const uses = [
      { reads: [], writes: [kept!] },
      ...others.map((piece) => ({ reads: [], writes: [piece] })),
      { reads: [kept!], writes: [] },
    ];
    const { placements } = planArenas(uses, bytesOf);
    const home = placements.get(kept!)!;
    for (const piece of others) {
      const { arena, offset } = placements.get(piece)!;
      expect(arena === home.arena && offset === home.offset).toBe(false);
    }
  });

  test('a tensor larger than a buffer may be is refused with both sizes', () => {
    const piece = { name: 0, bytes: 5000 };
    const plan = () => planArenas([{ reads: [], writes: [piece] }], bytesOf, 4096);
    expect(plan).toThrow(UserError);
    expect(plan).toThrow(/5120 bytes.*4096/);
  });
});
