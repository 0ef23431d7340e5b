/** What stands in the headers of Vorbis, Opus and AAC, as mediabunny hands them on. */
import { UserError } from '../../common/errors.ts';

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

/** AAC-LC in one or two channels, by an AudioSpecificConfig (ISO 14496-3); a bare stream shows it in its packets. */
export function isPlainAac(config: Uint8Array, channels: number): boolean {
  return channels <= 2 && (config.length === 0 || config[0]! >> 3 === 2);
}

/**
 * A packet of a bare stream of AAC (ADTS, ISO 13818-7): its data, and the AudioSpecificConfig that its header stands for.
 * @throws UserError where it has no such header.
 */
export function adtsFrame(packet: Uint8Array): { config: Uint8Array; data: Uint8Array } {
  if (packet.length < 7 || packet[0] !== 0xff || (packet[1]! & 0xf6) !== 0xf0) {
    throw new UserError('A packet of the AAC stream has no header.');
  }
  const profile = (packet[2]! >> 6) + 1;
  const rate = (packet[2]! >> 2) & 15;
  const channels = ((packet[2]! & 1) << 2) | (packet[3]! >> 6);
  const config = Uint8Array.of((profile << 3) | (rate >> 1), ((rate & 1) << 7) | (channels << 3));
  // A checksum follows the header unless its bit says that there is none.
  return { config, data: packet.subarray((packet[1]! & 1) === 1 ? 7 : 9) };
}
