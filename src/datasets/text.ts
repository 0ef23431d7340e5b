import { UserError } from '../common/errors.ts';

/** Bytes by which a file is told to be text. */
export const SNIFF_BYTES = 4096;

const ascii = (text: string): number[] => Array.from(text, (letter) => letter.charCodeAt(0));

const PICTURE = 'a picture. Pictures teach a look, not a voice';
const SOUND = 'a sound file. Sounds teach a sound, not a voice';
const PACKED = 'a packed file. Unpack it and drop the files that are in it';

/** First bytes of files that hold no text: what the file is, and what to do. */
const SIGNATURES: readonly { bytes: number[]; at?: number; what: string }[] = [
  {
    bytes: ascii('PAR1'),
    what: 'a Parquet file, which cannot be read here. Convert it to JSON Lines, for instance in Python with pandas: read_parquet(…).to_json("rows.jsonl", orient="records", lines=True)',
  },
  {
    bytes: ascii('ARROW1'),
    what: 'an Arrow file, which cannot be read here. Convert it to JSON Lines, for instance in Python with datasets: Dataset.from_file(…).to_json("rows.jsonl")',
  },
  {
    bytes: [0x50, 0x4b, 0x03, 0x04],
    what: `a ZIP archive or an office document. Unpack it, or save the document as plain text (.txt)`,
  },
  { bytes: [0x1f, 0x8b], what: PACKED },
  { bytes: ascii('7z\u00bc\u00af'), what: PACKED },
  { bytes: ascii('Rar!'), what: PACKED },
  { bytes: [0x28, 0xb5, 0x2f, 0xfd], what: PACKED },
  { bytes: ascii('BZh'), what: PACKED },
  { bytes: ascii('%PDF-'), what: 'a PDF. Save its text as a plain text file (.txt) and drop that' },
  { bytes: ascii('{\\rtf'), what: 'a rich text document. Save it as plain text (.txt) and drop that' },
  { bytes: [0xd0, 0xcf, 0x11, 0xe0], what: 'an old office document. Save it as plain text (.txt) and drop that' },
  { bytes: ascii('SQLite format 3'), what: 'a database. Export its rows as JSON Lines and drop that' },
  { bytes: ascii('GGUF'), what: 'a model in GGUF, not a data set' },
  { bytes: ascii('\u0089PNG'), what: PICTURE },
  { bytes: [0xff, 0xd8, 0xff], what: PICTURE },
  { bytes: ascii('GIF8'), what: PICTURE },
  { bytes: ascii('WEBP'), at: 8, what: PICTURE },
  { bytes: ascii('WAVE'), at: 8, what: SOUND },
  { bytes: ascii('ID3'), what: SOUND },
  { bytes: ascii('OggS'), what: SOUND },
  { bytes: ascii('fLaC'), what: SOUND },
];

type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be';

/** The encoding of a file by its first bytes; refuses what is no text. */
function sniff(head: Uint8Array, name: string): Encoding {
  if (head[0] === 0xff && head[1] === 0xfe) return 'utf-16le';
  if (head[0] === 0xfe && head[1] === 0xff) return 'utf-16be';
  for (const { bytes, at = 0, what } of SIGNATURES) {
    if (bytes.every((byte, index) => head[at + index] === byte)) throw new UserError(`“${name}” is ${what}.`);
  }
  let zeros = 0;
  for (const byte of head) if (byte === 0) zeros++;
  if (zeros > head.length / 4 && zeros < head.length * 0.6 && head.length % 2 === 0) {
    throw new UserError(`“${name}” seems to be UTF-16 text without its mark. Save it as UTF-8 and drop it again.`);
  }
  if (zeros > 0) throw new UserError(`“${name}” is not a text file. Text, JSON Lines, JSON and CSV can be read.`);
  return 'utf-8';
}

/** The line (from 0) of `bytes` that is not UTF-8; its beginning may be the rest of a character. */
function brokenLine(bytes: Uint8Array): number {
  let start = 0;
  while (start < 3 && start < bytes.length && ((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
  for (let line = 0; ; line++) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline < 0 ? bytes.length : newline;
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(start, end));
    } catch {
      return line;
    }
    if (newline < 0) return line;
    start = newline + 1;
  }
}

function countNewlines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++;
  return count;
}

/**
 * Bytes of a file as text, in pieces, without its byte order mark: UTF-8, or UTF-16 where a mark says so. Line ends are \n or
 * \r\n: those of old Macs and some spreadsheets (\r alone) become \n. This is how captions, words beside sounds, tables and
 * texts are all read.
 */
export class TextReading {
  readonly #name: string;
  #decoder: TextDecoder | undefined;
  #encoding: Encoding = 'utf-8';
  #line = 1;
  #return = false;

  constructor(name: string) {
    this.#name = name;
  }

  /** @throws UserError, with the file's name, for what is no text. The first piece must hold SNIFF_BYTES or the whole file. */
  push(piece: Uint8Array): string {
    if (this.#decoder === undefined) {
      this.#encoding = sniff(piece.subarray(0, SNIFF_BYTES), this.#name);
      this.#decoder = new TextDecoder(this.#encoding, { fatal: true });
    }
    let text: string;
    try {
      text = this.#decoder.decode(piece, { stream: true });
    } catch (cause) {
      throw this.#broken(this.#encoding === 'utf-8' ? brokenLine(piece) : 0, cause);
    }
    this.#line += countNewlines(text);
    return this.#withLineEnds(text, false);
  }

  end(): string {
    try {
      this.#decoder?.decode();
    } catch (cause) {
      throw this.#broken(0, cause);
    }
    return this.#withLineEnds('', true);
  }

  /** A \r at the end waits for what follows it. */
  #withLineEnds(text: string, last: boolean): string {
    const whole = this.#return ? `\r${text}` : text;
    this.#return = !last && whole.endsWith('\r');
    return newlines(this.#return ? whole.slice(0, -1) : whole);
  }

  #broken(lines: number, cause: unknown): UserError {
    const at = String(this.#line + lines);
    return new UserError(
      this.#encoding === 'utf-8'
        ? `“${this.#name}” is not UTF-8 text (line ${at}). Open it in an editor, save it with the encoding UTF-8, and drop it again.`
        : `“${this.#name}” is damaged near line ${at}: it says it is UTF-16 text but is not. Save it as UTF-8 and drop it again.`,
      { cause },
    );
  }
}

/** \r alone ends a line, too. */
export const newlines = (text: string): string => (text.includes('\r') ? text.replace(/\r(?!\n)/g, '\n') : text);

/** The text of a file that is read whole. @throws UserError, with the file's name, for what is no text */
export function decodeWhole(name: string, bytes: Uint8Array): string {
  const reading = new TextReading(name);
  return reading.push(bytes) + reading.end();
}
