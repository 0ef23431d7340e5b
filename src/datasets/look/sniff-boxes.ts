import type { Bytes } from '../bytes.ts';
import type { PictureInfo } from './types.ts';

interface Box {
  type: string;
  /** Where its content begins and ends. */
  start: number;
  end: number;
}

/** More boxes than a still picture needs; hostile files would have us count for ever. */
const MOST_BOXES = 4096;

function boxes(bytes: Bytes, start: number, end: number): Box[] {
  const found: Box[] = [];
  let at = start;
  while (at + 8 <= end && found.length < MOST_BOXES) {
    const size = bytes.u32(at)!;
    const long = size === 1;
    // A 64-bit size above 4 GB is none that lies in these bytes.
    if (long && bytes.u32(at + 8) !== 0) break;
    const length = long ? (bytes.u32(at + 12) ?? 0) : size === 0 ? end - at : size;
    const header = long ? 16 : 8;
    if (length < header) break;
    found.push({ type: bytes.text(at + 4, 4), start: at + header, end: Math.min(end, at + length) });
    at += length;
  }
  return found;
}

const find = (list: readonly Box[], type: string): Box | undefined => list.find((box) => box.type === type);

const AVIF = ['avif', 'avis'];
const HEIC = ['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'hevm', 'hevs'];

/** Brand names of an ISO base media file (ISO 14496-12, `ftyp`), the major one first; empty where it is none. */
export function brands(bytes: Bytes): string[] {
  if (!bytes.has(4, 'ftyp')) return [];
  const end = Math.min(bytes.u32(0) ?? 0, bytes.length, 256);
  const names: string[] = [];
  for (let at = 8; at + 4 <= end; at += 4) if (at !== 12) names.push(bytes.text(at, 4));
  return names;
}

/**
 * Size of the primary item of a HEIF file (ISO 23008-12): `pitm` names it, `ipma` its properties, `ispe` is the size.
 * Turning by `irot` is part of decoding; EXIF's orientation does not count in these files.
 * @returns null where it is neither AVIF nor HEIC; width and height 0 where no size is found.
 */
export function sniffHeif(bytes: Bytes): PictureInfo | null {
  const names = brands(bytes);
  const avif = names.some((name) => AVIF.includes(name));
  if (!avif && !names.some((name) => HEIC.includes(name)) && names[0] !== 'mif1') return null;
  const info: PictureInfo = {
    kind: avif ? 'avif' : 'heic',
    width: 0,
    height: 0,
    orientation: 1,
    animated: names[0] === 'avis' || names[0] === 'msf1' || names[0] === 'hevc' || names[0] === 'hevx',
    cmyk: false,
    alpha: false,
  };
  const meta = find(boxes(bytes, 0, bytes.length), 'meta');
  if (!meta) return info;
  const inside = boxes(bytes, meta.start + 4, meta.end);
  const iprp = find(inside, 'iprp');
  if (!iprp) return info;
  const props = boxes(bytes, iprp.start, iprp.end);
  const ipco = find(props, 'ipco');
  if (!ipco) return info;
  const properties = boxes(bytes, ipco.start, ipco.end);
  const wanted = primaryProperties(bytes, find(inside, 'pitm'), find(props, 'ipma'));
  const own = wanted.flatMap((index) => properties[index - 1] ?? []);
  const sizes = (own.some(({ type }) => type === 'ispe') ? own : properties).filter(({ type }) => type === 'ispe');
  for (const { start } of sizes) {
    const [width, height] = [bytes.u32(start + 4) ?? 0, bytes.u32(start + 8) ?? 0];
    if (width * height > info.width * info.height) Object.assign(info, { width, height });
  }
  const turns = find(own, 'irot');
  if (turns && (bytes.u8(turns.start) ?? 0) % 2 === 1) {
    [info.width, info.height] = [info.height, info.width];
  }
  info.alpha = properties.some(
    ({ type, start, end }) => type === 'auxC' && bytes.text(start, end - start).includes('alpha'),
  );
  return info;
}

/** Indices (from 1) of the properties of the primary item. */
function primaryProperties(bytes: Bytes, pitm: Box | undefined, ipma: Box | undefined): number[] {
  if (!pitm || !ipma) return [];
  const primary = bytes.u8(pitm.start) === 0 ? bytes.u16(pitm.start + 4) : bytes.u32(pitm.start + 4);
  const wideId = (bytes.u8(ipma.start) ?? 0) > 0;
  const wideIndex = ((bytes.u8(ipma.start + 3) ?? 0) & 1) === 1;
  const count = Math.min(bytes.u32(ipma.start + 4) ?? 0, MOST_BOXES);
  let at = ipma.start + 8;
  for (let i = 0; i < count && at < ipma.end; i++) {
    const id = wideId ? bytes.u32(at) : bytes.u16(at);
    at += wideId ? 4 : 2;
    const links = bytes.u8(at) ?? 0;
    at++;
    const indices: number[] = [];
    for (let k = 0; k < links; k++) {
      indices.push(wideIndex ? (bytes.u16(at) ?? 0) & 0x7fff : (bytes.u8(at) ?? 0) & 0x7f);
      at += wideIndex ? 2 : 1;
    }
    if (id === primary) return indices;
  }
  return [];
}
