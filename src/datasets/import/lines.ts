/** Splits text that comes in pieces into lines, ended by \n or \r\n, and numbers them from 1. */
export class LineSplitter {
  #parts: string[] = [];
  #line = 0;
  readonly #onLine: (line: string, number: number) => void;

  constructor(onLine: (line: string, number: number) => void) {
    this.#onLine = onLine;
  }

  push(piece: string): void {
    let start = 0;
    for (let end = piece.indexOf('\n'); end >= 0; end = piece.indexOf('\n', start)) {
      this.#give(piece.slice(start, end));
      start = end + 1;
    }
    if (start < piece.length) this.#parts.push(piece.slice(start));
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
    }
    this.#line++;
    this.#onLine(line.endsWith('\r') ? line.slice(0, -1) : line, this.#line);
  }
}
