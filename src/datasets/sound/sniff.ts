/** What a file is by its first bytes, and why it cannot be heard where that shows there. */
import { Bytes } from '../bytes.ts';
import type { SoundKind, SoundSkipReason } from './types.ts';

export interface SoundRefused {
  kind: SoundKind;
  reason: SoundSkipReason;
  /** A sentence that says what it is and what to do. */
  message: string;
}

/** The kind as far as the beginning tells it: what is in a container shows when it is opened. */
export type Sniffed = { kind: SoundKind; refused?: undefined } | { refused: SoundRefused };

export const SNIFF_BYTES = 1 << 16;

const CONVERT = 'Save it as FLAC or WAV and drop that';

function unreadable(what: string): Sniffed {
  return {
    refused: {
      kind: 'other sound',
      reason: 'not readable here',
      message: `This is ${what}, which cannot be opened here. ${CONVERT}.`,
    },
  };
}

function noSound(kind: SoundKind, message: string): Sniffed {
  return { refused: { kind, reason: 'not a sound', message } };
}

/** Sounds in forms that nothing here decodes, by what they begin with. */
const UNREADABLE: readonly [at: number, mark: string, what: string][] = [
  [0, 'caff', 'a Core Audio file'],
  [0, '.snd', 'a Sun sound file (.au)'],
  [0, 'wvpk', 'a WavPack file'],
  [0, 'MAC ', 'a Monkey’s Audio file'],
  [0, 'TTA1', 'a True Audio file'],
  [0, 'DSD ', 'a DSD file'],
  [0, 'FRM8', 'a DSD file'],
  [0, '#!AMR', 'an AMR recording'],
  [0, '\x30\x26\xb2\x75', 'a Windows Media file'],
  [8, 'AIFF', 'an AIFF file'],
  [8, 'AIFC', 'an AIFF file'],
];

const NOT_SOUND: readonly [at: number, mark: string, what: string][] = [
  [
    0,
    'MThd',
    'This is a MIDI file: notes to be played, not sound. Let a music program play it and drop what it records.',
  ],
  [0, 'PK\x03\x04', 'This is a packed file (ZIP). Unpack it and drop the files that are in it.'],
  [0, 'Rar!', 'This is a packed file (RAR). Unpack it and drop the files that are in it.'],
  [0, '7z\xbc\xaf', 'This is a packed file (7z). Unpack it and drop the files that are in it.'],
  [
    0,
    '\x1f\x8b',
    'This is a packed file (or a project of a music program). Export the sound as FLAC or WAV and drop that.',
  ],
  [0, '%PDF-', 'This is a PDF, not a sound.'],
];

const PICTURES: readonly [at: number, mark: string][] = [
  [0, '\x89PNG'],
  [0, '\xff\xd8\xff'],
  [0, 'GIF8'],
  [8, 'WEBP'],
];

/** Whether the bytes read as text: UTF-8 or UTF-16 without what no text has. */
function isText(head: Uint8Array): boolean {
  if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)) return true;
  // A letter of several bytes may be cut at the end.
  const part = head.subarray(0, 4096);
  if (part.some((byte) => byte < 9 || (byte > 13 && byte < 32 && byte !== 27))) return false;
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(part, { stream: true });
    return true;
  } catch {
    return false;
  }
}

function insideOgg(bytes: Bytes): Sniffed {
  // The first packet of the first page: its header is 27 bytes and a table of lengths.
  const at = 27 + (bytes.u8(26) ?? 0);
  if (bytes.has(at, '\x01vorbis')) return { kind: 'ogg vorbis' };
  if (bytes.has(at, 'OpusHead')) return { kind: 'ogg opus' };
  if (bytes.has(at, 'Speex')) return unreadable('speech in the Speex form');
  if (bytes.has(at, '\x7fFLAC')) return { kind: 'flac' };
  return { kind: 'video' };
}

/** The frame header of MPEG audio: 11 bits of ones, and the layer (0 in AAC's ADTS). */
function mpegFrame(bytes: Bytes, at: number): SoundKind | null {
  const [a, b, c] = [bytes.u8(at), bytes.u8(at + 1), bytes.u8(at + 2)];
  if (a !== 0xff || b === undefined || c === undefined || (b & 0xe0) !== 0xe0) return null;
  if ((b & 0xf6) === 0xf0) return 'aac';
  const valid = (b & 0x18) !== 0x08 && (b & 0x06) !== 0 && (c & 0xf0) !== 0xf0 && (c & 0x0c) !== 0x0c;
  return valid ? 'mp3' : null;
}

/** @param head the first SNIFF_BYTES of the file, or all of it */
export function sniffSound(head: Uint8Array): Sniffed {
  const bytes = new Bytes(head);
  if (head.length === 0) {
    return {
      refused: {
        kind: 'unknown',
        reason: 'empty',
        message: 'The file is empty. Copy it again from where it came from.',
      },
    };
  }
  if (bytes.has(8, 'WAVE') && ['RIFF', 'RF64', 'BW64'].includes(bytes.text(0, 4))) return { kind: 'wav' };
  if (bytes.has(0, 'RIFX') && bytes.has(8, 'WAVE')) return unreadable('a WAV with its bytes in reverse (RIFX)');
  if (bytes.has(0, 'fLaC')) return { kind: 'flac' };
  if (bytes.has(0, 'OggS')) return insideOgg(bytes);
  if (bytes.has(4, 'ftyp')) {
    const brand = bytes.text(8, 4);
    if (brand === 'M4P ') return { refused: protectedFile('m4a') };
    if (brand === 'heic' || brand === 'avif' || brand === 'mif1') return noSound('picture', PICTURE);
    return { kind: /^M4[AB] $/.test(brand) ? 'm4a' : 'video' };
  }
  if (bytes.has(4, 'moov') || bytes.has(4, 'mdat') || bytes.has(4, 'wide')) return { kind: 'video' };
  if (bytes.u32(0) === 0x1a45dfa3) return { kind: 'video' };
  if (bytes.u8(0) === 0x47 && bytes.u8(188) === 0x47) return { kind: 'video' };
  if (bytes.has(0, 'ID3')) return { kind: 'mp3' };
  for (const [at, mark, what] of UNREADABLE) if (bytes.has(at, mark)) return unreadable(what);
  for (const [at, mark, message] of NOT_SOUND) if (bytes.has(at, mark)) return noSound('unknown', message);
  if (PICTURES.some(([at, mark]) => bytes.has(at, mark))) return noSound('picture', PICTURE);
  const frame = mpegFrame(bytes, 0);
  if (frame) return { kind: frame };
  if (isText(head)) return noSound('text', 'This holds text, not sound, whatever its name says.');
  // Some MP3s begin with rubbish: mediabunny looks for their first frame.
  for (let at = 1; at < Math.min(head.length, 4096); at++) if (mpegFrame(bytes, at) === 'mp3') return { kind: 'mp3' };
  return noSound('unknown', `The file is in no form of sound that is known here. ${CONVERT}.`);
}

const PICTURE = 'This is a picture. Pictures teach a look, not a sound.';

/** What is said of files that only their seller's program may open. */
export function protectedFile(kind: SoundKind): SoundRefused {
  return {
    kind,
    reason: 'protected',
    message:
      'This file is protected (DRM): only the seller’s own program can open it. Use a copy without protection, as shops have sold them since 2009.',
  };
}
