import { UserError } from '../../common/errors.ts';
import { EmptyImportError } from '../report.ts';
import { decodeWhole } from '../text.ts';
import type { SourceFile } from '../source-file.ts';
import { nearestBucket, makeBuckets } from './buckets.ts';
import type { BucketOptions } from './buckets.ts';
import { cropAround, proposeMiddle } from './crop.ts';
import { readAll, sha256 } from './file-bytes.ts';
import { guessFraming } from './framing.ts';
import { reassessPictures } from './judge.ts';
import { masksAll, maskFromPixels, maskToPixels } from './masks.ts';
import { colourShares, differenceHash, lookOf, sharpnessOf } from './measures.ts';
import { PictureReporter } from './reporter.ts';
import { reducedSize, scaledPixels } from './resample.ts';
import { baseName, CaptionFiles, isCache, kohyaFolder, maskedStem, sidecarKind, stemKey } from './sidecars.ts';
import { sniffPicture, turnedSize } from './sniff.ts';
import type {
  PictureDecoder,
  PictureFileReport,
  PictureFormat,
  PictureInfo,
  PictureReport,
  PictureRow,
  Pixels,
} from './types.ts';

export interface PictureImportOptions {
  /** Sizes for training; the base decides. */
  buckets: BucketOptions;
  /** Pictures that are there already: the new ones are judged with them, and the same file is not taken twice. */
  existing?: readonly PictureRow[];
  /** Given the pixels of each picture as soon as it is read, one at a time; without it none are encoded. */
  keep?: (row: PictureRow, files: PictureFiles) => void | Promise<void>;
  /** Ends the import; the pictures that were read before are what it gives. */
  signal?: AbortSignal;
}

/** What is kept of a picture: pixels alone, turned, without metadata. */
export interface PictureFiles {
  picture: Uint8Array<ArrayBuffer>;
  format: PictureFormat;
  /** JPEG. */
  thumbnail: Uint8Array<ArrayBuffer>;
  /** Grey PNG, or null where the whole picture is learnt. */
  mask: Uint8Array<ArrayBuffer> | null;
}

export interface PictureImportProgress {
  /** Of all files, 0 to 1. */
  fraction: number;
  file: string;
  /** Pictures kept so far. */
  rows: number;
}

export interface PictureImport {
  /** Those that were there and the new ones, settled among each other. */
  rows: PictureRow[];
  report: PictureReport;
}

/** No picture could be used. */
export class PictureImportError extends EmptyImportError<PictureReport> {}

/** Short side of the copy that is kept: enough for training at 1024 with a crop. */
export const STORED_SIDE = 1536;
export const THUMBNAIL_SIDE = 192;
/** Drawn pictures up to this many pixels are kept without loss. */
const LOSSLESS_PIXELS = 512 * 512;
const MOST_BYTES = 256 << 20;
const MOST_CAPTION_BYTES = 16 << 20;
/** Of the resolution: a shorter side has nothing to teach at it. */
const SMALLEST_SHARE = 0.25;
const FEWEST_PIXELS = 16;

/** Whether any pixel lets something through. */
function isTransparent({ data }: Pixels): boolean {
  for (let i = 3; i < data.length; i += 4) if (data[i]! < 255) return true;
  return false;
}

const LOSSLESS_KINDS = ['png', 'animated png', 'gif', 'bmp'];

class Importer {
  readonly #decoder: PictureDecoder;
  readonly #options: PictureImportOptions;
  readonly #reporter = new PictureReporter();
  readonly #captions = new CaptionFiles();
  readonly #masks = new Map<string, { source: SourceFile; file: PictureFileReport }>();
  readonly #rows: PictureRow[] = [];
  readonly #known: Map<string, string>;
  readonly #smallest: number;

  constructor(decoder: PictureDecoder, options: PictureImportOptions) {
    this.#decoder = decoder;
    this.#options = options;
    this.#known = new Map((options.existing ?? []).map(({ id, file }) => [id, file]));
    this.#smallest = Math.max(FEWEST_PIXELS, options.buckets.resolution * SMALLEST_SHARE);
  }

  async run(files: readonly SourceFile[], onProgress?: (at: PictureImportProgress) => void): Promise<PictureImport> {
    if (files.length === 0) throw new UserError('There are no files to import.');
    const stems = new Set(files.map(({ name }) => stemKey(name)));
    const pictures: SourceFile[] = [];
    const sidecars: PictureFileReport[] = [];
    for (const source of files) {
      const kind = sidecarKind(source.name, stems);
      if (isCache(source.name)) this.#reporter.of(source.name, 'cache');
      else if (kind === 'caption' || kind === 'captions') sidecars.push(await this.#readCaptions(source, kind));
      else if (kind === 'mask') {
        this.#masks.set(maskedStem(source.name)!.normalize(), { source, file: this.#reporter.of(source.name, 'mask') });
      } else pictures.push(source);
    }
    let stopped = false;
    for (const [i, source] of pictures.entries()) {
      onProgress?.({ fraction: i / pictures.length, file: source.name, rows: this.#rows.length });
      stopped = !(await this.#take(source));
      if (stopped) break;
    }
    for (const file of sidecars) {
      if (this.#reporter.isRefused(file) || this.#captions.wasUsed(file.name)) continue;
      // Their picture may be one that was not read any more.
      if (stopped) this.#reporter.forget(file);
      else {
        this.#reporter.refuse(
          file,
          'captions of no picture',
          'No picture that was taken has a caption in this text. A caption is named as its picture: cat.txt for cat.jpg.',
        );
      }
    }
    const existing = this.#options.existing ?? [];
    const settled = reassessPictures([...existing, ...this.#rows], this.#options.buckets);
    const report = this.#reporter.report(settled.slice(existing.length), settled.length, stopped);
    if (stopped) return { rows: settled, report };
    onProgress?.({ fraction: 1, file: '', rows: this.#rows.length });
    if (this.#rows.length === 0 && existing.length === 0) throw new PictureImportError(nothingKept(report), report);
    return { rows: settled, report };
  }

  async #readCaptions(source: SourceFile, kind: 'caption' | 'captions'): Promise<PictureFileReport> {
    const file = this.#reporter.of(source.name, 'captions');
    const bytes = await readAll(source, MOST_CAPTION_BYTES);
    if (!bytes) {
      this.#reporter.refuse(file, 'too large', 'Captions are read from files of up to 16 MB; this one is larger.');
      return file;
    }
    let text: string;
    try {
      text = decodeWhole(source.name, bytes);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#reporter.refuse(file, 'not readable here', error.message);
      return file;
    }
    try {
      if (kind === 'caption') this.#captions.one(source.name, text);
      else this.#captions.many(source.name, text);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#reporter.refuse(file, 'captions of no picture', `Captions could not be read. ${error.message}`);
    }
    return file;
  }

  /** Takes a picture if it is of use; false where it was stopped before the picture was read: then nothing is said of it. */
  async #take(source: SourceFile): Promise<boolean> {
    const { signal } = this.#options;
    if (signal?.aborted) return false;
    const file = this.#reporter.of(source.name, 'unknown');
    const bytes = await readAll(source, MOST_BYTES);
    if (signal?.aborted) {
      this.#reporter.forget(file);
      return false;
    }
    await this.#judge(source, file, bytes);
    return true;
  }

  async #judge(source: SourceFile, file: PictureFileReport, bytes: Uint8Array<ArrayBuffer> | null): Promise<void> {
    const reporter = this.#reporter;
    if (!bytes) {
      reporter.refuse(file, 'too large', 'The file is larger than 256 MB. Save it as JPEG and drop that.');
      return;
    }
    const { info, refused } = sniffPicture(bytes);
    file.kind = info?.kind ?? refused!.kind;
    const [width, height] = info ? turnedSize(info) : [0, 0];
    if (info) Object.assign(file, { width, height });
    if (refused) {
      reporter.refuse(file, refused.reason, refused.message);
      return;
    }
    const id = await sha256(bytes);
    const same = this.#known.get(id);
    if (same !== undefined) {
      reporter.refuse(file, 'the same file twice', `The same file is there already as ${same}.`);
      return;
    }
    if (Math.min(width, height) < this.#smallest) {
      reporter.refuse(
        file,
        'too small to learn from',
        `The picture has ${width} by ${height} pixels; training at ${this.#options.buckets.resolution} needs at least ${this.#smallest} on its shorter side to learn anything.`,
      );
      return;
    }
    let pixels: Pixels;
    try {
      pixels = await this.#decoder.decode(bytes, info, { shortSide: STORED_SIDE });
    } catch (error) {
      reporter.refuse(file, ...whyUndecodable(info, error));
      return;
    }
    this.#known.set(id, baseName(file.name));
    await this.#add(file, id, info, pixels);
  }

  async #add(file: PictureFileReport, id: string, info: PictureInfo, pixels: Pixels): Promise<void> {
    const [width, height] = sizeSeen(info, pixels);
    Object.assign(file, { width, height });
    const look = lookOf(pixels);
    const { buckets, keep } = this.#options;
    const bucket = nearestBucket(width, height, makeBuckets(buckets));
    const crop = cropAround({ width, height }, bucket, await proposeMiddle(look, bucket));
    const folder = kohyaFolder(file.name);
    const caption = this.#captions.of(file.name);
    const mask = keep && (await this.#mask(file.name));
    const row: PictureRow = {
      id,
      file: baseName(file.name),
      width,
      height,
      crop,
      cropByHand: false,
      bucket,
      caption: caption ?? folder?.words ?? '',
      captionByHand: caption !== undefined,
      repeats: folder?.repeats ?? 1,
      hash: differenceHash(look),
      sharpness: Math.round(sharpnessOf(look) * 100) / 100,
      framing: guessFraming(look),
      warnings: [],
      masked: Boolean(mask) || (!keep && this.#masks.has(stemKey(file.name))),
      colours: colourShares(look),
    };
    this.#reporter.take(file, info);
    if (keep) {
      const lossless =
        isTransparent(pixels) ||
        (LOSSLESS_KINDS.includes(info.kind) && pixels.width * pixels.height <= LOSSLESS_PIXELS);
      const format: PictureFormat = lossless ? 'png' : 'jpeg';
      const small = reducedSize(look.width, look.height, { shortSide: THUMBNAIL_SIDE, longSide: 4 * THUMBNAIL_SIDE });
      const picture = await this.#decoder.encode(pixels, format);
      const thumbnail = await this.#decoder.encode(scaledPixels(look, ...small), 'jpeg');
      row.bytes = picture.byteLength + thumbnail.byteLength;
      await keep(row, { picture, format, thumbnail, mask: mask ?? null });
    }
    this.#rows.push(row);
  }

  /** The mask beside a picture as a grey PNG, if there is one. */
  async #mask(picture: string): Promise<Uint8Array<ArrayBuffer> | null> {
    const { source, file } = this.#masks.get(stemKey(picture)) ?? {};
    const bytes = source && (await readAll(source, MOST_BYTES));
    if (!file || !bytes) return null;
    const { info, refused } = sniffPicture(bytes);
    if (!info || refused) {
      this.#reporter.refuse(file, refused?.reason ?? 'not a picture', refused?.message ?? '');
      return null;
    }
    try {
      const mask = maskFromPixels(await this.#decoder.decode(bytes, info, { shortSide: STORED_SIDE / 2 }));
      if (!masksAll(mask)) return await this.#decoder.encode(maskToPixels(mask), 'png');
      file.warnings.push('The mask is black all over and was left out: nothing would be learnt of its picture.');
    } catch (error) {
      this.#reporter.refuse(file, ...whyUndecodable(info, error));
    }
    return null;
  }
}

/**
 * The picture's size after turning. Not every decoder turns every format; what it gave counts, so a shape that lies the other
 * way round than the header says is taken as it lies.
 */
function sizeSeen(info: PictureInfo, pixels: Pixels): [number, number] {
  const [width, height] = turnedSize(info);
  const lies = pixels.width > pixels.height !== width > height && pixels.width !== pixels.height && width !== height;
  return lies ? [height, width] : [width, height];
}

function whyUndecodable(info: PictureInfo, error: unknown): ['damaged' | 'not readable here', string] {
  if (info.kind === 'heic') {
    return [
      'not readable here',
      'This is a HEIC picture, which cannot be opened here (Safari can). Save it as JPEG; an iPhone does so by itself with Settings, Camera, Formats, Most Compatible.',
    ];
  }
  if (info.kind === 'tiff' || info.kind === 'avif' || info.kind === 'bmp') {
    return [
      'not readable here',
      `This ${info.kind.toUpperCase()} picture cannot be opened here. Save it as JPEG or PNG and drop that.`,
    ];
  }
  const why = error instanceof Error ? error.message.split('\n')[0]! : String(error);
  return [
    'damaged',
    `The picture cannot be opened; it seems to be damaged (${why}). Copy it again from where it came from.`,
  ];
}

function nothingKept(report: PictureReport): string {
  const [first] = report.leftOut;
  if (!first) return 'There is no picture among these files.';
  return report.leftOut.length === 1
    ? `${first.file}: ${first.message}`
    : `None of the ${report.files.length} files is a picture to learn from. ${first.file}: ${first.message}`;
}

/**
 * Reads pictures, one at a time: recognised by their bytes, judged by what their headers state, decoded scaled down, measured,
 * cut and sorted into buckets.
 *
 * @param files pictures and the captions and masks beside them; a name may have folders
 * @throws PictureImportError where no picture could be used; whatever `keep` threw
 */
export function importPictures(
  files: readonly SourceFile[],
  decoder: PictureDecoder,
  options: PictureImportOptions,
  onProgress?: (at: PictureImportProgress) => void,
): Promise<PictureImport> {
  return new Importer(decoder, options).run(files, onProgress);
}

/** A line of pictures.jsonl. */
export function pictureToLine({
  file,
  width,
  height,
  crop,
  bucket,
  warnings,
  caption,
  repeats,
  masked,
}: PictureRow): string {
  const { x, y, width: w, height: h } = crop;
  return JSON.stringify({
    file,
    width,
    height,
    crop: { x, y, width: w, height: h },
    bucket,
    warnings,
    ...(caption !== '' && { caption }),
    ...(repeats !== 1 && { repeats }),
    ...(masked && { masked }),
  });
}
