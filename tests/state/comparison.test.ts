import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UserError } from '../../src/common/errors.ts';
import type { LoadedBase } from '../../src/worker/protocol.ts';
import { announcer } from '../../src/state/announcer.svelte.ts';
import { Comparison, type Job } from '../../src/state/comparison.svelte.ts';
import { openProject } from '../../src/state/project.svelte.ts';
import { sideInFileName, sideLabel, type Compared, type Side } from '../../src/state/sides.ts';
import { training } from '../../src/state/training.svelte.ts';
import { countVote, shuffled } from '../../src/state/votes.ts';
import { RandomStream } from '../../src/common/random.ts';
import { clearStub, putProject, settle, stub, type StubCall } from './stub-page.ts';

vi.mock('../../src/state/workers.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/projects.ts', () => import('./stub-page.ts'));
vi.mock('../../src/storage/runs.ts', () => import('./stub-page.ts'));
vi.mock('../../src/state/locks.ts', () => import('./stub-page.ts'));

interface Settings {
  seed: number;
  loud: boolean;
}

interface Request {
  words: string;
  strength: number;
  seed: number;
  after: number;
}

/** A kind as plain as can be: what it makes are words. */
class Plain extends Comparison<Settings, Request, string> {
  protected readonly most = 3;

  protected defaults(): Settings {
    return { seed: 1, loud: false };
  }

  protected request(one: Compared<Settings, string>, side: Side, before: readonly unknown[]): Request {
    return {
      words: one.prompt,
      strength: side === 'tuned' ? one.strength : 0,
      seed: one.settings.seed,
      after: before.length,
    };
  }

  protected answer(job: Job<Request, string>): Promise<{ whole: boolean }> {
    return new Promise((resolve, reject) => {
      const call: StubCall = {
        what: 'generate',
        ...job,
        request: { ...job.request },
        tell: (event) => {
          if (typeof event === 'string') job.show(event);
          else job.report(...(event as [number, number, string[]]));
        },
        end: (answer = {}) => resolve({ whole: true, ...answer }),
        fail: reject,
        cancelled: false,
      };
      stub.calls.push(call);
      stub.play?.(call);
    });
  }

  protected madeLine(one: Compared<Settings, string>): string {
    return `Made: ${one.prompt}.`;
  }

  protected clearedLine(count: number): string {
    return `${count} cleared.`;
  }
}

const info = { task: 'sound' } as unknown as LoadedBase['info'];
/** Answers at once, each side with its name, and for a tuned one with its choice. */
const atOnce = (call: StubCall): void => {
  const { runId, step } = (call.choice ?? {}) as { runId?: string; step?: number };
  call.tell(call.request.strength === 0 ? `base of ${call.baseId}` : `tuned by ${runId}/${step}`);
  call.end();
};

async function open(id: string, comparison: Plain): Promise<void> {
  await openProject.open(id);
  await training.open(id);
  comparison.open(id, 'a prompt');
}

let comparison: Plain;
let counter = 0;
/** Projects of their own for each test, for the page's singletons live on. */
let a: string;
let b: string;

beforeEach(async () => {
  clearStub();
  stub.info = () => info;
  counter++;
  [a, b] = [`a${counter}`, `b${counter}`];
  putProject(a, 'sound', `base-${a}`, [8, 4]);
  putProject(b, 'sound', `base-${b}`, [2]);
  comparison = new Plain(['base', 'tuned']);
  await open(a, comparison);
});

afterEach(() => {
  for (const { id } of announcer.toasts) announcer.close(id);
});

const results = (): Record<string, string>[] =>
  comparison.made.map((one) => ({ ...one.results }) as Record<string, string>);

describe('a comparison', () => {
  it('puts the prompt to the base and to the newest checkpoint, and says who is at work', async () => {
    comparison.set({ seed: 9 });
    comparison.setStrength(0.5);
    const making = comparison.make();
    expect(comparison.progress).toMatchObject({ side: 'base', fraction: 0 });
    await settle();
    const [base] = stub.calls;
    expect(base).toMatchObject({ baseId: `base-${a}`, request: { words: 'a prompt', strength: 0, seed: 9 } });
    base!.tell([3, 6, ['half']]);
    expect(comparison.progress).toMatchObject({ side: 'base', fraction: 0.5, details: ['half'] });
    expect(comparison.progress!.secondsLeft).toBeGreaterThanOrEqual(0);
    base!.tell('so far');
    expect(results()).toEqual([{ base: 'so far' }]);
    base!.tell('the base');
    base!.end();
    await settle();
    const [, tuned] = stub.calls;
    expect(tuned).toMatchObject({ choice: { runId: `${a}-run`, step: 8 }, request: { strength: 0.5, seed: 9 } });
    // A late event of the side before.
    base!.tell([6, 6, ['late']]);
    expect(comparison.progress).toMatchObject({ side: 'tuned', fraction: 0, details: [] });
    tuned!.tell('the tuned one');
    expect(comparison.isComplete(comparison.made[0]!)).toBe(false);
    tuned!.end();
    expect(await making).toBe(true);
    expect(comparison.progress).toBeNull();
    expect(results()).toEqual([{ base: 'the base', tuned: 'the tuned one' }]);
    expect(comparison.isComplete(comparison.made[0]!)).toBe(true);
    expect(announcer.polite.trim()).toBe('Made: a prompt.');
    expect(sideLabel(comparison.made[0]!, 'tuned', 'Thing')).toBe('Tuned, step 8, strength 0.5');
  });

  it('makes nothing of no prompt, without a base, for a project it was not opened for, or twice at once', async () => {
    comparison.setPrompt('  ');
    expect(await comparison.make()).toBe(false);
    comparison.setPrompt('words');
    openProject.update({ baseId: null });
    expect(await comparison.make()).toBe(false);
    openProject.update({ baseId: `base-${a}` });
    await openProject.open(b);
    expect(await comparison.make()).toBe(false);
    await openProject.open(a);
    const first = comparison.make();
    expect(await comparison.make()).toBe(false);
    await settle();
    expect(stub.calls.length).toBe(1);
    stub.play = atOnce;
    atOnce(stub.calls[0]!);
    expect(await first).toBe(true);
  });

  it('does not make again what the base made of the same, but of another seed, and keeps the newest few', async () => {
    stub.play = atOnce;
    await comparison.make();
    await comparison.make();
    // Its requests tell how much came before: the second is another one.
    expect(stub.calls.length).toBe(4);
    comparison.clear();
    await comparison.make();
    expect(stub.calls.slice(4).map(({ request }) => request.strength)).toEqual([1]);
    expect(results()).toEqual([{ base: `base of base-${a}`, tuned: `tuned by ${a}-run/8` }]);
    comparison.clear();
    comparison.dice();
    await comparison.make();
    expect(stub.calls.slice(5).map(({ request }) => request.strength)).toEqual([0, 1]);
    for (let i = 0; i < 5; i++) await comparison.make();
    expect(comparison.made.length).toBe(3);
  });

  it('stops what is being made, and keeps what is there', async () => {
    const making = comparison.make();
    await settle();
    stub.calls[0]!.tell('half a');
    // The worker of a kind ends the call when it is cancelled.
    comparison.stop();
    stub.calls[0]!.end({ whole: false });
    expect(await making).toBe(true);
    expect(stub.calls.length).toBe(1);
    expect(results()).toEqual([{ base: 'half a' }]);
    expect(comparison.made[0]!.finished).toBe(true);
    expect(comparison.isComplete(comparison.made[0]!)).toBe(false);
    // Half an answer is not kept as the base's.
    comparison.clear();
    stub.play = atOnce;
    await comparison.make();
    expect(stub.calls.length).toBe(3);
  });

  it('does not go on to the other side where stop came while one ended, nor begin where the base still loads', async () => {
    const making = comparison.make();
    await settle();
    stub.calls[0]!.tell('whole');
    stub.calls[0]!.end();
    comparison.stop();
    await making;
    expect(stub.calls.length).toBe(1);

    let arrive = (): void => undefined;
    stub.loading = new Promise<void>((resolve) => (arrive = resolve));
    openProject.update({ baseId: 'slow' });
    const other = comparison.make();
    await settle();
    comparison.stop();
    arrive();
    expect(await other).toBe(false);
    expect(stub.calls.length).toBe(1);
    expect(comparison.made.length).toBe(1);
    expect(comparison.error).toBe('');
  });

  it('says why nothing came of it, and leaves nothing behind; what one side made stays', async () => {
    stub.play = (call) => call.fail(new UserError('There is no room.'));
    expect(await comparison.make()).toBe(false);
    expect(comparison.error).toBe('There is no room.');
    expect(comparison.made).toEqual([]);
    expect(comparison.progress).toBeNull();
    stub.play = (call) => (call.request.strength === 0 ? atOnce(call) : call.fail(new UserError('Gone.')));
    expect(await comparison.make()).toBe(true);
    expect(comparison.error).toBe('Gone.');
    expect(results()).toEqual([{ base: `base of base-${a}` }]);
    stub.play = atOnce;
    await comparison.make();
    expect(comparison.error).toBe('');

    stub.info = () => new UserError('This base cannot be read.');
    openProject.update({ baseId: 'broken' });
    expect(await comparison.make()).toBe(false);
    expect(comparison.error).toBe('This base cannot be read.');
  });

  it('drops what was asked for another project, which can begin at once', async () => {
    const making = comparison.make();
    await settle();
    const [call] = stub.calls;
    call!.tell('of a');
    await open(b, comparison);
    expect(comparison.progress).toBeNull();
    expect(comparison.made).toEqual([]);
    const other = comparison.make();
    await settle();
    call!.tell('more of a');
    call!.tell([1, 2, ['a']]);
    expect(comparison.progress).toMatchObject({ side: 'base', fraction: 0, details: [] });
    call!.end();
    expect(await making).toBe(false);
    // What was dropped neither goes on nor ends what the other project makes.
    expect(stub.calls.length).toBe(2);
    expect(comparison.progress).not.toBeNull();
    stub.play = atOnce;
    atOnce(stub.calls[1]!);
    expect(await other).toBe(true);
    expect(results()).toEqual([{ base: `base of base-${b}`, tuned: `tuned by ${b}-run/2` }]);
    // Nor is an error of it said there.
    await open(a, comparison);
    stub.play = null;
    const failing = comparison.make();
    await settle();
    await open(b, comparison);
    stub.calls.at(-1)!.fail(new Error('late'));
    expect(await failing).toBe(false);
    expect(comparison.error).toBe('');
  });

  it('begins anew for another project, and finds everything as it was for the same', async () => {
    stub.play = atOnce;
    comparison.set({ loud: true, seed: 5 });
    comparison.addGiven(new File([], 'other.safetensors'));
    await comparison.make();
    comparison.open(a, 'another prompt');
    expect(comparison.prompt).toBe('a prompt');
    expect(comparison.settings).toEqual({ loud: true, seed: 5 });
    expect(comparison.made.length).toBe(1);
    await open(b, comparison);
    expect(comparison.settings).toEqual({ loud: false, seed: 1 });
    expect(comparison.made).toEqual([]);
    expect(comparison.offers.map(({ name }) => name)).toEqual(['step 2']);
  });

  it('brings back what was cleared away, in the order of making, but not in another project', async () => {
    stub.play = atOnce;
    await comparison.make();
    comparison.setPrompt('second');
    await comparison.make();
    comparison.clear();
    expect(comparison.made).toEqual([]);
    expect(announcer.toasts.at(-1)!.message).toBe('2 cleared.');
    comparison.setPrompt('third');
    await comparison.make();
    announcer.toasts.at(-1)!.action!.run();
    expect(comparison.made.map(({ prompt }) => prompt)).toEqual(['a prompt', 'second', 'third']);
    comparison.clear();
    const undo = announcer.toasts.at(-1)!.action!;
    await open(b, comparison);
    undo.run();
    expect(comparison.made).toEqual([]);
    const shown = announcer.toasts.length;
    comparison.clear();
    expect(announcer.toasts.length).toBe(shown);
  });

  it('stops what is cleared away while it is made', async () => {
    const making = comparison.make();
    await settle();
    stub.calls[0]!.tell('half');
    comparison.clear();
    announcer.toasts.at(-1)!.action!.run();
    expect(comparison.made).toMatchObject([{ finished: true, results: { base: 'half' } }]);
    stub.calls[0]!.end();
    await making;
    expect(stub.calls.length).toBe(1);
  });

  it('asks every side on the same footing, whatever is undone while one answers', async () => {
    stub.play = atOnce;
    await comparison.make();
    comparison.clear();
    const undo = announcer.toasts.at(-1)!.action!;
    stub.play = null;
    const before = stub.calls.length;
    comparison.set({ seed: 7 });
    const making = comparison.make();
    await settle();
    undo.run();
    comparison.setStrength(2);
    stub.calls[before]!.tell('base');
    stub.calls[before]!.end();
    await settle();
    expect(stub.calls[before + 1]!.request).toEqual({ words: 'a prompt', seed: 7, strength: 1, after: 0 });
    atOnce(stub.calls[before + 1]!);
    await making;
  });
});

describe('what the tuned side has learnt', () => {
  const names = (): string[] => comparison.offers.map(({ name }) => name);

  it('is the newest checkpoint until another is chosen', () => {
    expect(names()).toEqual(['step 8', 'step 4']);
    expect(comparison.choice).toEqual({ runId: `${a}-run`, step: 8 });
    comparison.choose(comparison.offers[1]!.key);
    expect(comparison.choice).toEqual({ runId: `${a}-run`, step: 4 });
  });

  it('is only what was taught on the chosen base: after a change of base the base speaks alone', async () => {
    stub.play = atOnce;
    comparison.choose(comparison.offers[1]!.key);
    openProject.update({ baseId: 'another' });
    expect(names()).toEqual([]);
    expect(await comparison.make()).toBe(true);
    expect(stub.calls.map(({ baseId, choice }) => ({ baseId, choice }))).toEqual([{ baseId: 'another', choice: null }]);
    expect(results()).toEqual([{ base: 'base of another' }]);
    // There is nothing to judge.
    expect(comparison.isComplete(comparison.made[0]!)).toBe(false);
    // Back on the base that it was taught on, the choice stands.
    openProject.update({ baseId: `base-${a}` });
    await comparison.make();
    expect(stub.calls.at(-1)).toMatchObject({ baseId: `base-${a}`, choice: { runId: `${a}-run`, step: 4 } });
  });

  it('may be a file from elsewhere, which is not voted on, and goes where nothing can be made with it', async () => {
    stub.play = atOnce;
    const file = new File(['x'], 'other.safetensors');
    comparison.setBlind(true);
    comparison.addGiven(file);
    comparison.addGiven(file);
    expect(names()).toEqual(['step 8', 'step 4', 'other.safetensors']);
    await comparison.make();
    expect(stub.calls.at(-1)!.choice).toEqual({ given: file });
    const [one] = comparison.made;
    expect(one).toMatchObject({ blind: false, votable: false });
    expect(sideLabel(one!, 'tuned', 'Thing')).toBe('With other.safetensors');
    comparison.vote(one!.id, 'better');
    expect(openProject.project!.votes.better).toBe(0);
    stub.play = (call) => call.fail(new UserError('no LoRA'));
    comparison.set({ seed: 3 });
    await comparison.make();
    expect(names()).toEqual(['step 8', 'step 4']);
  });

  it('is not asked where only the base is tried', async () => {
    stub.play = atOnce;
    const alone = new Plain(['base']);
    alone.open(a, 'hello');
    expect(alone.offers).toEqual([]);
    await alone.make();
    expect(stub.calls).toMatchObject([{ choice: null }]);
  });
});

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
