import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import type { LoadedBase } from '../../../src/worker/protocol.ts';
import { openProject } from '../../../src/state/project.svelte.ts';
import { audioPlayback } from '../../../src/state/sound/audio-playback.svelte.ts';
import { DEFAULT_COMPOSING, MusicComparison } from '../../../src/state/sound/music-comparison.svelte.ts';
import { training } from '../../../src/state/training.svelte.ts';
import { clearStub, putProject, settle, stub, type StubCall } from '../stub-page.ts';
import { FakeAudioContext } from './fake-audio.ts';

vi.mock('../../../src/state/workers.ts', () => import('../stub-page.ts'));
vi.mock('../../../src/storage/projects.ts', () => import('../stub-page.ts'));
vi.mock('../../../src/storage/runs.ts', () => import('../stub-page.ts'));
vi.mock('../../../src/state/locks.ts', () => import('../stub-page.ts'));

const RATE = 8000;
let comparison: MusicComparison;
let id: string;
let counter = 0;

beforeEach(async () => {
  clearStub();
  FakeAudioContext.all = [];
  vi.stubGlobal('AudioContext', FakeAudioContext);
  const generation = { guidance_scale: 5, top_k: 50, temperature: 0.5 };
  stub.info = () => ({ task: 'sound', longestSeconds: 6, generation }) as unknown as LoadedBase['info'];
  id = `sound-${++counter}`;
  putProject(id, 'sound', `base-${id}`, [8]);
  comparison = new MusicComparison(['base', 'tuned']);
  await openProject.open(id);
  await training.open(id);
  comparison.open(id, 'a dance');
});

afterEach(() => {
  audioPlayback.silence();
  vi.unstubAllGlobals();
});

/** Half a second from a place on. */
function piece(call: StubCall, from: number): void {
  call.tell({ type: 'piece', from: from * RATE, sampleRate: RATE, channels: [new Float32Array(RATE / 2).fill(0.5)] });
}

const atOnce = (call: StubCall): void => {
  piece(call, 0);
  piece(call, 0.5);
  call.end();
};

describe('a prompt composed by base and tuned', () => {
  it('is asked for, becomes a WAV of all pieces, and is made once where the base is asked the same', async () => {
    stub.play = atOnce;
    comparison.set({ seconds: 1, seed: 4 });
    comparison.setStrength(0.7);
    await comparison.make();
    const common = { prompt: 'a dance', seconds: 1, seed: 4, guidance_scale: 3, top_k: 250, temperature: 1 };
    expect(stub.calls.map(({ task, request }) => ({ task, request }))).toEqual([
      { task: 'sound', request: { ...common, strength: 0 } },
      { task: 'sound', request: { ...common, strength: 0.7 } },
    ]);
    const { base, tuned } = comparison.made[0]!.results;
    expect([base!.size, tuned!.size]).toEqual([44 + 2 * RATE, 44 + 2 * RATE]);
    await comparison.make();
    expect(stub.calls.length).toBe(3);
    expect(comparison.made[1]!.results.base).toBe(base);
  });

  it('takes over what the base proposes, but not over what was set', async () => {
    comparison.set({ topK: 10 });
    await comparison.prepare();
    expect(comparison.settings).toEqual({ ...DEFAULT_COMPOSING, guidance: 5, temperature: 0.5, topK: 10, seconds: 6 });
  });

  it('plays the first while it is composed, and says so; not the second', async () => {
    comparison.set({ seconds: 1 });
    const making = comparison.make();
    await settle();
    const [base] = stub.calls;
    base!.tell({ type: 'progress', done: 5, total: 50 });
    expect(comparison.progress!.details.filter((detail) => detail !== '')).toEqual([]);
    piece(base!, 0);
    piece(base!, 0.5);
    expect(comparison.progress).toMatchObject({
      side: 'base',
      fraction: 0.1,
      details: ['1.0 of 1 s are there', 'it plays'],
    });
    expect(FakeAudioContext.all.length).toBe(1);
    base!.end();
    await settle();
    atOnce(stub.calls[1]!);
    await making;
    expect(FakeAudioContext.all.length).toBe(1);
    // It is heard to its end, unless something else is played.
    expect(FakeAudioContext.all[0]!.closed).toBe(false);
    audioPlayback.silence();
    expect(FakeAudioContext.all[0]!.closed).toBe(true);
  });

  it('falls silent where it is stopped, fails, another project is opened, or nobody wants to hear it', async () => {
    comparison.set({ seconds: 1 });
    const begin = async (): Promise<{ call: StubCall; making: Promise<boolean> }> => {
      comparison.dice();
      const making = comparison.make();
      await settle();
      const call = stub.calls.at(-1)!;
      piece(call, 0);
      piece(call, 0.5);
      return { call, making };
    };
    const closed = (): boolean[] => FakeAudioContext.all.map((context) => context.closed);

    const stopped = await begin();
    comparison.stop();
    await stopped.making;
    expect(closed()).toEqual([true]);
    // What was there is kept.
    expect(comparison.made[0]!.results.base!.size).toBe(44 + 2 * RATE);

    const failed = await begin();
    failed.call.fail(new UserError('There is no room.'));
    await failed.making;
    expect(closed()).toEqual([true, true]);
    expect(comparison.error).toBe('There is no room.');

    const unwanted = await begin();
    comparison.setAloud(false);
    expect(closed()).toEqual([true, true, true]);
    piece(unwanted.call, 1);
    expect(closed().length).toBe(3);
    comparison.stop();
    await unwanted.making;
    await begin();
    expect(closed().length).toBe(3);
    comparison.stop();
    comparison.setAloud(true);

    await settle();
    const dropped = await begin();
    putProject(`${id}-other`, 'sound', `base-${id}`);
    comparison.open(`${id}-other`);
    piece(dropped.call, 1);
    expect(await dropped.making).toBe(false);
    expect(closed()).toEqual([true, true, true, true]);
    expect(comparison.made).toEqual([]);
  });

  it('is not heard before all is there where it is judged blind', async () => {
    comparison.setBlind(true);
    comparison.set({ seconds: 1 });
    stub.play = atOnce;
    await comparison.make();
    expect(FakeAudioContext.all).toEqual([]);
    expect(Object.keys(comparison.made[0]!.results).length).toBe(2);
  });
});
