const QUOTE = 34;
const COMMA = 44;
const NEWLINE = 10;
const BACKSLASH = 92;
const OPEN_LIST = 91;
const CLOSE_LIST = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

const isSpace = (code: number): boolean => code === 32 || code === NEWLINE || code === 13 || code === 9;

/** Receives each value's text, unparsed, and the line on which it begins. */
export type OnValue = (text: string, line: number) => void;

/**
 * Cuts JSON that comes in pieces into its top-level values (objects one after another, however they are laid out) or,
 * with `inList`, into the elements of its top-level list. Memory is that of one value.
 *
 * Damaged values are cut out too, for the parser to refuse: JSON allows no line break within a string, so a string
 * still open at a line's end is taken as closed there, and the values after it are found again.
 */
export class JsonValueSplitter {
  readonly #onValue: OnValue;
  readonly #base: number;
  #parts: string[] = [];
  #started = false;
  #startLine = 1;
  #line = 1;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #container = false;

  constructor(inList: boolean, onValue: OnValue) {
    this.#base = inList ? 1 : 0;
    this.#onValue = onValue;
  }

  push(piece: string): void {
    let start = 0;
    const give = (end: number): void => {
      this.#parts.push(piece.slice(start, end));
      const text = this.#parts.join('');
      this.#parts = [];
      this.#started = false;
      this.#onValue(text, this.#startLine);
    };
    for (let at = 0; at < piece.length; at++) {
      const code = piece.charCodeAt(at);
      if (this.#inString) {
        if (code === NEWLINE) {
          this.#inString = this.#escaped = false;
          this.#line++;
        } else if (this.#escaped) {
          this.#escaped = false;
        } else if (code === BACKSLASH) {
          this.#escaped = true;
        } else if (code === QUOTE) {
          this.#inString = false;
        }
        continue;
      }
      if (code === NEWLINE) this.#line++;
      if (this.#depth < this.#base) {
        // Before the list, or after it: only another list may follow.
        if (code === OPEN_LIST) this.#depth = this.#base;
        else if (!isSpace(code) && code !== COMMA) this.#begin(at, false, (from) => (start = from));
        else if (this.#started && code === NEWLINE) give(at);
        continue;
      }
      if (this.#depth === this.#base) {
        const ends = code === COMMA || (code === CLOSE_LIST && this.#base === 1);
        if (this.#started && (ends || code === NEWLINE)) give(at);
        if (ends) {
          if (code === CLOSE_LIST) this.#depth = 0;
          continue;
        }
        if (isSpace(code)) continue;
        this.#begin(at, code === OPEN_OBJECT || code === OPEN_LIST, (from) => (start = from));
      }
      if (code === QUOTE) this.#inString = true;
      else if (code === OPEN_OBJECT || code === OPEN_LIST) this.#depth++;
      else if (code === CLOSE_OBJECT || code === CLOSE_LIST) {
        if (this.#depth > this.#base) this.#depth--;
        if (this.#depth === this.#base && this.#container) give(at + 1);
      }
    }
    if (this.#started) this.#parts.push(piece.slice(start));
  }

  /**
   * Ends the text. What is left over of a value is given like the others.
   * @returns where a value or the list was never closed, the line from which on nothing could be read; else undefined.
   */
  end(): { openSince: number | undefined } {
    const inValue = this.#depth > this.#base || this.#inString;
    const openSince = inValue ? this.#startLine : this.#base === 1 && this.#depth === 1 ? this.#line : undefined;
    if (this.#started) {
      this.#onValue(this.#parts.join(''), this.#startLine);
      this.#started = false;
    }
    return { openSince };
  }

  #begin(at: number, container: boolean, setStart: (at: number) => void): void {
    if (this.#started) return;
    this.#started = true;
    this.#container = container;
    this.#startLine = this.#line;
    setStart(at);
  }
}
