import { describe, expect, it } from 'vitest';
import { readStretch } from '../../../src/datasets/sound/clips.ts';
import { openSound, SoundRefusal } from '../../../src/datasets/sound/reader.ts';
import type { SoundInput } from '../../../src/datasets/sound/types.ts';
import {
  difference,
  fixture,
  fixtureBytes,
  joined,
  make,
  powerAt,
  sine,
  soundInput,
  wav,
  wide,
  withLengths,
} from './material.ts';
import type { Samples, WavForm } from './material.ts';

async function all(input: SoundInput, start?: number, end?: number) {
  const sound = await openSound(input);
  const pieces: Samples[][] = [];
  let rate = 0;
  for await (const { channels, sampleRate } of sound.blocks(start, end)) {
    pieces.push(channels);
    rate = sampleRate;
  }
  sound.close();
  const channels = (pieces[0] ?? []).map((_, i) => {
    const joined = new Float32Array(pieces.reduce((sum, piece) => sum + piece[i]!.length, 0));
    let at = 0;
    for (const piece of pieces) {
      joined.set(piece[i]!, at);
      at += piece[i]!.length;
    }
    return joined;
  });
  return { sound, channels, rate };
}

async function refusal(name: string, bytes: Uint8Array | SoundInput): Promise<SoundRefusal['refused']> {
  const opening = openSound(bytes instanceof Uint8Array ? soundInput(name, bytes) : bytes);
  await expect(opening).rejects.toBeInstanceOf(SoundRefusal);
  return opening.then(
    () => expect.fail(),
    (error: SoundRefusal) => error.refused,
  );
}

describe('files of every form', () => {
  it.each([
    ['two.mp3', 'mp3', 'mp3'],
    ['two.ogg', 'ogg vorbis', 'vorbis'],
    ['two.opus', 'ogg opus', 'opus'],
    ['two.webm', 'webm', 'opus'],
    ['two.flac', 'flac', 'flac'],
    ['two.m4a', 'm4a', 'aac'],
    ['two.aac', 'aac', 'aac'],
    ['two.mp4', 'video', 'aac'],
  ])('%s', async (name, kind, codec) => {
    const { sound, channels, rate } = await all(fixture(name));
    expect(sound).toMatchObject({ kind, codec, channels: 2, sampleRate: rate, broken: null });
    expect(channels.length).toBe(2);
    expect(channels[0]!.length / rate).toBeGreaterThan(1.99);
    expect(channels[0]!.length / rate).toBeLessThan(2.06);
    // Each side has its own tone, and grows five times as loud at 1 second.
    for (const [i, own, other] of [
      [0, 440, 660],
      [1, 660, 440],
    ] as const) {
      const part = (from: number, to: number): Samples => channels[i]!.slice(from * rate, to * rate);
      expect(Math.sqrt(powerAt(part(1.2, 1.9), rate, own))).toBeCloseTo(0.5, 1);
      expect(Math.sqrt(powerAt(part(0.2, 0.9), rate, own))).toBeCloseTo(0.1, 1);
      expect(powerAt(part(1.2, 1.9), rate, other)).toBeLessThan(1e-3);
      expect(powerAt(part(0.5, 0.94), rate, own)).toBeLessThan(0.2 * powerAt(part(1.06, 1.5), rate, own));
    }
    if (['two.mp3', 'two.ogg', 'two.opus', 'two.flac'].includes(name)) {
      expect(sound.tags).toMatchObject({ title: 'Two tones', artist: 'Nobody', genre: 'Test', year: '2026' });
    }
  });

  it.each(['two.mp3', 'two.ogg', 'two.opus', 'two.flac', 'two.m4a'])(
    'gives the same samples from the middle on: %s',
    async (name) => {
      const whole = await all(fixture(name));
      const part = await all(fixture(name), 1.1, 1.7);
      const from = Math.round(1.1 * whole.rate);
      expect(part.channels[0]!.length).toBe(Math.round(1.7 * whole.rate) - from);
      part.channels.forEach((channel, i) => {
        expect(difference(channel, whole.channels[i]!.slice(from, from + channel.length))).toBeLessThan(
          // Opus' decoder adapts: it takes some packets to forget where it was started.
          whole.sound.codec === 'opus' ? 0.02 : 1e-5,
        );
      });
    },
  );

  it.each<[WavForm, number, number]>([
    ['pcm16', 1, 8000],
    ['pcm16', 2, 44_100],
    ['pcm24', 2, 96_000],
    ['float32', 1, 48_000],
  ])('WAV in %s of %i channels at %i Hz', async (form, count, rate) => {
    const made = Array.from({ length: count }, (_, i) => make(0.5, rate, sine(300 + 100 * i)));
    const { channels } = await all(soundInput('a.wav', wav(made, rate, form)));
    channels.forEach((channel, i) => {
      expect(channel.length).toBe(made[i]!.length);
      expect(difference(channel, made[i]!)).toBeLessThan(form === 'pcm16' ? 1e-4 : 1e-6);
    });
  });

  it('mixes 192 kHz in eight channels down: sides stay sides, the deep channel is left out', async () => {
    // L R C LFE Lb Rb Ls Rs
    const tones = [500, 700, 900, 60, 1100, 1300, 1700, 1900];
    const made = tones.map((hertz) => make(0.5, 192_000, sine(hertz)));
    const { sound, channels } = await all(soundInput('film.wav', wav(made, 192_000, 'pcm24')));
    expect(sound).toMatchObject({ channels: 8, sampleRate: 192_000 });
    expect(channels.length).toBe(2);
    const amplitude = (side: number, hertz: number): number =>
      Math.sqrt(powerAt(channels[side]!, 192_000, hertz)) / 0.5;
    const all8 = 1 + 3 * Math.SQRT1_2;
    expect(amplitude(0, 500)).toBeCloseTo(1 / all8, 3);
    expect(amplitude(0, 900)).toBeCloseTo(Math.SQRT1_2 / all8, 3);
    expect(amplitude(1, 900)).toBeCloseTo(Math.SQRT1_2 / all8, 3);
    expect(amplitude(0, 1100)).toBeCloseTo(Math.SQRT1_2 / all8, 3);
    expect(amplitude(1, 1900)).toBeCloseTo(Math.SQRT1_2 / all8, 3);
    for (const hertz of [700, 1300, 1900, 60]) expect(amplitude(0, hertz)).toBeLessThan(1e-3);
  });

  it('knows the order in which Opus keeps six channels', async () => {
    const { channels } = await all(fixture('six.opus'));
    const loud = channels.map((channel) => channel.slice(1.2 * 48_000, 1.9 * 48_000));
    const power = (side: number, hertz: number): number => powerAt(loud[side]!, 48_000, hertz);
    const full = (0.5 / (1 + 2 * Math.SQRT1_2)) ** 2;
    expect(power(0, 440)).toBeGreaterThan(0.8 * full);
    expect(power(1, 660)).toBeGreaterThan(0.8 * full);
    // The middle is heard on both sides, the surrounds each on theirs.
    for (const [side, hertz] of [
      [0, 880],
      [1, 880],
      [0, 1100],
      [1, 1320],
    ] as const) {
      expect(power(side, hertz)).toBeGreaterThan(0.3 * full);
      expect(power(side, hertz)).toBeLessThan(0.7 * full);
    }
    for (const [side, hertz] of [
      [0, 660],
      [1, 440],
      [0, 1320],
      [1, 1100],
      [0, 55],
      [1, 55],
    ] as const) {
      expect(power(side, hertz)).toBeLessThan(0.02 * full);
    }
  });
});

describe('how long a WAV says that it is', () => {
  const tone = make(40, 8000, sine(440));
  const whole = wav([tone], 8000);
  const data = whole.length - 44;
  const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
  const tags = ascii('LIST\x12\0\0\0INFOINAM\x06\0\0\0A tune');
  const tagged = joined(withLengths(whole, whole.length + tags.length - 8, data), tags);
  const after = joined(whole.subarray(0, 12), ascii('JUNK\x01\x70\0\0'), new Uint8Array(0x7002), whole.subarray(12));

  it.each<[string, Uint8Array]>([
    ['whole', whole],
    ['with tags behind', tagged],
    ['cut off in the tags behind', tagged.subarray(0, tagged.length - 20)],
    ['with a chunk of odd length before its samples', after],
    ['whose header counts itself', withLengths(whole, whole.length + 44, whole.length)],
    ['written as a stream, with no lengths', withLengths(whole, 0, 0)],
    ['written as a stream that counted its header alone', withLengths(whole, 36, 0)],
    ['written as a stream, with the largest lengths', withLengths(whole, 0xffffffff, 0xffffffff)],
    ['written as a stream, with the largest of numbers with a sign', withLengths(whole, 0x7ffff024, 0x7ffff000)],
    ['whose end nobody wrote down', withLengths(whole, 36, data)],
    ['as RF64', wide('RF64', whole)],
    ['as BW64', wide('BW64', whole)],
    ['as RF64 that was written as a stream', wide('RF64', whole, 0, 0)],
    ['as BW64 that was written as a stream', wide('BW64', whole, 2 ** 63, 2 ** 63)],
  ])('%s: all of it is heard', async (_, bytes) => {
    const { sound, channels } = await all(soundInput('a.wav', bytes));
    expect(sound).toMatchObject({ cutOff: false, broken: null, claimedSeconds: 40 });
    expect(channels[0]!.length).toBe(tone.length);
    expect(difference(channels[0]!, tone)).toBeLessThan(1e-4);
  });

  it.each<[string, Uint8Array]>([
    ['a file', whole],
    ['a file with tags behind', tagged.subarray(0, whole.length)],
    ['a file larger than 2 GiB', withLengths(whole, 0x90000024, 0x90000000)],
    ['RF64', wide('RF64', whole)],
    ['BW64', wide('BW64', whole)],
    ['RF64 larger than 4 GiB', wide('RF64', whole, 2 ** 33 + 72, 2 ** 33)],
  ])('%s that is cut off, even by little: what is there is heard', async (_, bytes) => {
    for (const missing of [3001, bytes.length / 2]) {
      const held = Math.floor((data - missing) / 2);
      const { sound, channels } = await all(soundInput('a.wav', bytes.subarray(0, bytes.length - missing)));
      expect(sound).toMatchObject({ cutOff: true, broken: null, claimedSeconds: held / 8000 });
      expect(channels[0]!.length).toBe(held);
      expect(difference(channels[0]!, tone.slice(0, held))).toBeLessThan(1e-4);
    }
  });

  it('which has no samples is not taken for a stream', async () => {
    const empty = withLengths(joined(whole.subarray(0, 44), tags), 36 + tags.length, 0);
    const { sound, channels } = await all(soundInput('a.wav', empty));
    expect(sound).toMatchObject({ cutOff: false, broken: null, claimedSeconds: 0 });
    expect(channels).toEqual([]);
  });
});

describe('what cannot be heard says why', () => {
  const ascii = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

  it.each<[string, Uint8Array<ArrayBuffer>, string, RegExp]>([
    ['words.wav', ascii('just words, line after line\n'.repeat(40)), 'not a sound', /holds text.*whatever its name/],
    ['none.mp3', new Uint8Array(), 'empty', /empty/],
    ['song.mid', ascii('MThd\0\0\0\x06\0\x01'), 'not a sound', /MIDI file: notes/],
    ['songs.zip', ascii('PK\x03\x04\x14\0\0\0'), 'not a sound', /ZIP.*Unpack/],
    ['photo.mp3', Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 16), 'not a sound', /picture/],
    [
      'old.wav',
      ascii('RIFX\0\0\0\x24WAVEfmt '),
      'not readable here',
      /bytes in reverse \(RIFX\).*Save it as FLAC or WAV/,
    ],
    ['song.aiff', ascii('FORM\0\0\0\0AIFFCOMM'), 'not readable here', /AIFF file.*Save it as FLAC or WAV/],
    ['song.wma', Uint8Array.of(0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66), 'not readable here', /Windows Media/],
    ['bought.m4p', ascii('\0\0\0\x20ftypM4P \0\0\0\0'), 'protected', /DRM.*only the seller/],
    ['rubbish.ogg', Uint8Array.from({ length: 5000 }, (_, i) => (i * 37) % 64), 'not a sound', /no form of sound/],
  ])('%s', async (name, bytes, reason, message) => {
    const refused = await refusal(name, bytes);
    expect(refused.reason).toBe(reason);
    expect(refused.message).toMatch(message);
  });

  it('Apple Lossless, which nothing here decodes', async () => {
    const refused = await refusal('', fixture('lossless.m4a'));
    expect(refused).toMatchObject({ kind: 'm4a', reason: 'not readable here' });
    expect(refused.message).toMatch(/Apple Lossless, which cannot be decoded here/);
  });

  it('an MP4 that a shop has locked', async () => {
    const bytes = fixtureBytes('two.m4a');
    const text = new TextDecoder('latin1').decode(bytes);
    bytes.set(ascii('drms'), text.indexOf('mp4a'));
    expect(await refusal('bought.m4a', bytes)).toMatchObject({ reason: 'protected' });
  });

  it('an MP4 whose end, where its index lies, is missing', async () => {
    const bytes = fixtureBytes('two.m4a');
    const refused = await refusal('half.m4a', bytes.subarray(0, 9000));
    expect(refused.reason).toBe('damaged');
    expect(refused.message).toMatch(/damaged or cut off/);
  });
});

describe('reading a stretch at another rate', () => {
  const rate = 44_100;
  const left = make(4, rate, (time) => 0.4 * Math.sin(2 * Math.PI * (200 * time + 150 * time * time)));
  const right = make(4, rate, sine(1000, 0.3));
  const stereo = soundInput('a.wav', wav([left, right], rate, 'float32'));

  it('gives what cutting the whole would give, wherever the cut lies', async () => {
    const [whole] = await readStretch(stereo, { start: 0, end: 4 }, 32_000, 2);
    for (const [start, end] of [
      [0.5, 1.5],
      [1.23456, 3.1],
      [0.0101, 0.2],
    ] as const) {
      const [part, other] = await readStretch(stereo, { start, end }, 32_000, 2);
      expect(part!.length).toBe(Math.round((end - start) * 32_000));
      expect(other!.length).toBe(part!.length);
      // The grid of the new rate may lie up to half a sample beside that of the whole.
      const from = Math.round(start * 32_000);
      const cut = whole!.slice(from, from + part!.length);
      expect(difference(part!, cut)).toBeLessThan(0.12);
    }
    const [aligned] = await readStretch(stereo, { start: 1, end: 2 }, 32_000, 2);
    expect(difference(aligned!, whole!.slice(32_000, 64_000))).toBeLessThan(1e-5);
  });

  it('gives one channel as the mean, and two of one', async () => {
    const [mono] = await readStretch(stereo, { start: 1, end: 2 }, rate, 1);
    const mean = left.map((value, n) => (value + right[n]!) / 2).slice(rate, 2 * rate);
    expect(difference(mono!, mean)).toBeLessThan(1e-6);
    const single = soundInput('m.wav', wav([left], rate, 'float32'));
    const [a, b] = await readStretch(single, { start: 0, end: 1 }, 16_000, 2);
    expect(b).toEqual(a);
  });

  it('fills what lies behind the end with silence, and says where a file has no such place', async () => {
    const [late] = await readStretch(stereo, { start: 3.5, end: 4.5 }, rate, 1);
    expect(late!.length).toBe(rate);
    expect(late!.slice(0.6 * rate).every((value) => Math.abs(value) < 1e-3)).toBe(true);
    await expect(readStretch(stereo, { start: 9, end: 10 }, rate, 1)).rejects.toThrow(/a\.wav ends before second 9\.0/);
  });
});
