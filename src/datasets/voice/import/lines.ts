import { UserError } from '../../../common/errors.ts';

/** Characters of a line or value beyond which it is no training row; engines end strings at 2^29 or so. */
const LONGEST = 2 ** 28;

/** @throws UserError where an entry that began on `line` has grown too long to be one. */
export function checkEntryLength(characters: number, line: number, longest = LONGEST): void {
  if (characters <= longest) return;
  throw new UserError(
    `The entry on line ${String(line)} is longer than ${longest.toLocaleString('en-US')} characters, which cannot be read. Split it, or check that a quotation mark or bracket is not missing there.`,
  );
}

/** Splits text that comes in pieces into lines, ended by \n or \r\n, and numbers them from 1. */
export class LineSplitter {
  #parts: string[] = [];
  #length = 0;
  #line = 0;
  readonly #onLine: (line: string, number: number) => void;
  readonly #longest: number | undefined;

  constructor(onLine: (line: string, number: number) => void, longest?: number) {
    this.#onLine = onLine;
    this.#longest = longest;
  }

  push(piece: string): void {
    let start = 0;
    for (let end = piece.indexOf('\n'); end >= 0; end = piece.indexOf('\n', start)) {
      this.#give(piece.slice(start, end));
      start = end + 1;
    }
    if (start < piece.length) {
      this.#parts.push(piece.slice(start));
      this.#length += piece.length - start;
      checkEntryLength(this.#length, this.#line + 1, this.#longest);
    }
  }

  /** Gives the last line where no newline ended it. */
  end(): void {
    if (this.#parts.length > 0) this.#give('');
  }

  #give(last: string): void {
    let line = last;
    if (this.#parts.length > 0) {
      this.#parts.push(last);
      line = this.#parts.join('');
      this.#parts = [];
      this.#length = 0;
    }
    this.#line++;
    this.#onLine(line.endsWith('\r') ? line.slice(0, -1) : line, this.#line);
  }
}
