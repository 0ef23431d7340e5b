import { checkEntryLength } from './lines.ts';

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
 * Damaged values are cut out too, for the parser to refuse, and the values after them are found again:
 * - JSON allows no line break within a string, so a string still open at a line's end is taken as closed there;
 * - a bracket that closes another than the innermost closes all up to its own;
 * - an object or list after a comma, where a key must stand, shows that the object around it was never closed;
 * - in a value that is known to be damaged, one that begins a line no further in than the value did is the next.
 */
export class JsonValueSplitter {
  readonly #onValue: OnValue;
  readonly #inList: boolean;
  readonly #longest: number | undefined;
  /** Whether values are expected: always, or between the list's brackets. */
  #open: boolean;
  /** The brackets opened within the value. */
  #stack: number[] = [];
  #parts: string[] = [];
  #length = 0;
  #started = false;
  #startLine = 1;
  #line = 1;
  #inString = false;
  #escaped = false;
  /** The last character outside of strings that is no space. */
  #last = 0;
  #damaged = false;
  #startColumn = 0;
  /** Where the line began, counted from the piece's beginning, and whether only space came since. */
  #lineStart = 0;
  #lineBlank = true;

  constructor(inList: boolean, onValue: OnValue, longest?: number) {
    this.#longest = longest;
    this.#inList = inList;
    this.#open = !inList;
    this.#onValue = onValue;
  }

  push(piece: string): void {
    let start = 0;
    for (let at = 0; at < piece.length; at++) {
      const code = piece.charCodeAt(at);
      if (this.#inString) {
        if (code === NEWLINE) {
          this.#inString = this.#escaped = false;
          this.#damaged = true;
          this.#newLine(at);
        } else if (this.#escaped) {
          this.#escaped = false;
        } else if (code === BACKSLASH) {
          this.#escaped = true;
        } else if (code === QUOTE) {
          this.#inString = false;
        }
        continue;
      }
      if (code === NEWLINE) this.#newLine(at);
      if (this.#stack.length === 0) {
        if (this.#endsScalar(code) && this.#started) this.#give(piece.slice(start, at));
        if (this.#inList && code === (this.#open ? CLOSE_LIST : OPEN_LIST)) {
          this.#open = !this.#open;
          this.#lineBlank = false;
          continue;
        }
        if (isSpace(code) || code === COMMA) continue;
      } else if (isSpace(code)) {
        continue;
      }
      const beginsLine = this.#lineBlank;
      this.#lineBlank = false;
      const opens = code === OPEN_OBJECT || code === OPEN_LIST;
      if (opens && beginsLine && this.#damaged && at - this.#lineStart <= this.#startColumn) {
        this.#stack = [];
        this.#give(piece.slice(start, at));
      } else if (opens && !this.#damaged && this.#last === COMMA && this.#stack.at(-1) === OPEN_OBJECT) {
        while (this.#stack.at(-1) === OPEN_OBJECT) this.#stack.pop();
        if (this.#stack.length === 0) this.#give(piece.slice(start, at));
      }
      if (!this.#started) {
        this.#started = true;
        this.#startLine = this.#line;
        this.#startColumn = at - this.#lineStart;
        this.#damaged = false;
        start = at;
      }
      this.#last = code;
      if (code === QUOTE) {
        this.#inString = true;
      } else if (opens) {
        this.#stack.push(code);
      } else if (code === CLOSE_OBJECT || code === CLOSE_LIST) {
        const opener = this.#stack.lastIndexOf(code === CLOSE_OBJECT ? OPEN_OBJECT : OPEN_LIST);
        if (opener !== this.#stack.length - 1) this.#damaged = true;
        if (opener < 0) continue;
        this.#stack.length = opener;
        if (opener === 0) this.#give(piece.slice(start, at + 1));
      }
    }
    if (this.#started) {
      this.#parts.push(piece.slice(start));
      this.#length += piece.length - start;
      checkEntryLength(this.#length, this.#startLine, this.#longest);
    }
    this.#lineStart -= piece.length;
  }

  /**
   * Ends the text. What is left over of a value is given like the others.
   * @returns where a value or the list was never closed, the line from which on nothing could be read; else undefined.
   */
  end(): { openSince: number | undefined } {
    const inValue = this.#stack.length > 0 || this.#inString;
    const openSince = inValue ? this.#startLine : this.#inList && this.#open ? this.#line : undefined;
    if (this.#started) this.#give('');
    return { openSince };
  }

  #newLine(at: number): void {
    this.#line++;
    this.#lineStart = at + 1;
    this.#lineBlank = true;
  }

  /** Whether a character outside of all brackets ends a number, a word or a string. */
  #endsScalar(code: number): boolean {
    return code === COMMA || code === NEWLINE || (code === CLOSE_LIST && this.#inList && this.#open);
  }

  #give(last: string): void {
    this.#parts.push(last);
    const text = this.#parts.join('');
    this.#parts = [];
    this.#length = 0;
    this.#started = false;
    this.#last = 0;
    this.#onValue(text, this.#startLine);
  }
}
