import { beforeEach, describe, expect, it, vi } from 'vitest';
import { RandomStream } from '../../src/common/random.ts';
import { openProject } from '../../src/state/project.svelte.ts';
import { sideInFileName, sideLabel } from '../../src/state/sides.ts';
import { countVote, shuffled } from '../../src/state/votes.ts';
import { atOnce, info, open, Plain } from './plain-comparison.ts';
import { clearStub, putProject, settle, stub } from './stub-page.ts';

vi.mock('../../src/state/workers.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/projects.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/runs.ts', () => import('./stub-page.ts'));
vi.mock('../../src/state/locks.ts', () => import('./stub-page.ts'));

let comparison: Plain;
let counter = 0;
/** Projects of their own for each test, for the page's singletons live on. */
let a: string;
let b: string;

beforeEach(async () => {
  clearStub();
  stub.info = () => info;
  counter++;
  [a, b] = [`votes-a${counter}`, `votes-b${counter}`];
  putProject(a, 'sound', `base-${a}`, [8, 4]);
  putProject(b, 'sound', `base-${b}`, [2]);
  comparison = new Plain(['base', 'tuned']);
  await open(a, comparison);
});

const results = (): Record<string, string>[] =>
  comparison.made.map((one) => ({ ...one.results }) as Record<string, string>);

describe('votes', () => {
  const votes = (): unknown => openProject.project!.votes;

  it('are counted once for each comparison, and can be changed', async () => {
    stub.play = atOnce;
    await comparison.make();
    await comparison.make();
    const [first, second] = comparison.made;
    comparison.vote(first!.id, 'better');
    comparison.vote(first!.id, 'better');
    comparison.vote(second!.id, 'same');
    expect(votes()).toEqual({ better: 1, same: 1, worse: 0 });
    comparison.vote(first!.id, 'worse');
    expect(votes()).toEqual({ better: 0, same: 1, worse: 1 });
    expect(comparison.made.map(({ vote }) => vote)).toEqual(['worse', 'same']);
    await openProject.flush();
    expect(stub.projects.get(a)!.votes).toEqual({ better: 0, same: 1, worse: 1 });
    // Another project is open: the vote is not its own.
    await openProject.open(b);
    comparison.vote(second!.id, 'better');
    expect(votes()).toEqual({ better: 0, same: 0, worse: 0 });
  });

  it('begin anew, without hiding the names that a vote has told', async () => {
    stub.play = atOnce;
    comparison.setBlind(true);
    await comparison.make();
    await comparison.make();
    const [first] = comparison.made;
    comparison.vote(first!.id, 'better');
    comparison.countAnew();
    expect(votes()).toEqual({ better: 0, same: 0, worse: 0 });
    const names = comparison.made.map((one) => sideLabel(one, 'base', 'Thing'));
    expect(names[0]).toBe('Base');
    expect(names[1]).toMatch(/^Thing [12]$/);
    comparison.vote(first!.id, 'worse');
    expect(votes()).toEqual({ better: 0, same: 0, worse: 1 });
  });

  it('never fall below none', () => {
    expect(countVote({ better: 0, same: 0, worse: 0 }, 'better', 'worse')).toEqual({ better: 0, same: 0, worse: 1 });
  });
});

describe('judging blind', () => {
  it('makes everything anew and shows it only when all is there, at once', async () => {
    stub.play = atOnce;
    await comparison.make();
    comparison.clear();
    stub.play = null;
    comparison.setBlind(true);
    const before = stub.calls.length;
    const making = comparison.make();
    await settle();
    const [first] = stub.calls.slice(before);
    expect(comparison.progress).toMatchObject({ side: null });
    first!.tell([5, 10, ['telling']]);
    expect(comparison.progress).toMatchObject({ side: null, fraction: 0.25, details: [] });
    first!.tell('one');
    first!.end();
    await settle();
    expect(results()).toEqual([{}]);
    const [, second] = stub.calls.slice(before);
    second!.tell([5, 10, ['telling']]);
    expect(comparison.progress).toMatchObject({ side: null, fraction: 0.75 });
    second!.tell('other');
    expect(results()).toEqual([{}]);
    second!.end();
    await making;
    expect([first!.request.strength, second!.request.strength].sort()).toEqual([0, 1]);
    expect(Object.values(results()[0]!).sort()).toEqual(['one', 'other']);
  });

  it('hides names and file names until the vote', async () => {
    stub.play = atOnce;
    comparison.setBlind(true);
    await comparison.make();
    const named = (): string[] => {
      const [one] = comparison.made;
      return one!.order.flatMap((side) => [sideLabel(one!, side, 'Thing'), sideInFileName(one!, side)]);
    };
    expect(named()).toEqual(['Thing 1', '1', 'Thing 2', '2']);
    // What is set for the next one tells nothing of this one.
    comparison.setBlind(false);
    expect(named()).toEqual(['Thing 1', '1', 'Thing 2', '2']);
    comparison.vote(comparison.made[0]!.id, 'same');
    expect(named().sort()).toEqual(['Base', 'Tuned, step 8', 'base', 'tuned']);
  });

  it('shows what is there where it was stopped, and goes on hiding whose it is', async () => {
    comparison.setBlind(true);
    const making = comparison.make();
    await settle();
    stub.calls[0]!.tell('half');
    comparison.stop();
    stub.calls[0]!.end({ whole: false });
    await making;
    expect(Object.values(results()[0]!)).toEqual(['half']);
    expect(sideLabel(comparison.made[0]!, 'base', 'Thing')).toMatch(/^Thing [12]$/);
  });

  it('is for two: the base alone is named', async () => {
    stub.play = atOnce;
    comparison.setBlind(true);
    openProject.update({ baseId: 'another' });
    await comparison.make();
    expect(sideLabel(comparison.made[0]!, 'base', 'Thing')).toBe('Base');
  });

  it('leaves the order of making and, independently, of showing to chance', async () => {
    const seen = new Map<string, number>();
    const stream = new RandomStream(20, 'blind');
    const times = 400;
    const blind = new Plain(['base', 'tuned'], () => stream.uniform());
    blind.open(a, 'a prompt');
    blind.setBlind(true);
    stub.play = atOnce;
    for (let i = 0; i < times; i++) {
      const before = stub.calls.length;
      await blind.make();
      const first = stub.calls[before]!.request.strength === 0 ? 'base' : 'tuned';
      const key = `${first} first, ${blind.made.at(-1)!.order.join()}`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    expect(seen.size).toBe(4);
    // Of 400, each of four has 100 in the mean, with a deviation of 8.7: five of them.
    for (const count of seen.values()) expect(Math.abs(count - times / 4)).toBeLessThan(44);
  });

  it('shuffles every order as likely', () => {
    const stream = new RandomStream(4, 'shuffle');
    const seen = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const key = shuffled(['a', 'b', 'c'], () => stream.uniform()).join('');
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    expect(seen.size).toBe(6);
    for (const count of seen.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});
