/** Sounds that the tests make themselves. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { SoundInput } from '../../../src/datasets/sound/types.ts';

export type Samples = Float32Array<ArrayBuffer>;

export function soundInput(name: string, bytes: Uint8Array): SoundInput {
  return {
    name,
    size: bytes.length,
    // Copied, so that whoever keeps a part does not keep all.
    read: (start, end) => Promise.resolve(bytes.slice(start, end)),
  };
}

const FIXTURES = resolve(import.meta.dirname, '../../fixtures/audio');
export const fixture = (name: string): SoundInput => soundInput(name, readFileSync(resolve(FIXTURES, name)));
export const fixtureBytes = (name: string): Uint8Array => new Uint8Array(readFileSync(resolve(FIXTURES, name)));

export function make(seconds: number, rate: number, at: (time: number, n: number) => number): Samples {
  return Float32Array.from({ length: Math.round(seconds * rate) }, (_, n) => at(n / rate, n));
}

export const sine =
  (hertz: number, amplitude = 0.5) =>
  (time: number): number =>
    amplitude * Math.sin(2 * Math.PI * hertz * time);

/** Numbers in -1 to 1, the same each time. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

export type WavForm = 'pcm16' | 'pcm24' | 'float32';
const BYTES: Record<WavForm, number> = { pcm16: 2, pcm24: 3, float32: 4 };

function wavHead(channels: number, frames: number, rate: number, form: WavForm): Uint8Array<ArrayBuffer> {
  const size = BYTES[form];
  // More than two channels, or more than 16 bits, are WAVE_FORMAT_EXTENSIBLE.
  const extended = channels > 2 || form === 'pcm24';
  const format = extended ? 40 : 16;
  const head = new Uint8Array(28 + format);
  const view = new DataView(head.buffer);
  const text = (at: number, letters: string): void => head.set(new TextEncoder().encode(letters), at);
  const data = frames * channels * size;
  text(0, 'RIFF');
  view.setUint32(4, Math.min(0xffffffff, head.length - 8 + data), true);
  text(8, 'WAVEfmt ');
  view.setUint32(16, format, true);
  const tag = form === 'float32' ? 3 : 1;
  view.setUint16(20, extended ? 0xfffe : tag, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * channels * size, true);
  view.setUint16(32, channels * size, true);
  view.setUint16(34, 8 * size, true);
  if (extended) {
    view.setUint16(36, 22, true);
    view.setUint16(38, 8 * size, true);
    view.setUint32(40, (1 << channels) - 1, true);
    head.set([tag, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71], 44);
  }
  text(20 + format, 'data');
  view.setUint32(24 + format, data, true);
  return head;
}

function frames(channels: readonly ((n: number) => number)[], from: number, to: number, form: WavForm): Uint8Array {
  const size = BYTES[form];
  const out = new DataView(new ArrayBuffer((to - from) * channels.length * size));
  let at = 0;
  for (let n = from; n < to; n++) {
    for (const channel of channels) {
      const value = channel(n);
      const whole = (bits: number): number =>
        Math.max(-(2 ** (bits - 1)), Math.min(2 ** (bits - 1) - 1, Math.round(value * 2 ** (bits - 1))));
      if (form === 'float32') out.setFloat32(at, value, true);
      else if (form === 'pcm16') out.setInt16(at, whole(16), true);
      else {
        out.setUint16(at, whole(24) & 0xffff, true);
        out.setInt8(at + 2, whole(24) >> 16);
      }
      at += size;
    }
  }
  return new Uint8Array(out.buffer);
}

export function wav(channels: readonly Samples[], rate: number, form: WavForm = 'pcm16'): Uint8Array<ArrayBuffer> {
  const count = channels[0]!.length;
  const head = wavHead(channels.length, count, rate, form);
  const body = frames(
    channels.map((channel) => (n: number) => channel[n]!),
    0,
    count,
    form,
  );
  const file = new Uint8Array(head.length + body.length);
  file.set(head);
  file.set(body, head.length);
  return file;
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}

/** Other lengths in the header of a WAV of `wav`, of the file but its first 8 bytes and of its samples. */
export function withLengths(file: Uint8Array, riff: number, data: number): Uint8Array<ArrayBuffer> {
  const out = Uint8Array.from(file);
  const view = new DataView(out.buffer);
  view.setUint32(4, riff, true);
  view.setUint32(out.findIndex((_, i) => view.getUint32(i) === 0x64617461) + 4, data, true);
  return out;
}

/** A WAV of `wav` in the form for more than 4 GiB; by default its lengths are right. */
export function wide(
  name: 'RF64' | 'BW64',
  file: Uint8Array,
  riff = file.length + 36 - 8,
  data = file.length - 44,
): Uint8Array<ArrayBuffer> {
  const none = withLengths(file, 0xffffffff, 0xffffffff);
  const ds64 = new Uint8Array(36);
  const view = new DataView(ds64.buffer);
  ds64.set(new TextEncoder().encode('ds64'));
  view.setUint32(4, 28, true);
  view.setBigUint64(8, BigInt(riff), true);
  view.setBigUint64(16, BigInt(data), true);
  const out = joined(none.subarray(0, 12), ds64, none.subarray(12));
  out.set(new TextEncoder().encode(name));
  return out;
}

/** A WAV that is made as it is read, so that hours of it take no memory; `loop` is heard again and again. */
export function endlessWav(name: string, loop: readonly Samples[], seconds: number, rate: number): SoundInput {
  const total = Math.round(seconds * rate);
  const head = wavHead(loop.length, total, rate, 'pcm16');
  const width = 2 * loop.length;
  const once = frames(
    loop.map((channel) => (n: number) => channel[n]!),
    0,
    loop[0]!.length,
    'pcm16',
  );
  const size = head.length + total * width;
  return {
    name,
    size,
    read(start, end) {
      const out = new Uint8Array(end - start);
      for (let at = start; at < end;) {
        if (at < head.length) {
          const part = head.subarray(at, Math.min(head.length, end));
          out.set(part, at - start);
          at += part.length;
          continue;
        }
        const place = (at - head.length) % once.length;
        const part = once.subarray(place, Math.min(once.length, place + end - at));
        out.set(part, at - start);
        at += part.length;
      }
      return Promise.resolve(out);
    },
  };
}

const pitch = (midi: number): number => 440 * 2 ** ((midi - 69) / 12);

/**
 * Music: a chord each bar and a drum on every beat and, softer, between.
 * @param chords MIDI notes of each bar's chord, from the first again when they are through
 */
export function song(seconds: number, rate: number, tempo: number, chords: readonly (readonly number[])[]): Samples {
  const beat = 60 / tempo;
  const hiss = random(7);
  const drum = Float32Array.from({ length: Math.round(0.08 * rate) }, (_, n) => hiss() * Math.exp(-n / (0.012 * rate)));
  const out = make(seconds, rate, (time) => {
    const bar = Math.floor(time / (4 * beat));
    const chord = chords[bar % chords.length]!;
    const fade = Math.exp(-0.8 * ((time % (2 * beat)) / beat));
    return chord.reduce((sum, note) => {
      const angle = 2 * Math.PI * pitch(note) * time;
      return sum + (0.1 * fade * (Math.sin(angle) + 0.4 * Math.sin(2 * angle) + 0.2 * Math.sin(3 * angle))) / 1.6;
    }, 0);
  });
  for (let half = 0; half * beat < 2 * seconds; half++) {
    const at = Math.round((half * beat * rate) / 2);
    const strength = half % 8 === 0 ? 0.6 : half % 2 === 0 ? 0.4 : 0.12;
    for (let n = 0; n < drum.length && at + n < out.length; n++) out[at + n]! += strength * drum[n]!;
  }
  return out;
}

/** I IV V I in C major, and i iv V i in A minor. */
export const C_MAJOR = [
  [48, 60, 64, 67],
  [53, 60, 65, 69],
  [55, 59, 62, 67],
  [48, 60, 64, 67],
];
export const A_MINOR = [
  [57, 60, 64, 69],
  [50, 62, 65, 69],
  [52, 59, 64, 68],
  [57, 60, 64, 69],
];

/** Many hands: noise whose blows come so thick that its level hardly moves. */
export function applause(seconds: number, rate: number, seed = 3): Samples {
  const hiss = random(seed);
  return make(seconds, rate, () => 0.15 * hiss());
}

/** Power of one frequency in a stretch, as the square of its amplitude. */
export function powerAt(samples: Float32Array, rate: number, hertz: number): number {
  let [re, im] = [0, 0];
  for (let n = 0; n < samples.length; n++) {
    // A Hann window: other tones do not leak in.
    const value = samples[n]! * (1 - Math.cos((2 * Math.PI * n) / samples.length));
    re += value * Math.cos((2 * Math.PI * hertz * n) / rate);
    im += value * Math.sin((2 * Math.PI * hertz * n) / rate);
  }
  return (4 * (re * re + im * im)) / samples.length ** 2;
}

/** Norm of the difference over the norm of the second. */
export function difference(a: Float32Array, b: Float32Array): number {
  let [error, size] = [0, 0];
  for (let n = 0; n < b.length; n++) {
    error += ((a[n] ?? 0) - b[n]!) ** 2;
    size += b[n]! ** 2;
  }
  return Math.sqrt(error / size);
}
