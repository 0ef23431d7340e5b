import type { Bytes } from '../bytes.ts';

/** What the first directory of a TIFF says; EXIF blocks are TIFFs too. */
export interface TiffHead {
  width: number | undefined;
  height: number | undefined;
  orientation: number;
  samples: number | undefined;
  /** 5 is CMYK. */
  photometric: number | undefined;
  /** More than one page. */
  more: boolean;
  raw: boolean;
}

const [WIDTH, HEIGHT, PHOTOMETRIC, MAKE, ORIENTATION, SAMPLES, DNG, SENSOR] = [
  0x100, 0x101, 0x106, 0x10f, 0x112, 0x115, 0xc612, 0x828d,
];
/** More entries than any camera writes; a file that claims more is not believed. */
const MOST_ENTRIES = 1000;

const validOrientation = (value: number | undefined): number =>
  value !== undefined && value >= 1 && value <= 8 ? value : 1;

/** @returns null where the bytes are no TIFF. Sizes per TIFF 6.0, section 2. */
export function readTiff(bytes: Bytes): TiffHead | null {
  const little = bytes.has(0, 'II*\0');
  if (!little && !bytes.has(0, 'MM\0*')) return null;
  const head: TiffHead = {
    width: undefined,
    height: undefined,
    orientation: 1,
    samples: undefined,
    photometric: undefined,
    more: false,
    raw: bytes.has(8, 'CR\x02'),
  };
  const directory = bytes.u32(4, little);
  const entries = directory === undefined ? undefined : bytes.u16(directory, little);
  if (directory === undefined || entries === undefined || entries > MOST_ENTRIES) return head;
  for (let i = 0; i < entries; i++) {
    const at = directory + 2 + 12 * i;
    const tag = bytes.u16(at, little);
    if (tag === undefined) return head;
    // Types: 1 is a byte, 3 a short, 4 a long; the others hold nothing that is asked for here.
    const type = bytes.u16(at + 2, little);
    const value =
      type === 3
        ? bytes.u16(at + 8, little)
        : type === 4
          ? bytes.u32(at + 8, little)
          : type === 1
            ? bytes.u8(at + 8)
            : 0;
    if (tag === WIDTH) head.width = value;
    else if (tag === HEIGHT) head.height = value;
    else if (tag === PHOTOMETRIC) head.photometric = value;
    else if (tag === ORIENTATION) head.orientation = validOrientation(value);
    else if (tag === SAMPLES) head.samples = value;
    else if (tag === DNG || tag === SENSOR) head.raw = true;
    else if (tag === MAKE && bytes.has(8, 'HEAPCCDR')) head.raw = true;
  }
  const next = bytes.u32(directory + 2 + 12 * entries, little);
  head.more = next !== undefined && next !== 0;
  return head;
}

/** Orientation of an EXIF block that may begin with "Exif\0\0". */
export function exifOrientation(bytes: Bytes): number {
  const start = bytes.has(0, 'Exif\0') ? 6 : 0;
  return readTiff(bytes.part(start, bytes.length))?.orientation ?? 1;
}
