import { UserError } from '../../common/errors.ts';
import { concatFloats } from '../../common/floats.ts';
import type { InputData } from '../../engine/program.ts';
import type { CodecPart } from './encodec.ts';
import { inputSpan, rowInputs } from './encodec.ts';
import { framesOf, hopLength } from './encodec-config.ts';
import { codecStages, windowStarts } from './layers.ts';
import { ChannelStream } from './stream.ts';
import type { CodecRun } from './windows.ts';
import { LstmBlocks, cutRows, framesFor } from './windows.ts';

/**
 * Passes a sound through a part in windows.
 * @param input the inputs of the windows at these frames, but for `rows.N`
 * @param length rows of the part's input in the whole sound
 * @param take is given each window's outputs and where it begins, and its place in them
 */
async function inWindows(
  codec: CodecRun,
  part: CodecPart,
  { frames: total, length }: { frames: number; length: number },
  input: (starts: readonly number[], span: { start: number; rows: number; rate: number }) => Record<string, InputData>,
  take: (outputs: Record<string, Float32Array<ArrayBuffer>>, start: number, window: number, frames: number) => void,
): Promise<void> {
  const { config, run, windows = 1, signal } = codec;
  const frames = framesFor(codec, part, total);
  const span = inputSpan(config, part, frames);
  const starts = windowStarts(total, frames);
  for (let i = 0; i < starts.length; i += windows) {
    signal?.throwIfAborted();
    const these = starts.slice(i, i + windows);
    // Of the last few the last is computed again and again.
    const filled = Array.from({ length: windows }, (_, j) => these[j] ?? these.at(-1)!);
    const rows = rowInputs(config, part, frames, length, filled);
    const outputs = await run(part, { frames, windows }, { ...rows, ...input(filled, span) });
    these.forEach((start, window) => {
      take(outputs, start, window, frames);
    });
  }
}

/** Features of windows into those of the whole sound. */
const gather =
  (into: Float32Array<ArrayBuffer>, width: number) =>
  (outputs: Record<string, Float32Array<ArrayBuffer>>, start: number, window: number, frames: number): void => {
    const size = frames * width;
    const kept = Math.min(size, into.length - start * width);
    into.set(outputs['y']!.subarray(window * size, window * size + kept), start * width);
  };

/** The codes [codebooks, frames] of one channel's samples. Throws UserError where there are none. */
async function encodeChannel(codec: CodecRun, samples: Float32Array<ArrayBuffer>): Promise<Int32Array<ArrayBuffer>> {
  const { config, codebooks } = codec;
  if (samples.length === 0) throw new UserError('A sound without samples has no codes.');
  const { widest } = codecStages(config, '');
  const frames = framesOf(config, samples.length);
  const features = new Float32Array(frames * widest);
  await inWindows(
    codec,
    'encoder.down',
    { frames, length: samples.length },
    (starts, span) => ({
      x: concatFloats(starts.map((s) => cutRows(samples, 1, span.start + s * span.rate, span.rows))),
    }),
    gather(features, widest),
  );
  const lstm = new LstmBlocks(codec, 'encoder.lstm', features, widest);
  await lstm.advance(frames);
  const codes = new Int32Array(codebooks * frames);
  await inWindows(
    codec,
    'encoder.codes',
    { frames, length: frames },
    (starts, span) => ({ x: concatFloats(starts.map((s) => cutRows(lstm.heard, widest, span.start + s, span.rows))) }),
    (outputs, start, window, size) => {
      for (let k = 0; k < codebooks; k++) {
        const list = outputs[`codes.${k}`]!;
        const ids = new Uint32Array(list.buffer, list.byteOffset + 4 * window * size, size);
        codes.set(ids.subarray(0, Math.min(size, frames - start)), k * frames + start);
      }
    },
  );
  return codes;
}

/** The samples [frames · hop] of one channel's codes [codebooks, frames]. Throws UserError for what is no code. */
async function decodeChannel(codec: CodecRun, codes: ArrayLike<number>): Promise<Float32Array<ArrayBuffer>> {
  const { config, codebooks } = codec;
  const frames = codes.length / codebooks;
  if (!Number.isInteger(frames) || frames === 0)
    throw new UserError(`${codes.length} codes are no whole number of frames of ${codebooks} codebooks.`);
  const wrong = Array.from(codes).find((code) => !(Number.isInteger(code) && code >= 0 && code < config.codebookSize));
  if (wrong !== undefined)
    throw new UserError(`The code ${wrong} is in none of the codebooks, which have ${config.codebookSize} entries.`);
  const stream = new ChannelStream(codec, frames);
  const samples = new Float32Array(frames * hopLength(config));
  let at = 0;
  for (let frame = 0; frame < frames; frame++) {
    const piece = await stream.push(Array.from({ length: codebooks }, (_, k) => codes[k * frames + frame]!));
    samples.set(piece, at);
    at += piece.length;
  }
  return samples;
}

/** Of all channels' codebooks the k-th of one channel: left on the even ones, right on the odd. */
export const ofChannel = (channels: number, channel: number, k: number): number => k * channels + channel;

/** The codes [channels · codebooks, frames] of a sound, each channel coded alone, as a stereo MusicGen takes them. */
export async function encodeSound(
  codec: CodecRun,
  channels: readonly Float32Array<ArrayBuffer>[],
): Promise<Int32Array<ArrayBuffer>> {
  if (channels.some(({ length }) => length !== channels[0]!.length)) throw new Error('channels of different length');
  let all = new Int32Array(0);
  for (const [channel, samples] of channels.entries()) {
    const codes = await encodeChannel(codec, samples);
    const frames = codes.length / codec.codebooks;
    if (channel === 0) all = new Int32Array(codes.length * channels.length);
    for (let k = 0; k < codec.codebooks; k++) {
      all.set(codes.subarray(k * frames, (k + 1) * frames), ofChannel(channels.length, channel, k) * frames);
    }
  }
  return all;
}

/** Each channel's samples out of the codes [channels · codebooks, frames]. */
export async function decodeSound(
  codec: CodecRun,
  codes: ArrayLike<number>,
  channels: number,
): Promise<Float32Array<ArrayBuffer>[]> {
  const frames = codes.length / (codec.codebooks * channels);
  const sound: Float32Array<ArrayBuffer>[] = [];
  for (let channel = 0; channel < channels; channel++) {
    const own = Int32Array.from({ length: codec.codebooks * frames }, (_, i) => {
      const k = ofChannel(channels, channel, Math.floor(i / frames));
      return codes[k * frames + (i % frames)]!;
    });
    sound.push(await decodeChannel(codec, own));
  }
  return sound;
}
