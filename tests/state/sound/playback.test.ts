import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { audioPlayback } from '../../../src/state/sound/audio-playback.svelte.ts';
import { StreamPlayback } from '../../../src/state/sound/stream-playback.ts';
import { FakeAudio, FakeAudioContext } from './fake-audio.ts';

vi.mock('../../../src/state/workers.ts', () => import('../stub-page.ts'));

const RATE = 8000;
const seconds = (length: number, first = 0): Float32Array<ArrayBuffer>[] => {
  const samples = new Float32Array(length * RATE);
  samples[0] = first;
  return [samples];
};

describe('a sound that is played while it is composed', () => {
  const others = { joined: [] as (() => void)[], left: 0 };
  const join = (stop: () => void): (() => void) => {
    others.joined.push(stop);
    return () => others.left++;
  };

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] });
    vi.stubGlobal('AudioContext', FakeAudioContext);
    FakeAudioContext.all = [];
    others.joined = [];
    others.left = 0;
  });

  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it('waits until what is to come will come in time, then plays piece after piece without a gap', () => {
    const stream = new StreamPlayback(4, join);
    // A second of sound in two: the other three would take more than the four that it plays.
    vi.advanceTimersByTime(2000);
    stream.push(0, seconds(1, 0.1), RATE);
    expect(stream.heard).toBe(false);
    expect(FakeAudioContext.all).toEqual([]);
    vi.advanceTimersByTime(1000);
    stream.push(RATE, seconds(1, 0.2), RATE);
    expect(stream.heard).toBe(true);
    const [context] = FakeAudioContext.all;
    expect(context!.options).toEqual({ sampleRate: RATE });
    context!.currentTime = 0.5;
    stream.push(2 * RATE, seconds(1, 0.3), RATE);
    expect(context!.heard.map(({ first }) => Math.round(first * 10) / 10)).toEqual([0.1, 0.2, 0.3]);
    expect(context!.heard.map(({ at }) => at)).toEqual([0.05, 1.05, 2.05]);
    expect(FakeAudioContext.all.length).toBe(1);
  });

  it('leaves nothing out where a piece comes too late after all: what follows moves with it', () => {
    const stream = new StreamPlayback(3, join);
    stream.push(0, seconds(3), RATE);
    const [context] = FakeAudioContext.all;
    context!.currentTime = 4;
    stream.push(3 * RATE, seconds(1), RATE);
    stream.push(4 * RATE, seconds(1), RATE);
    expect(context!.heard.map(({ at }) => Math.round(at * 100) / 100)).toEqual([0.05, 4, 5]);
  });

  it('plays all channels, and nothing of a rate that browsers do not play', () => {
    const stream = new StreamPlayback(1, join);
    stream.push(0, [...seconds(1), ...seconds(1)], RATE);
    expect(FakeAudioContext.all[0]!.heard).toMatchObject([{ channels: 2, seconds: 1 }]);
    const low = new StreamPlayback(1, join);
    low.push(0, seconds(1), 4000);
    expect(low.heard).toBe(false);
    expect(FakeAudioContext.all.length).toBe(1);
  });

  it('is silenced by others and then plays nothing any more', () => {
    const stream = new StreamPlayback(2, join);
    stream.push(0, seconds(2), RATE);
    others.joined[0]!();
    expect(FakeAudioContext.all[0]!.closed).toBe(true);
    expect(others.left).toBe(1);
    stream.push(2 * RATE, seconds(1), RATE);
    expect(FakeAudioContext.all.length).toBe(1);
    expect(FakeAudioContext.all[0]!.heard.length).toBe(1);
  });
});

describe('the one player of the page', () => {
  const frames: (() => void)[] = [];
  const urls = { made: 0, revoked: [] as string[] };
  const open = (): Promise<Blob> => Promise.resolve(new Blob(['x']));

  beforeEach(() => {
    FakeAudio.all = [];
    FakeAudio.refuse = null;
    frames.length = 0;
    Object.assign(urls, { made: 0, revoked: [] });
    vi.stubGlobal('Audio', FakeAudio);
    vi.stubGlobal('requestAnimationFrame', (frame: () => void) => frames.push(frame));
    vi.spyOn(URL, 'createObjectURL').mockImplementation(() => `blob:${++urls.made}`);
    vi.spyOn(URL, 'revokeObjectURL').mockImplementation((url) => urls.revoked.push(url));
  });

  afterEach(() => {
    audioPlayback.silence();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  it('plays what is opened under its key, follows it, and frees it at its end', async () => {
    const playing = audioPlayback.play('a', open);
    expect(audioPlayback.key).toBe('a');
    expect(audioPlayback.opening).toBe(true);
    await playing;
    expect(audioPlayback.opening).toBe(false);
    const [audio] = FakeAudio.all;
    expect(audio).toMatchObject({ src: 'blob:1', playing: true });
    audio!.currentTime = 1.5;
    frames.shift()!();
    expect(audioPlayback.seconds).toBe(1.5);
    audio!.end();
    expect(audioPlayback).toMatchObject({ key: '', seconds: 0 });
    expect(urls.revoked).toEqual(['blob:1']);
    // The last frame follows nothing any more.
    frames.shift()!();
    expect(audioPlayback.seconds).toBe(0);
    expect(frames).toEqual([]);
  });

  it('stops at the same key, and lets another take its place', async () => {
    await audioPlayback.toggle('a', open);
    await audioPlayback.toggle('b', open);
    expect(FakeAudio.all.map(({ playing }) => playing)).toEqual([false, true]);
    expect(audioPlayback.key).toBe('b');
    await audioPlayback.toggle('b', open);
    expect(audioPlayback.key).toBe('');
    expect(FakeAudio.all[1]!.playing).toBe(false);
    expect(urls.revoked).toEqual(['blob:1', 'blob:2']);
  });

  it('forgets what was still opening when something else was chosen', async () => {
    let arrive = (_blob: Blob): void => undefined;
    const slow = audioPlayback.play('slow', () => new Promise<Blob>((resolve) => (arrive = resolve)));
    await audioPlayback.play('quick', open);
    arrive(new Blob());
    await slow;
    expect(FakeAudio.all.length).toBe(1);
    expect(audioPlayback).toMatchObject({ key: 'quick', opening: false });
  });

  it('says why something could not be played, but not where it was stopped meanwhile', async () => {
    FakeAudio.refuse = new Error('no such codec');
    await audioPlayback.play('a', open);
    expect(audioPlayback.error).toContain('no such codec');
    expect(audioPlayback).toMatchObject({ key: '', opening: false });
    let fail = (_error: Error): void => undefined;
    const failing = audioPlayback.play('b', () => new Promise<Blob>((_resolve, reject) => (fail = reject)));
    expect(audioPlayback.error).toBe('');
    audioPlayback.stop();
    fail(new Error('gone'));
    await failing;
    expect(audioPlayback.error).toBe('');
  });

  it('lets others fall silent when it begins, but for the one that asks for it', async () => {
    const silenced: string[] = [];
    const first = (): void => void silenced.push('first');
    const second = (): void => void silenced.push('second');
    const leave = audioPlayback.join(first);
    const leaveToo = audioPlayback.join(second);
    await audioPlayback.play('a', open);
    expect(silenced).toEqual(['first', 'second']);
    audioPlayback.silence(first);
    expect(silenced).toEqual(['first', 'second', 'second']);
    expect(audioPlayback.key).toBe('');
    leave();
    leaveToo();
    audioPlayback.silence();
    expect(silenced.length).toBe(3);
  });
});
