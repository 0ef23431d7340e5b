import type { TestFile } from './look-pictures.ts';

/** Samples [-1, 1] of each channel as a WAV of 16 bits. */
export function wav(channels: readonly Float32Array[], rate: number): Buffer {
  const frames = channels[0]?.length ?? 0;
  const data = Buffer.alloc(frames * channels.length * 2);
  channels.forEach((samples, c) =>
    samples.forEach((sample, i) =>
      data.writeInt16LE(Math.round(Math.max(-1, Math.min(1, sample)) * 32767), (i * channels.length + c) * 2),
    ),
  );
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + data.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(channels.length, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(rate * channels.length * 2, 28);
  head.writeUInt16LE(channels.length * 2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(data.length, 40);
  return Buffer.concat([head, data]);
}

/** Plucked notes of a scale at a tempo: music enough to be cut, and of one key and beat. */
export function tune(seconds: number, rate: number, { tempo = 120, root = 220, gain = 0.4 } = {}): Float32Array {
  const scale = [0, 3, 5, 7, 10, 12, 10, 7];
  const samples = new Float32Array(Math.round(seconds * rate));
  const step = (60 / tempo) * rate;
  for (let note = 0; note * step < samples.length; note++) {
    const from = Math.round(note * step);
    const pitch = root * 2 ** (scale[(note * 5 + Math.floor(note / 8)) % scale.length]! / 12);
    for (let i = 0; i < step && from + i < samples.length; i++) {
      const time = i / rate;
      const decay = Math.exp(-6 * time) * Math.min(1, time * 200);
      const tone = (k: number): number => Math.sin(2 * Math.PI * pitch * k * time) / k;
      samples[from + i] = gain * decay * (tone(1) + tone(2) + tone(3));
    }
  }
  return samples;
}

export const silence = (seconds: number, rate: number): Float32Array => new Float32Array(Math.round(seconds * rate));

export function song(name: string, seconds: number, options: Parameters<typeof tune>[2] = {}, rate = 16_000): TestFile {
  return { name, mimeType: 'audio/wav', buffer: wav([tune(seconds, rate, options)], rate) };
}
