import type { BaseFileReport, FilesReport } from '../report.ts';

/**
 * Pictures of a look: what importing produces, what curation edits and what training reads. The pixels lie apart: a row says
 * what a picture is and how it is cut.
 */

/** A rectangle in a picture's own pixels, after its EXIF turning. */
export interface Crop {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Why a picture is shown with a mark; each has a sentence of its own in the page. */
export type PictureWarning = 'blurred' | 'too small' | 'nearly the same' | 'very different' | 'very long or wide';

/** How much of the picture the subject fills, guessed from its crop. */
export type PictureFraming = 'close' | 'half' | 'full' | 'unknown';

export interface PictureRow {
  /** Hex SHA-256 of the file's bytes: the key of its pixels and of whatever is cached for it. */
  id: string;
  /** Name of the file it came from; shown, never a path. */
  file: string;
  /** Pixels after turning. */
  width: number;
  height: number;
  crop: Crop;
  /** Whether a person set the crop: importing again or another resolution does not move it then. */
  cropByHand: boolean;
  /** Pixels [width, height] that the crop is scaled to for training. */
  bucket: [number, number];
  caption: string;
  captionByHand: boolean;
  /** Times it is seen an epoch. */
  repeats: number;
  /** Difference hash of 8 by 8 bits, 16 hex digits: near pictures have near hashes. */
  hash: string;
  /** Variance of the Laplacian of the luminance at 256 pixels: small where blurred. */
  sharpness: number;
  framing: PictureFraming;
  warnings: PictureWarning[];
  /** A painted mask exists under the id. */
  masked: boolean;
  /** Shares of the coarse colours of its middle, for telling pictures of other subjects apart: see `colourShares`. */
  colours?: number[];
  /** What the picture and its thumbnail take where they are kept; absent where they are not. */
  bytes?: number;
}

/** Decoded pixels: RGBA, 8 bits a channel, rows from the top, no padding; length 4 · width · height. */
export interface Pixels {
  width: number;
  height: number;
  data: Uint8ClampedArray<ArrayBuffer> | Uint8Array<ArrayBuffer>;
}

/** What a file is, by its bytes. `captions` and `mask` are files that speak about the pictures beside them, `cache`
 * what a trainer computed from them: passed over. */
export type PictureKind =
  | 'jpeg'
  | 'png'
  | 'animated png'
  | 'webp'
  | 'animated webp'
  | 'avif'
  | 'heic'
  | 'gif'
  | 'bmp'
  | 'tiff'
  | 'svg'
  | 'captions'
  | 'mask'
  | 'cache'
  | 'text'
  | 'unknown';

/** Why a file did not become a picture. The phrases are shown and written into reports as they stand. */
export type PictureSkipReason =
  | 'not a picture'
  | 'not readable here'
  | 'damaged'
  | 'too small to learn from'
  | 'too large'
  | 'the same file twice'
  | 'empty'
  | 'captions of no picture';

/** What the header of a picture states, before anything is decoded. */
export interface PictureInfo {
  kind: PictureKind;
  /** As stored, before turning. */
  width: number;
  height: number;
  /** EXIF's 1 to 8; 1 where nothing is said. */
  orientation: number;
  animated: boolean;
  /** Four colours of ink, as print shops send them. */
  cmyk: boolean;
  /** Whether it may hold transparent pixels. */
  alpha: boolean;
}

export interface PictureFileReport extends BaseFileReport<PictureKind, PictureSkipReason> {
  /** Pictures kept of this file: 1 or 0. */
  rows: number;
  /** Pixels after turning, where they are known. */
  width?: number;
  height?: number;
}

/** What an import of pictures understood. */
export type PictureReport = FilesReport<PictureFileReport, PictureSkipReason>;

/** How large decoded pixels may be. A picture is scaled down until both hold, never up. */
export interface SizeLimit {
  shortSide: number;
  /** Default: 8192. */
  longSide?: number;
}

export type PictureFormat = 'jpeg' | 'png';

/** Decodes and encodes: the browser's codecs in the page, sharp in Node. */
export interface PictureDecoder {
  /**
   * The picture's first frame in sRGB with straight alpha, turned as its EXIF says, scaled down to the limit.
   * @throws where the format is unknown to the decoder or the file is damaged.
   */
  decode(bytes: Uint8Array<ArrayBuffer>, info: PictureInfo, limit: SizeLimit): Promise<Pixels>;
  /** JPEG of quality 0.95 (transparent parts become white) or PNG; pixels alone, no metadata. */
  encode(pixels: Pixels, format: PictureFormat): Promise<Uint8Array<ArrayBuffer>>;
}
