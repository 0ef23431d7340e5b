import { test } from 'vitest';
import { Random } from './matmul.ts';

declare module 'vitest' {
  interface TaskMeta {
    /** What tools/seeds-reporter.mjs prints of a test that draws fresh numbers. */
    seeds?: { ran: number; failures: { seed: number; message: string }[] };
  }
}

/** Tests that draw fresh numbers have this tag: `npm run test:seeds` runs them alone. */
const TAG = 'fresh-random';

interface Asked {
  ATHANOR_SEED?: string | undefined;
  ATHANOR_SEEDS?: string | undefined;
}

const asked: Asked = process.env;

/** True where a test runs under many seeds: it may then take smaller sizes and fewer rounds of the same. */
export const sweeping = asked.ATHANOR_SEEDS !== undefined && asked.ATHANOR_SEED === undefined;

// A seed is 12 bits for the shapes and 19 for the values.
const VALUE_BITS = 19;
const SHAPES_OF_A_SWEEP = 6;

const below = (limit: number): number => Math.floor(Math.random() * limit);

function whole(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least)
    throw new Error(`${name} is ${text}, no whole number from ${least} on.`);
  return value;
}

/** The seeds that are asked for: the one given, so many drawn anew, or one drawn anew. */
export function seedsOf({ ATHANOR_SEED: one, ATHANOR_SEEDS: many }: Asked): number[] {
  if (one !== undefined) return [whole('ATHANOR_SEED', one, 0)];
  if (many === undefined) return [below(2 ** 31)];
  // Few shapes, since each compiles shaders of its own.
  const shapes = Array.from({ length: SHAPES_OF_A_SWEEP }, () => below(2 ** (31 - VALUE_BITS)));
  return Array.from(
    { length: whole('ATHANOR_SEEDS', many, 1) },
    (_, i) => shapes[i % shapes.length]! * 2 ** VALUE_BITS + below(2 ** VALUE_BITS),
  );
}

/** The first of them: for tests that run once however many are asked for. */
export const oneSeed = (): number => seedsOf(asked)[0]!;

/** What a test draws from one seed. */
export interface Draw {
  seed: number;
  /** "seed 123", for messages of many comparisons; the seed of what fails is printed in any case. */
  note: string;
  /** For values. */
  random: Random;
  /** For sizes that shaders are compiled for: in a sweep many seeds share them. */
  shapes: Random;
}

/** What a test draws from a written seed: where no argument gives a bound for every one of them. */
export const drawOf = (seed: number): Draw => ({
  seed,
  note: `seed ${seed}`,
  random: new Random(seed),
  shapes: new Random(seed >>> VALUE_BITS),
});

/** So many rounds of the same, or a few in a sweep, where the seeds are what is many. */
export const rounds = (count: number): number => (sweeping ? Math.min(count, 3) : count);

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

interface Ran {
  task: { meta: { seeds?: { ran: number; failures: { seed: number; message: string }[] } } };
}

/** Runs a test's body under each of the seeds; every failure names its own. In a sweep the others follow all the same. */
export async function overSeeds(
  { task }: Ran,
  body: (draw: Draw) => void | Promise<void>,
  { seeds = seedsOf(asked), sweep = sweeping } = {},
): Promise<void> {
  const failures: { seed: number; message: string }[] = [];
  for (const seed of seeds) {
    try {
      await body(drawOf(seed));
    } catch (error) {
      if (!sweep) {
        // With ATHANOR_SEED=… this is what happens again.
        if (error instanceof Error) error.message = `ATHANOR_SEED=${seed}: ${error.message}`;
        throw error;
      }
      failures.push({ seed, message: messageOf(error) });
    }
  }
  if (!sweep) return;
  task.meta.seeds = { ran: seeds.length, failures };
  if (failures.length > 0) {
    throw new Error(failures.map(({ seed, message }) => `ATHANOR_SEED=${seed}: ${message}`).join('\n'));
  }
}

const options = (): { tags: string[]; timeout?: number } => ({ tags: [TAG], ...(sweeping && { timeout: 0 }) });

/**
 * A test that draws fresh numbers: of a seed drawn anew, which is printed when it fails; of the seed ATHANOR_SEED; or one
 * after the other of as many seeds as ATHANOR_SEEDS says, in one test and one process, so that what is compiled serves all.
 */
export function seeded(name: string, body: (draw: Draw) => void | Promise<void>): void {
  test(name, options(), (context) => overSeeds(context, body));
}

type Cases<C> = (name: string, body: (draw: Draw, c: C) => void | Promise<void>) => void;

/**
 * The same for each of some cases, as test.each, and for cases drawn from the seed, which the name calls "any".
 * A case that is an array stays one argument.
 */
function each<C extends readonly unknown[] | [unknown]>(
  cases: readonly C[],
  ...drawn: ((shapes: Random) => NoInfer<C>)[]
): Cases<C>;
function each<C>(cases: readonly C[], ...drawn: ((shapes: Random) => NoInfer<C>)[]): Cases<C>;
function each<C>(cases: readonly C[], ...drawn: ((shapes: Random) => C)[]): Cases<C> {
  return (name, body) => {
    test.for(cases)(name, options(), (c, context) => overSeeds(context, (draw) => body(draw, c)));
    drawn.forEach((make, i) => {
      const any = name.replace(/\$\w+|%[a-z]/g, 'any') + (i > 0 ? ` (${i + 1})` : '');
      test(any, options(), (context) =>
        overSeeds(context, async (draw) => {
          const c = make(draw.shapes);
          try {
            await body(draw, c);
          } catch (error) {
            if (error instanceof Error) error.message = `${JSON.stringify(c)}: ${error.message}`;
            throw error;
          }
        }),
      );
    });
  };
}
seeded.each = each;
