import type { Bytes } from '../bytes.ts';
import { exifOrientation } from './sniff-tiff.ts';
import type { PictureInfo } from './types.ts';

/** What a format's reader found; `broken` says what is wrong where the file breaks off or contradicts itself. */
export interface Found {
  info: PictureInfo;
  broken?: string;
  /** What a camera's sensor saw, in a maker's own form. */
  raw?: boolean;
}

const plain = (kind: PictureInfo['kind']): PictureInfo => ({
  kind,
  width: 0,
  height: 0,
  orientation: 1,
  animated: false,
  cmyk: false,
  alpha: false,
});

const BREAKS_OFF = 'it breaks off before its end';

/** Whether the two bytes FF D9 come at or after `from`: in coded data every FF is followed by 00 or a restart mark. */
function hasJpegEnd({ bytes }: Bytes, from: number): boolean {
  for (let at = bytes.indexOf(0xff, from); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    if (bytes[at + 1] === 0xd9) return true;
  }
  return false;
}

/** JPEG (ITU T.81): segments up to the first scan. Size from the frame header, turning from EXIF, inks from Adobe's mark. */
export function sniffJpeg(bytes: Bytes): Found {
  const info = plain('jpeg');
  let at = 2;
  while (at + 4 <= bytes.length) {
    if (bytes.u8(at) !== 0xff) {
      at++;
      continue;
    }
    const marker = bytes.u8(at + 1)!;
    if (marker === 0xff) {
      at++;
      continue;
    }
    // Marks without a segment: padding, restarts, start.
    if (marker === 0 || marker === 1 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2;
      continue;
    }
    if (marker === 0xd9) break;
    const length = bytes.u16(at + 2)!;
    if (length < 2) return { info, broken: 'one of its parts has an impossible length' };
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) {
      info.height = bytes.u16(at + 5) ?? 0;
      info.width = bytes.u16(at + 7) ?? 0;
      info.cmyk = bytes.u8(at + 9) === 4;
    } else if (marker === 0xe1 && bytes.has(at + 4, 'Exif\0')) {
      info.orientation = exifOrientation(bytes.part(at + 4, at + 2 + length));
    } else if (marker === 0xda) {
      return hasJpegEnd(bytes, at + 2 + length) ? { info } : { info, broken: BREAKS_OFF };
    }
    at += 2 + length;
  }
  return { info, broken: BREAKS_OFF };
}

/** PNG (ISO 15948): chunks from IHDR to IEND; acTL before the pixels makes it an animation. */
export function sniffPng(bytes: Bytes): Found {
  const info = plain('png');
  if (!bytes.has(12, 'IHDR')) return { info, broken: 'its first part is not the header' };
  info.width = bytes.u32(16) ?? 0;
  info.height = bytes.u32(20) ?? 0;
  info.alpha = ((bytes.u8(25) ?? 0) & 4) !== 0;
  let at = 8;
  let pixels = false;
  while (at + 12 <= bytes.length) {
    const length = bytes.u32(at)!;
    const type = bytes.text(at + 4, 4);
    if (type === 'IEND') return pixels ? { info } : { info, broken: 'it holds no pixels' };
    if (type === 'IDAT') pixels = true;
    else if (type === 'tRNS') info.alpha = true;
    else if (type === 'acTL' && !pixels && (bytes.u32(at + 8) ?? 0) > 1) {
      info.kind = 'animated png';
      info.animated = true;
    } else if (type === 'eXIf') info.orientation = exifOrientation(bytes.part(at + 8, at + 8 + length));
    at += 12 + length;
  }
  return { info, broken: BREAKS_OFF };
}

/** WebP (RFC 9649): the simple lossy and lossless forms and the extended one. */
export function sniffWebp(bytes: Bytes): Found {
  const info = plain('webp');
  const end = 8 + (bytes.u32(4, true) ?? 0);
  let at = 12;
  while (at + 8 <= Math.min(end, bytes.length)) {
    const type = bytes.text(at, 4);
    const length = bytes.u32(at + 4, true)!;
    const data = at + 8;
    if (type === 'VP8X') {
      const flags = bytes.u8(data) ?? 0;
      info.alpha = (flags & 0x10) !== 0;
      info.animated = (flags & 0x02) !== 0;
      if (info.animated) info.kind = 'animated webp';
      info.width = (bytes.u24(data + 4, true) ?? -1) + 1;
      info.height = (bytes.u24(data + 7, true) ?? -1) + 1;
    } else if (type === 'VP8 ' && info.width === 0 && bytes.u24(data + 3) === 0x9d012a) {
      info.width = (bytes.u16(data + 6, true) ?? 0) & 0x3fff;
      info.height = (bytes.u16(data + 8, true) ?? 0) & 0x3fff;
    } else if (type === 'VP8L' && info.width === 0 && bytes.u8(data) === 0x2f) {
      const packed = bytes.u32(data + 1, true) ?? 0;
      info.width = (packed & 0x3fff) + 1;
      info.height = ((packed >>> 14) & 0x3fff) + 1;
      info.alpha = ((packed >>> 28) & 1) === 1;
    } else if (type === 'EXIF') info.orientation = exifOrientation(bytes.part(data, data + length));
    at = data + length + (length & 1);
  }
  // Some writers leave out the last padding byte.
  return end > bytes.length + 1 ? { info, broken: BREAKS_OFF } : { info };
}

/** GIF89a: blocks are walked until a second picture shows that it moves. */
export function sniffGif(bytes: Bytes): Found {
  const info = plain('gif');
  info.width = bytes.u16(6, true) ?? 0;
  info.height = bytes.u16(8, true) ?? 0;
  const flags = bytes.u8(10) ?? 0;
  let at = 13 + ((flags & 0x80) !== 0 ? 3 << ((flags & 7) + 1) : 0);
  let frames = 0;
  const skipBlocks = (from: number): number => {
    let next = from;
    for (let size = bytes.u8(next); size; size = bytes.u8(next)) next += 1 + size;
    return next + 1;
  };
  while (at < bytes.length) {
    const mark = bytes.u8(at);
    if (mark === 0x3b) return frames > 0 ? { info } : { info, broken: 'it holds no pixels' };
    if (mark === 0x21) {
      if (bytes.u8(at + 1) === 0xf9 && ((bytes.u8(at + 3) ?? 0) & 1) === 1) info.alpha = true;
      at = skipBlocks(at + 2);
    } else if (mark === 0x2c) {
      if (++frames > 1) {
        info.animated = true;
        return { info };
      }
      const own = bytes.u8(at + 9) ?? 0;
      at = skipBlocks(at + 11 + ((own & 0x80) !== 0 ? 3 << ((own & 7) + 1) : 0));
    } else return { info, broken: 'one of its parts is of no known kind' };
  }
  return { info, broken: BREAKS_OFF };
}

/** BMP: the old header of 12 bytes and the newer ones; rows may run from the top, then the height is negative. */
export function sniffBmp(bytes: Bytes): Found {
  const info = plain('bmp');
  const header = bytes.u32(14, true) ?? 0;
  info.width = header === 12 ? (bytes.u16(18, true) ?? 0) : Math.abs(bytes.i32(18, true) ?? 0);
  info.height = header === 12 ? (bytes.u16(20, true) ?? 0) : Math.abs(bytes.i32(22, true) ?? 0);
  const pixels = bytes.u32(10, true) ?? 0;
  return pixels >= bytes.length ? { info, broken: BREAKS_OFF } : { info };
}
