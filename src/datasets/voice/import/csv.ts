import { checkEntryLength } from './lines.ts';
import { shapeOf } from './shapes.ts';

export type Delimiter = ',' | ';' | '\t';

/**
 * Reads delimiter-separated values (RFC 4180: quoted fields may hold delimiters, line breaks and doubled quotes),
 * in pieces. Gives each record's fields and the line on which it begins.
 */
export class CsvSplitter {
  readonly #delimiter: Delimiter;
  readonly #onRecord: (fields: string[], line: number) => void;
  readonly #longest: number | undefined;
  #fields: string[] = [];
  #field = '';
  #quoted = false;
  #afterQuote = false;
  #line = 1;
  #startLine = 1;

  constructor(delimiter: Delimiter, onRecord: (fields: string[], line: number) => void, longest?: number) {
    this.#longest = longest;
    this.#delimiter = delimiter;
    this.#onRecord = onRecord;
  }

  push(piece: string): void {
    for (let at = 0; at < piece.length; at++) {
      if (this.#quoted && !this.#afterQuote) {
        const quote = piece.indexOf('"', at);
        const end = quote < 0 ? piece.length : quote;
        this.#add(piece.slice(at, end));
        this.#afterQuote = quote >= 0;
        at = end;
        continue;
      }
      const letter = piece[at];
      if (letter === '"' && (this.#afterQuote || this.#field === '')) {
        if (this.#afterQuote) this.#field += '"';
        this.#quoted = true;
        this.#afterQuote = false;
      } else if (letter === this.#delimiter) {
        this.#endField();
      } else if (letter === '\n') {
        this.#line++;
        this.#endRecord();
      } else if (letter !== '\r') {
        let end = at + 1;
        while (end < piece.length && !this.#stops(piece.charCodeAt(end))) end++;
        this.#field += piece.slice(at, end);
        at = end - 1;
      }
    }
    checkEntryLength(this.#field.length, this.#startLine, this.#longest);
  }

  /** @returns the line on which a quoted field began that was never closed, or undefined. */
  end(): number | undefined {
    const open = this.#quoted && !this.#afterQuote ? this.#startLine : undefined;
    if (this.#field !== '' || this.#fields.length > 0) this.#endRecord();
    return open;
  }

  /** Adds to a quoted field, counting its lines. */
  #add(text: string): void {
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) this.#line++;
    this.#field += text;
  }

  /** Whether a character may end a field or stand for something else than itself: delimiter, line end, quote. */
  #stops(code: number): boolean {
    return code === 10 || code === 13 || code === 34 || code === this.#delimiter.charCodeAt(0);
  }

  #endField(): void {
    this.#fields.push(this.#field);
    this.#field = '';
    this.#quoted = this.#afterQuote = false;
  }

  #endRecord(): void {
    this.#endField();
    const fields = this.#fields;
    this.#fields = [];
    if (fields.length > 1 || fields[0] !== '') this.#onRecord(fields, this.#startLine);
    this.#startLine = this.#line;
  }
}

/** Column names as the layouts know them. */
export const columnName = (cell: string): string => cell.trim().toLowerCase();

/**
 * The delimiter of a table whose first line names columns of a known layout; 'unknown columns' where several lines
 * look like a table but its columns say nothing; undefined for anything else.
 */
export function recogniseTable(head: string): Delimiter | 'unknown columns' | undefined {
  let table = false;
  for (const delimiter of [',', ';', '\t'] as const) {
    const records: string[][] = [];
    const splitter = new CsvSplitter(delimiter, (fields) => records.push(fields));
    splitter.push(head);
    // The last record may be cut by the end of the head; a head of one line is complete only as a header.
    if (records.length === 0) splitter.end();
    const [header] = records;
    if (header === undefined || header.length < 2) continue;
    const names = header.map(columnName);
    if (shapeOf(Object.fromEntries(names.map((name) => [name, ''])))) return delimiter;
    const short = names.every((name) => name !== '' && name.length <= 30 && !/[.!?]/.test(name));
    table ||= short && header.length > 2 && records.length > 2 && records.every((r) => r.length === header.length);
  }
  return table ? 'unknown columns' : undefined;
}
