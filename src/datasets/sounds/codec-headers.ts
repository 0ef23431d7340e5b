/** What stands in the headers of Vorbis and Opus, as mediabunny hands them on. */
import { UserError } from '../../engine/errors.ts';

/** Of RFC 7845, section 5.1: how many streams of Opus make up the channels. */
export interface OpusLayout {
  channels: number;
  streamCount: number;
  coupledStreamCount: number;
  channelMappingTable: number[];
}

/**
 * @param head an OpusHead packet; empty where the container has none: one stream of one or two channels then
 * @throws UserError where it says what cannot be.
 */
export function opusLayout(head: Uint8Array, channels: number): OpusLayout {
  const family = head[18] ?? 0;
  if (head.length < 19 || family === 0) {
    const two = (head[9] ?? channels) > 1;
    return {
      channels: two ? 2 : 1,
      streamCount: 1,
      coupledStreamCount: two ? 1 : 0,
      channelMappingTable: two ? [0, 1] : [0],
    };
  }
  const count = head[9]!;
  if (head.length < 21 + count) throw new UserError('The header of the Opus stream is cut off.');
  return {
    channels: count,
    streamCount: head[19]!,
    coupledStreamCount: head[20]!,
    channelMappingTable: Array.from(head.subarray(21, 21 + count)),
  };
}

/**
 * The headers of a Vorbis stream, from its three header packets in the lacing of Xiph (as Matroska keeps them).
 * @throws UserError where they are not that.
 */
export function vorbisHeaders(laced: Uint8Array): { identification: Uint8Array; setup: Uint8Array } {
  let at = 1;
  const length = (): number => {
    let sum = 0;
    for (;;) {
      const byte = laced[at++];
      if (byte === undefined) throw new UserError('The headers of the Vorbis stream are cut off.');
      sum += byte;
      if (byte < 255) return sum;
    }
  };
  if (laced[0] !== 2) throw new UserError('The headers of the Vorbis stream are missing.');
  const [first, second] = [length(), length()];
  const identification = laced.subarray(at, at + first);
  const setup = laced.subarray(at + first + second);
  if (identification[0] !== 1 || setup[0] !== 5) throw new UserError('The headers of the Vorbis stream are damaged.');
  return { identification, setup };
}
