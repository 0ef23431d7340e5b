import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UserError } from '../../src/common/errors.ts';
import { announcer } from '../../src/state/announcer.svelte.ts';
import { openProject } from '../../src/state/project.svelte.ts';
import { sideLabel } from '../../src/state/sides.ts';
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
