/** What a WAV says of its own length: RIFF, and its forms for more than 4 GiB (RF64: EBU Tech 3306, BW64: ITU-R BS.2088). */
import { Bytes } from '../bytes.ts';
import type { SoundInput } from './types.ts';

export interface WavLengths {
  /** Whether the header declares more samples than the file holds. */
  cutOff: boolean;
  /** The same file, its header mended where lengths in it are of no use, so that all that is there is read. */
  input: SoundInput;
}

/** Chunks that may lie before the samples; what has more is no WAV. */
const MOST_CHUNKS = 256;
/** Some writers count the header among the samples. */
const SLACK_BYTES = 128;
/** Bytes below the largest signed and unsigned number of 32 bits within which a length is none. */
const NEARLY = 1 << 13;

/** Where the header says how long what is. */
interface Header {
  /** Whether it is one of the forms for more than 4 GiB. */
  wide: boolean;
  /** Place of the two lengths in 64 bits, of the file and of the samples; null where there are none. */
  ds64: number | null;
  /** Bytes of the file by the header; of its first 8 it does not speak. */
  file: number;
  /** First byte of the samples, and how many bytes of them there are by the header. */
  start: number;
  declared: number;
}

async function readHeader(file: SoundInput): Promise<Header | null> {
  const read = async (at: number, length: number): Promise<Bytes> =>
    new Bytes(await file.read(Math.min(at, file.size), Math.min(at + length, file.size)));
  const u64 = (bytes: Bytes, at: number): number =>
    (bytes.u32(at, true) ?? 0) + 2 ** 32 * (bytes.u32(at + 4, true) ?? 0);
  const first = await read(0, 12);
  const wide = first.has(0, 'RF64') || first.has(0, 'BW64');
  let ds64: number | null = null;
  let lengths = [(first.u32(4, true) ?? 0) + 8, 0];
  for (let chunk = 0, at = 12; chunk < MOST_CHUNKS && at + 8 <= file.size; chunk++) {
    const head = await read(at, 8);
    const size = head.u32(4, true)!;
    at += 8;
    if (head.has(0, 'ds64')) {
      ds64 = at;
      const both = await read(at, 16);
      lengths = [u64(both, 0) + 8, u64(both, 8)];
    }
    if (head.has(0, 'data')) {
      const declared = ds64 !== null && size === 0xffffffff ? lengths[1]! : size;
      return { wide, ds64, file: lengths[0]!, start: at, declared };
    }
    at += size + (size & 1);
  }
  return null;
}

/** What is written as a stream is not known in length when its header is written: that holds 0 then, or about the most it can. */
function isUnknown({ declared, file, start }: Header): boolean {
  if (declared === 0) return file <= start || file >= 0xffffffff;
  return [2 ** 31, 2 ** 32].some((most) => declared >= most - NEARLY && declared <= most) || declared >= 2 ** 62;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, Math.min(0xffffffff, value), true);
  return bytes;
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

/** The file with other bytes in some places. */
function patched(file: SoundInput, patches: readonly (readonly [at: number, bytes: Uint8Array])[]): SoundInput {
  if (patches.length === 0) return file;
  return {
    ...file,
    async read(start, end) {
      const bytes = await file.read(start, end);
      const meant = patches.filter(([at, other]) => at < end && at + other.length > start);
      if (meant.length === 0) return bytes;
      const copy = bytes.slice();
      for (const [at, other] of meant) {
        other.forEach((byte, i) => {
          if (at + i >= start && at + i < end) copy[at + i - start] = byte;
        });
      }
      return copy;
    },
  };
}

/** Reads a WAV's header, a few bytes of each chunk before the samples. */
export async function wavLengths(file: SoundInput): Promise<WavLengths> {
  const header = await readHeader(file);
  if (!header) return { cutOff: false, input: file };
  const { wide, ds64, start, declared } = header;
  const held = file.size - start;
  const short = declared > held;
  const unknown = isUnknown(header) && (short || declared === 0);
  const there = unknown || short ? held : declared;
  const patches: [number, Uint8Array][] = [];
  // mediabunny does not know each form's name, but reads lengths in 64 bits in any; it takes nothing behind the end of the file
  // that the header tells.
  if (wide) patches.push([0, new TextEncoder().encode('RIFF')]);
  if (wide || header.file < start + there) patches.push([4, u32(file.size - 8)]);
  if (unknown) patches.push([start - 4, u32(there)]);
  if (ds64 !== null) patches.push([ds64, u64(file.size - 8)], [ds64 + 8, u64(there)]);
  return { cutOff: short && !unknown && declared - held > SLACK_BYTES, input: patched(file, patches) };
}
