/** Files beside pictures that speak about them: captions as kohya and diffusers keep them, masks as trainers paint them. */
import { UserError } from '../../common/errors.ts';
import { CsvSplitter } from '../voice/import/csv.ts';

/** The last part of a path. */
export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

const folderName = (path: string): string => path.slice(0, path.lastIndexOf('/') + 1);

/** A path without its ending. */
export function stemOf(path: string): string {
  const dot = path.lastIndexOf('.');
  return dot > path.lastIndexOf('/') + 1 ? path.slice(0, dot) : path;
}

/** A stem as names are compared: the same letters may be written composed or in parts (Unicode's NFC and NFD). */
export const stemKey = (path: string): string => stemOf(path).normalize();

const ending = (path: string): string => path.slice(stemOf(path).length).toLowerCase();

const ONE_CAPTION = ['.txt', '.caption'];
const MANY_CAPTIONS = ['.json', '.jsonl', '.csv'];

/** What trainers and systems leave beside pictures: latents and text states they computed, lists of thumbnails. */
const CACHE_ENDINGS = ['.npz', '.npy', '.safetensors', '.pt', '.cache'];
const SYSTEM_NAMES = ['thumbs.db', 'desktop.ini', '.ds_store'];

export const isCache = (path: string): boolean =>
  CACHE_ENDINGS.includes(ending(path)) || SYSTEM_NAMES.includes(baseName(path).toLowerCase());

export type SidecarKind = 'caption' | 'captions' | 'mask';

const MASK_ENDING = /[-_](?:masklabel|mask)$/i;
const MASK_FOLDER = /(?:^|\/)masks?\/$/i;

/** The stem of the picture that a mask is of, if its name is one's: `cat-masklabel.png`, `cat_mask.png`, `mask/cat.png`. */
export function maskedStem(path: string): string | null {
  const stem = stemOf(path);
  const folder = folderName(path);
  if (MASK_FOLDER.test(folder))
    return folder.replace(MASK_FOLDER, (all) => (all.startsWith('/') ? '/' : '')) + baseName(stem);
  return MASK_ENDING.test(stem) ? stem.replace(MASK_ENDING, '') : null;
}

/** Sorts files by their names alone; `stems` are stemKeys. Null is a picture, or something that must show what it is. */
export function sidecarKind(path: string, stems: ReadonlySet<string>): SidecarKind | null {
  const end = ending(path);
  if (ONE_CAPTION.includes(end)) return 'caption';
  if (MANY_CAPTIONS.includes(end)) return 'captions';
  const masked = maskedStem(path);
  return masked !== null && stems.has(masked.normalize()) ? 'mask' : null;
}

const FILE_KEYS = ['file_name', 'filename', 'file', 'image', 'image_path', 'path', 'name'];
const TEXT_KEYS = ['text', 'caption', 'captions', 'prompt', 'tags', 'description'];

type Fields = Record<string, unknown>;
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function pick(fields: Fields, keys: readonly string[]): string | undefined {
  for (const key of keys) {
    const value: unknown = fields[key];
    if (typeof value === 'string') return value;
    // Several captions of one picture: the first is taken, as diffusers' example scripts do in evaluation.
    if (Array.isArray(value) && typeof value[0] === 'string') return value[0];
  }
  return undefined;
}

function readCsv(text: string): Fields[] {
  const rows: Fields[] = [];
  let head: string[] | undefined;
  const splitter = new CsvSplitter(',', (cells) => {
    if (!head) head = cells.map((cell) => cell.trim().toLowerCase());
    else rows.push(Object.fromEntries(head.map((name, i) => [name, cells[i] ?? ''])));
  });
  splitter.push(text);
  splitter.end();
  return rows;
}

function readLines(text: string): unknown[] {
  return text
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .map((line, i) => {
      try {
        return JSON.parse(line) as unknown;
      } catch {
        throw new UserError(`Line ${i + 1} is not valid JSON.`);
      }
    });
}

/**
 * Captions of a file for many pictures, by the name it gives them: JSON Lines or CSV with `file_name` and `text` (diffusers'
 * image folder), a JSON list of the same, or an object from names to captions (kohya).
 * @throws UserError where it is none of these.
 */
export function readCaptions(path: string, text: string): Map<string, string> {
  const captions = new Map<string, string>();
  const add = (fields: unknown): void => {
    if (!isFields(fields)) return;
    const file = pick(fields, FILE_KEYS);
    const caption = pick(fields, TEXT_KEYS);
    if (file !== undefined && caption !== undefined) captions.set(file, caption.trim());
  };
  const end = ending(path);
  if (end === '.csv') readCsv(text).forEach(add);
  else if (end === '.jsonl') readLines(text).forEach(add);
  else {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw new UserError('It is not valid JSON.');
    }
    if (Array.isArray(value)) value.forEach(add);
    else if (isFields(value)) {
      for (const [name, own] of Object.entries(value)) {
        const caption = typeof own === 'string' ? own : isFields(own) ? pick(own, TEXT_KEYS) : undefined;
        if (caption !== undefined) captions.set(name, caption.trim());
      }
    }
  }
  if (captions.size === 0) {
    throw new UserError(
      'No captions were found in it: lines with file_name and text, or an object from file names to captions, are read.',
    );
  }
  return captions;
}

/** Finds captions for pictures among all files that hold any. */
export class CaptionFiles {
  /** Captions and the file each is from, by path or stem of the picture. */
  readonly #captions = new Map<string, { text: string; from: string }>();
  readonly #used = new Set<string>();

  /** A file of one caption, named like its picture. */
  one(path: string, text: string): void {
    this.#captions.set(stemKey(path), { text: text.replace(/\s*\r?\n\s*/g, ' ').trim(), from: path });
  }

  /** @throws UserError where the file holds no captions. */
  many(path: string, text: string): void {
    for (const [name, caption] of readCaptions(path, text)) {
      const clean = name.replaceAll('\\', '/').replace(/^\.\//, '');
      this.#captions.set((folderName(path) + clean).normalize(), { text: caption, from: path });
      // Whole paths of another machine: its last part is what is here.
      if (clean.includes('/'))
        this.#captions.set((folderName(path) + baseName(clean)).normalize(), { text: caption, from: path });
    }
  }

  of(picture: string): string | undefined {
    const found = this.#captions.get(stemKey(picture)) ?? this.#captions.get(picture.normalize());
    if (found) this.#used.add(found.from);
    return found?.text;
  }

  wasUsed(path: string): boolean {
    return this.#used.has(path);
  }
}

/** kohya's folder names say how often their pictures are seen and of what they are: `10_sks dog`. */
export function kohyaFolder(path: string): { repeats: number; words: string } | null {
  const folder = baseName(folderName(path).replace(/\/$/, ''));
  const match = /^(\d{1,3})_(.+)$/.exec(folder);
  if (!match || Number(match[1]) === 0) return null;
  return { repeats: Number(match[1]), words: match[2]!.trim() };
}
