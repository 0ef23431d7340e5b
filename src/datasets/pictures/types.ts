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
}

/** Decoded pixels: RGBA, 8 bits a channel, rows from the top, no padding; length 4 · width · height. */
export interface Pixels {
  width: number;
  height: number;
  data: Uint8ClampedArray<ArrayBuffer> | Uint8Array<ArrayBuffer>;
}
