import { Bytes } from '../bytes.ts';
import { brands, sniffHeif } from './sniff-boxes.ts';
import { sniffBmp, sniffGif, sniffJpeg, sniffPng, sniffWebp } from './sniff-formats.ts';
import type { Found } from './sniff-formats.ts';
import { readTiff } from './sniff-tiff.ts';
import type { PictureInfo, PictureKind, PictureSkipReason } from './types.ts';

export interface Refused {
  kind: PictureKind;
  reason: PictureSkipReason;
  /** What is wrong and what to do; follows the file's name. */
  message: string;
}

export type Sniffed = { info: PictureInfo; refused?: undefined } | { info?: PictureInfo; refused: Refused };

/**
 * The most pixels that are decoded: 480 MB as RGBA. Photos of telephones have up to 108 million; a small file that states more
 * is more likely made to eat memory.
 */
export const MOST_PIXELS = 120_000_000;

const SAVE_AS = 'Save it as JPEG or PNG and drop that.';

/** What holds no picture, by its first bytes. */
const OTHERS: readonly { text: string; at?: number; what: string }[] = [
  { text: '%PDF-', what: 'a PDF document. Save its pictures as JPEG or PNG and drop those' },
  { text: 'PK\x03\x04', what: 'a ZIP archive or an office document. Unpack it and drop the pictures' },
  { text: 'Rar!', what: 'a packed file. Unpack it and drop the pictures' },
  { text: '7z\xbc\xaf', what: 'a packed file. Unpack it and drop the pictures' },
  { text: '\x1f\x8b', what: 'a packed file. Unpack it and drop the pictures' },
  { text: 'WAVE', at: 8, what: 'a sound file' },
  { text: 'AVI ', at: 8, what: 'a film. Save a few of its frames as pictures and drop those' },
  { text: '\x1aE\xdf\xa3', what: 'a film. Save a few of its frames as pictures and drop those' },
  { text: 'ID3', what: 'a sound file' },
  { text: 'OggS', what: 'a sound file' },
  { text: 'fLaC', what: 'a sound file' },
];

const UNREADABLE: readonly { text: string; at?: number; what: string }[] = [
  { text: '8BPS', what: `a Photoshop document, which cannot be read here. ${SAVE_AS}` },
  { text: '\xff\x0a', what: `a JPEG XL picture, which cannot be read here. ${SAVE_AS}` },
  { text: 'JXL ', at: 4, what: `a JPEG XL picture, which cannot be read here. ${SAVE_AS}` },
  { text: '\0\0\0\x0cjP  ', what: `a JPEG 2000 picture, which cannot be read here. ${SAVE_AS}` },
  { text: 'FUJIFILMCCD-RAW', what: `a camera's raw file, which cannot be read here. ${SAVE_AS}` },
  { text: '\0\0\x01\0', what: `an icon. ${SAVE_AS}` },
];

const refuse = (kind: PictureKind, reason: PictureSkipReason, message: string): Sniffed => ({
  refused: { kind, reason, message },
});

/** Bytes by which text is told from the rest. */
const TEXT_BYTES = 4096;

function looksLikeText(bytes: Uint8Array): boolean {
  const head = bytes.subarray(0, TEXT_BYTES);
  const utf16 = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
  if (utf16) return true;
  let strange = 0;
  for (const byte of head) {
    if (byte === 0) return false;
    if (byte < 32 && byte !== 9 && byte !== 10 && byte !== 13 && byte !== 12 && byte !== 27) strange++;
  }
  if (strange > head.length / 100) return false;
  try {
    // The head may end within a letter.
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true });
    return true;
  } catch {
    // Old one-byte alphabets: few bytes above 127.
    return head.filter((byte) => byte > 127).length < head.length / 4;
  }
}

function sniffTiff(bytes: Bytes): Found | null {
  const head = readTiff(bytes);
  if (!head) return null;
  return {
    raw: head.raw,
    info: {
      kind: 'tiff',
      width: head.width ?? 0,
      height: head.height ?? 0,
      orientation: head.orientation,
      animated: head.more,
      cmyk: head.photometric === 5,
      alpha: (head.samples ?? 3) > (head.photometric === 5 ? 4 : 3) || head.samples === 2,
    },
  };
}

function recognise(bytes: Bytes): Found | null {
  if (bytes.has(0, '\xff\xd8\xff')) return sniffJpeg(bytes);
  if (bytes.has(0, '\x89PNG\r\n\x1a\n')) return sniffPng(bytes);
  if (bytes.has(0, 'RIFF') && bytes.has(8, 'WEBP')) return sniffWebp(bytes);
  if (bytes.has(0, 'GIF87a') || bytes.has(0, 'GIF89a')) return sniffGif(bytes);
  const heif = sniffHeif(bytes);
  if (heif) return { info: heif };
  return sniffTiff(bytes) ?? (bytes.has(0, 'BM') && bytes.u32(6) === 0 ? sniffBmp(bytes) : null);
}

/** Says of a file that is no readable picture what it is. */
function nameOthers(bytes: Bytes): Sniffed {
  for (const { text, at = 0, what } of OTHERS) {
    if (bytes.has(at, text)) return refuse('unknown', 'not a picture', `This is no picture but ${what}.`);
  }
  for (const { text, at = 0, what } of UNREADABLE) {
    if (bytes.has(at, text)) return refuse('unknown', 'not readable here', `This is ${what}`);
  }
  if (brands(bytes).length > 0) {
    return refuse(
      'unknown',
      'not a picture',
      'This is a film or a sound file. Save a few frames as pictures and drop those.',
    );
  }
  if (looksLikeText(bytes.bytes)) {
    const head = new TextDecoder().decode(bytes.bytes.subarray(0, TEXT_BYTES)).toLowerCase();
    if (/<svg[\s>]/.test(head)) {
      return refuse('svg', 'not readable here', `This is a drawing made of lines (SVG), not of pixels. ${SAVE_AS}`);
    }
    if (/<!doctype html|<html[\s>]/.test(head)) {
      return refuse(
        'text',
        'not a picture',
        'This is a web page, not a picture. Save the picture itself, not the page around it.',
      );
    }
    return refuse('text', 'not a picture', 'This holds text, not a picture, whatever its name says.');
  }
  return refuse('unknown', 'not a picture', `These bytes are of no picture format that is known here. ${SAVE_AS}`);
}

/** Megapixels, as cameras count. */
const mega = (pixels: number): string => Math.round(pixels / 1e6).toLocaleString('en');

/**
 * What a file is by its bytes, its stated size and turning, without decoding a pixel. Never throws, whatever the bytes are.
 * A picture that is known but must not be decoded has both `info` and `refused`.
 */
export function sniffPicture(file: Uint8Array): Sniffed {
  const bytes = new Bytes(file);
  if (bytes.length === 0) return refuse('unknown', 'empty', 'This file is empty.');
  const found = recognise(bytes);
  if (!found) return nameOthers(bytes);
  const { info } = found;
  const no = (reason: PictureSkipReason, message: string): Sniffed => ({
    info,
    refused: { kind: info.kind, reason, message },
  });
  if (found.raw) return no('not readable here', `This is a camera's raw file, which cannot be read here. ${SAVE_AS}`);
  if (found.broken !== undefined) {
    return no('damaged', `The picture is damaged: ${found.broken}. Copy it again from where it came from.`);
  }
  if (info.width === 0 || info.height === 0)
    return no('damaged', 'The picture is damaged: it does not state its size.');
  const pixels = info.width * info.height;
  if (pixels > MOST_PIXELS) {
    return no(
      'too large',
      `The picture states ${info.width} by ${info.height} pixels, ${mega(pixels)} million; at most ${mega(MOST_PIXELS)} million are opened, to spare your memory. Scale it down first.`,
    );
  }
  return { info };
}

/** Width and height after EXIF's turning: 5 to 8 lie on their side. */
export function turnedSize({ width, height, orientation }: PictureInfo): [number, number] {
  return orientation >= 5 ? [height, width] : [width, height];
}

/** The type that browsers know a format by. */
export function mediaType(kind: PictureKind): string {
  switch (kind) {
    case 'animated png':
      return 'image/png';
    case 'animated webp':
      return 'image/webp';
    case 'jpeg':
    case 'png':
    case 'webp':
    case 'avif':
    case 'heic':
    case 'gif':
    case 'bmp':
    case 'tiff':
      return `image/${kind}`;
    default:
      return 'application/octet-stream';
  }
}
