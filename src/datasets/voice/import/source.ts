import { UserError } from '../../../common/errors.ts';

/** A file to import; a browser's File fits. `stream` may be called once. */
export interface SourceFile {
  name: string;
  /** Bytes; only used for the progress. */
  size: number;
  stream(): ReadableStream<Uint8Array>;
}

const SNIFF_BYTES = 4096;
/** Pieces that are decoded and read in one go: some milliseconds of work. */
const PIECE_BYTES = 1 << 18;

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

async function* pieces(file: SourceFile, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void> {
  const reader = file.stream().getReader();
  try {
    for (;;) {
      signal?.throwIfAborted();
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw new UserError(`“${file.name}” could not be read. If it was moved or changed, choose it again.`, {
          cause,
        });
      });
      if (done) return;
      for (let at = 0; at < value.length; at += PIECE_BYTES) {
        yield value.subarray(at, at + PIECE_BYTES);
        signal?.throwIfAborted();
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** The first piece, made of as many as it takes to recognise the file by, and the others after it. */
async function* withHead(source: AsyncGenerator<Uint8Array, void>): AsyncGenerator<Uint8Array, void> {
  let head: Uint8Array = new Uint8Array(0);
  let given = false;
  for await (const piece of source) {
    if (given) {
      yield piece;
      continue;
    }
    const longer = new Uint8Array(head.length + piece.length);
    longer.set(head);
    longer.set(piece, head.length);
    head = longer;
    if (head.length >= SNIFF_BYTES) {
      given = true;
      yield head;
    }
  }
  if (!given) yield head;
}

/**
 * A file's text, piece by piece and without its byte order mark: UTF-8, or UTF-16 where a mark says so.
 * `onBytes` is told how many bytes have been read. Throws a UserError for anything that is no text.
 */
export async function* decodeText(
  file: SourceFile,
  signal?: AbortSignal,
  onBytes?: (bytes: number) => void,
): AsyncGenerator<string, void> {
  let decoder: TextDecoder | undefined;
  let encoding: Encoding = 'utf-8';
  let line = 1;
  let bytes = 0;
  const broken = (at: number, cause: unknown): UserError =>
    new UserError(
      encoding === 'utf-8'
        ? `“${file.name}” is not UTF-8 text (line ${String(at)}). Open it in an editor, save it with the encoding UTF-8, and drop it again.`
        : `“${file.name}” is damaged near line ${String(at)}: it says it is UTF-16 text but is not. Save it as UTF-8 and drop it again.`,
      { cause },
    );
  for await (const piece of withHead(pieces(file, signal))) {
    if (decoder === undefined) {
      encoding = sniff(piece.subarray(0, SNIFF_BYTES), file.name);
      decoder = new TextDecoder(encoding, { fatal: true });
    }
    let text: string;
    try {
      text = decoder.decode(piece, { stream: true });
    } catch (cause) {
      throw broken(line + (encoding === 'utf-8' ? brokenLine(piece) : 0), cause);
    }
    line += countNewlines(text);
    bytes += piece.length;
    onBytes?.(bytes);
    yield text;
  }
  try {
    decoder?.decode();
  } catch (cause) {
    throw broken(line, cause);
  }
}
