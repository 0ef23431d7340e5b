/** Channels: many to two, two to one, pieces to one. */
import { concatFloats } from '../../common/floats.ts';

/** What each speaker gives to the left; the right is its mirror. The deep channel (LFE) is left out, as ITU-R BS.775 says. */
const SPEAKERS = { L: [1, 0], R: [0, 1], C: [Math.SQRT1_2, Math.SQRT1_2], X: [0, 0] } as const;
const BACK = Math.SQRT1_2;

type Speaker = 'L' | 'R' | 'C' | 'X' | 'l' | 'r' | 'c';

/** Order of the speakers in WAV, FLAC, AC-3 and what browsers give: l and r are the sides and the back, c the back's middle. */
const USUAL: Record<number, string> = { 3: 'LRC', 4: 'LRlr', 5: 'LRClr', 6: 'LRCXlr', 7: 'LRCXclr', 8: 'LRCXlrlr' };
/** The order of Vorbis, which Opus follows. */
const XIPH: Record<number, string> = { 3: 'LCR', 4: 'LRlr', 5: 'LCRlr', 6: 'LCRlrX', 7: 'LCRlrcX', 8: 'LCRlrlrX' };

function weights(speaker: Speaker): readonly [number, number] {
  if (speaker === 'l') return [BACK, 0];
  if (speaker === 'r') return [0, BACK];
  if (speaker === 'c') return [BACK * Math.SQRT1_2, BACK * Math.SQRT1_2];
  return SPEAKERS[speaker];
}

/**
 * Two channels of any number (ITU-R BS.775: middle and surround at -3 dB), scaled so that nothing can pass full scale. One and
 * two are given back as they are. Of more than eight, whose order nobody knows, the even ones go left and the odd ones right.
 *
 * @param xiph whether the order is that of Vorbis and Opus
 */
export function toStereo(channels: Float32Array<ArrayBuffer>[], xiph: boolean): Float32Array<ArrayBuffer>[] {
  const count = channels.length;
  if (count <= 2) return channels;
  const order = (xiph ? XIPH : USUAL)[count] ?? 'LR'.repeat(count).slice(0, count);
  const shares = Array.from(order, (speaker) => weights(speaker as Speaker));
  const length = channels[0]!.length;
  return [0, 1].map((side) => {
    const sum = shares.reduce((total, share) => total + share[side]!, 0);
    const out = new Float32Array(length);
    channels.forEach((channel, i) => {
      const share = shares[i]![side]! / sum;
      if (share !== 0) for (let n = 0; n < length; n++) out[n]! += share * channel[n]!;
    });
    return out;
  });
}

/** The mean of the channels. */
export function toMono(channels: readonly Float32Array<ArrayBuffer>[]): Float32Array<ArrayBuffer> {
  if (channels.length === 1) return channels[0]!;
  const out = new Float32Array(channels[0]!.length);
  for (const channel of channels) for (let n = 0; n < out.length; n++) out[n]! += channel[n]! / channels.length;
  return out;
}

/** Pieces of each channel, one after the other. */
export const joinedChannels = (pieces: readonly (readonly Float32Array[])[]): Float32Array<ArrayBuffer>[] =>
  (pieces[0] ?? []).map((_, channel) => concatFloats(pieces.map((piece) => piece[channel]!)));
