import { expect, test } from 'vitest';
import type { ComposeProgress } from '../../../src/tasks/sound/types.ts';
import { loadBase } from './support.ts';

const request = { seconds: 3, seed: 4, guidance_scale: 3, top_k: 8, temperature: 1, strength: 1 };

test('a sound is heard while it is composed, in pieces without gaps that are those of the whole', async () => {
  const model = await loadBase('sound-mono', 'cpu');
  try {
    const { frameRate, frameSamples } = model.base;
    const frames = Math.round(request.seconds * frameRate);
    const composing = model.generate({ prompt: 'slow drums', ...request });
    const events: ComposeProgress[] = [];
    let next = await composing.next();
    for (; !next.done; next = await composing.next()) events.push(next.value);
    const pieces = events.filter((event) => event.type === 'piece');
    expect(pieces.length).toBeGreaterThan(1);
    let at = 0;
    for (const { from, channels, sampleRate } of pieces) {
      expect([from, channels.length, sampleRate]).toEqual([at, 1, 960]);
      at += channels[0]!.length;
    }
    expect(at).toBe(frames * frameSamples);
    expect(events.indexOf(pieces[0]!)).toBeLessThan(
      events.findIndex((e) => e.type === 'progress' && e.done === frames),
    );
    const { codes } = next.value;
    const whole = await model.composeWhole('slow drums', { ...request, frames, top_p: 1, do_sample: true });
    expect(whole.codes).toEqual(codes);
    expect(pieces.flatMap(({ channels }) => Array.from(channels[0]!))).toEqual(Array.from(whole.channels[0]!));
    const other = await model.composeWhole('slow drums', { ...request, frames, top_p: 1, do_sample: true, seed: 5 });
    expect(other.codes).not.toEqual(codes);
  } finally {
    model.destroy();
  }
});

test('what cannot be composed is refused, and a stop is a stop', async () => {
  const model = await loadBase('sound-mono', 'cpu');
  try {
    const first = (fields: object) => model.generate({ prompt: '', ...request, ...fields }).next();
    await expect(first({ seconds: 0.01 })).rejects.toThrow('too short');
    await expect(first({ seconds: 1e5 })).rejects.toThrow(/at most \d+ seconds/);
    await expect(first({ temperature: 0 })).rejects.toThrow('temperature');
    await expect(first({ top_k: 1.5 })).rejects.toThrow('top_k');
    const stop = new AbortController();
    const composing = model.generate({ prompt: '', ...request, signal: stop.signal });
    expect((await composing.next()).value).toMatchObject({ type: 'progress', done: 0 });
    stop.abort();
    await expect(
      (async () => {
        while (!(await composing.next()).done);
      })(),
    ).rejects.toThrow(/abort/i);
  } finally {
    model.destroy();
  }
});
