/** Clips of a file: made from what was measured of it, measured again where an edge was moved, and read for training. */
import { UserError } from '../../common/errors.ts';
import { sha256 } from '../look/file-bytes.ts';
import { listen, measure } from './analyse.ts';
import type { Analysis } from './analyse.ts';
import { isVeryQuiet } from './judge.ts';
import { isClipped, silentChannel } from './levels.ts';
import { eveningGain } from './loudness.ts';
import { joinedChannels, toMono } from './mix.ts';
import { openSound } from './reader.ts';
import { resampleAll } from './resampler.ts';
import type { Stretch } from './stretches.ts';
import type { Clip, SoundFile, SoundInput, SoundSource, SoundWarning, SoundWords } from './types.ts';
import { clipWords } from './words.ts';

/** What a file's marks say of each of its clips. */
const OF_THE_FILE: readonly SoundWarning[] = ['low bitrate', 'noise', 'more than two channels'];

/** A clip as it is proposed. @param heard the file, or the stretch of it alone where `offset` says where that begins */
export function clipOf(
  id: string,
  file: SoundFile,
  heard: Analysis,
  { start, end }: Stretch,
  words: SoundWords,
  offset = 0,
): Clip {
  const [from, to] = [start - offset, end - offset];
  const measured = measure(heard, from, to, file.tempo);
  const warnings = OF_THE_FILE.filter((warning) => file.warnings.includes(warning));
  if (silentChannel(heard.levels, from, to) !== null) warnings.push('one channel silent');
  if (isClipped(heard.levels, from, to)) warnings.push('clipped');
  if (isVeryQuiet(measured.loudness)) warnings.push('very quiet');
  if (file.warnings.includes('breaks off') && end > file.seconds - 0.5) warnings.push('breaks off');
  const clip: Clip = {
    id,
    fileId: file.id,
    file: file.name,
    start,
    end,
    edgesByHand: false,
    kept: true,
    words: '',
    wordsByHand: false,
    tagged: [],
    ...measured,
    gain: eveningGain(measured.loudness, measured.peak),
    warnings,
  };
  return { ...clip, words: clipWords(clip, file, words) };
}

export const SHORTEST_CLIP = 0.5;

/**
 * The clip with other edges, heard again between them; its words follow unless a person wrote them.
 * @param input the file's bytes
 * @throws UserError where the stretch is too short or outside the file
 */
export async function moveEdges(
  input: SoundInput,
  file: SoundFile,
  clip: Clip,
  { start, end }: Stretch,
  words: SoundWords,
): Promise<Clip> {
  const moved = await hearClip(input, file, clip.id, { start, end }, words);
  const { kept, tagged, wordsByHand } = clip;
  return {
    ...moved,
    kept,
    tagged,
    wordsByHand,
    words: wordsByHand ? clip.words : clipWords({ ...moved, tagged }, file, words),
  };
}

/**
 * A clip that a person draws.
 * @throws UserError where the stretch is too short or outside the file
 */
export async function hearClip(
  input: SoundInput,
  file: SoundFile,
  id: string,
  { start, end }: Stretch,
  words: SoundWords,
): Promise<Clip> {
  const to = Math.min(end, file.seconds);
  if (!(start >= 0) || !(to - start >= SHORTEST_CLIP)) {
    throw new UserError(`A clip lasts ${SHORTEST_CLIP} seconds at least and lies inside its file.`);
  }
  const sound = await openSound(input);
  try {
    const heard = await listen(sound.blocks(start, to));
    return { ...clipOf(id, file, heard, { start, end: to }, words, start), edgesByHand: true };
  } finally {
    sound.close();
  }
}

/** What is read around a clip, so that resampling knows what comes before and after: more than any filter is long. */
const AROUND = 0.05;

/**
 * Samples [start, end) of a file at a wanted rate: `channels` arrays of round((end - start) · rate) samples, as they would be
 * cut from the whole file resampled. One channel of a stereo file is the mean of both, or the one that sounds.
 *
 * @param only whether a channel that is silent beside the other is replaced by that one
 * @throws SoundRefusal where the file cannot be opened any more; UserError where it ends before `start`
 */
export async function readStretch(
  input: SoundInput,
  { start, end }: Stretch,
  rate: number,
  channels: 1 | 2,
  only = false,
): Promise<Float32Array<ArrayBuffer>[]> {
  const sound = await openSound(input);
  try {
    const from = Math.max(0, start - AROUND);
    const pieces: Float32Array<ArrayBuffer>[][] = [];
    let source = 0;
    for await (const block of sound.blocks(from, end + AROUND)) {
      pieces.push(block.channels);
      source = block.sampleRate;
    }
    if (pieces.length === 0) throw new UserError(`${input.name} ends before second ${start.toFixed(1)}.`);
    let read = joinedChannels(pieces);
    if (only) read = soundingOnly(read);
    if (channels === 1 || read.length === 1) read = [toMono(read)];
    const length = Math.round((end - start) * rate);
    // Blocks begin at a whole sample of the file; at the wanted rate that is some part of a sample before.
    const first = Math.round((start - Math.round(from * source) / source) * rate);
    const out = read.map((channel) => {
      const all = resampleAll(channel, source, rate);
      const cut = new Float32Array(length);
      cut.set(all.subarray(first, first + length));
      return cut;
    });
    return channels === 2 && out.length === 1 ? [out[0]!, new Float32Array(out[0]!)] : out;
  } finally {
    sound.close();
  }
}

/** Of two channels the louder one. */
function soundingOnly(channels: Float32Array<ArrayBuffer>[]): Float32Array<ArrayBuffer>[] {
  if (channels.length < 2) return channels;
  const energies = channels.map((channel) => channel.reduce((sum, value) => sum + value * value, 0));
  return [channels[energies[0]! >= energies[1]! ? 0 : 1]!];
}

/**
 * Samples of a clip for training or listening, its gain applied.
 * @throws as `readStretch`
 */
export async function readClip(
  input: SoundInput,
  clip: Clip,
  rate: number,
  channels: 1 | 2,
): Promise<Float32Array<ArrayBuffer>[]> {
  const read = await readStretch(input, clip, rate, channels, clip.warnings.includes('one channel silent'));
  for (const channel of read) for (let i = 0; i < channel.length; i++) channel[i]! *= clip.gain;
  return read;
}

/** A clip as training takes it. @param open the bytes of its file, asked for each time it is read */
export async function soundSource(clip: Clip, open: () => SoundInput | Promise<SoundInput>): Promise<SoundSource> {
  const { fileId, start, end, gain, words, file } = clip;
  return {
    id: await sha256(new TextEncoder().encode([fileId, start, end, gain].join())),
    name: `${file} ${start.toFixed(1)}-${end.toFixed(1)}`,
    seconds: end - start,
    words,
    read: async (rate, channels) => readClip(await open(), clip, rate, channels),
  };
}
