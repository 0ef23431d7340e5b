/** How running text becomes rows. `auto`: by sections; see TextSplitter. */
export type TextSplit = 'auto' | 'paragraph' | 'line' | 'file';

/** Characters from which on `auto` ends a row at two blank lines or more, at one, at a line's end, or at a space. */
const SECTION = { chapter: 2_000, paragraph: 8_000, line: 32_000, space: 1_000_000 };

/**
 * Cuts running text into rows, given line by line. With `auto`, a short file stays one row; a longer one is cut where
 * the writer paused: at chapters (two blank lines or more) once a row has 2,000 characters, at paragraphs once it has
 * 8,000. Rows of that size can be shuffled, curated and held out; cutting them to the context's length is left to
 * tokenisation. Blank lines at a row's edges are dropped, the rest stays as it is.
 */
export class TextSplitter {
  readonly #split: TextSplit;
  readonly #onRow: (text: string, line: number) => void;
  #lines: string[] = [];
  #length = 0;
  #blank = 0;
  #startLine = 1;

  constructor(split: TextSplit, onRow: (text: string, line: number) => void) {
    this.#split = split;
    this.#onRow = onRow;
  }

  line(line: string, number: number): void {
    if (line.trim() === '') {
      this.#blank++;
      return;
    }
    if (this.#lines.length > 0) {
      if (this.#endsHere()) this.#flush();
      else for (; this.#blank > 0; this.#blank--) this.#lines.push('');
    }
    this.#blank = 0;
    if (this.#lines.length === 0) this.#startLine = number;
    let rest = line;
    while (this.#split === 'auto' && this.#length + rest.length > SECTION.space) {
      const room = SECTION.space - this.#length;
      const space = rest.lastIndexOf(' ', room);
      // Without a space the cut may not fall between the halves of a surrogate pair.
      const inPair = (rest.charCodeAt(room - 1) & 0xfc00) === 0xd800;
      const end = space > 0 ? space : inPair ? room - 1 : room;
      this.#lines.push(rest.slice(0, end));
      this.#flush();
      rest = rest.slice(space > 0 ? end + 1 : end);
      this.#startLine = number;
    }
    this.#lines.push(rest);
    this.#length += rest.length + 1;
  }

  end(): void {
    if (this.#lines.length > 0) this.#flush();
  }

  #endsHere(): boolean {
    switch (this.#split) {
      case 'file':
        return false;
      case 'line':
        return true;
      case 'paragraph':
        return this.#blank > 0;
      case 'auto':
        return (
          (this.#blank > 1 && this.#length >= SECTION.chapter) ||
          (this.#blank > 0 && this.#length >= SECTION.paragraph) ||
          this.#length >= SECTION.line
        );
    }
  }

  #flush(): void {
    this.#onRow(this.#lines.join('\n'), this.#startLine);
    this.#lines = [];
    this.#length = 0;
    this.#blank = 0;
  }
}
