const INCOMPLETE = '\uFFFD';

/**
 * Turns a growing list of tokens into text that never has to be taken back: characters whose bytes are spread over
 * several tokens wait for the last of them. Decodes a short window each time, beginning with tokens already shown,
 * because what a token says can depend on the one before (a space that is dropped at the beginning).
 */
export class TextStream {
  readonly #decode: (ids: readonly number[]) => string;
  /** Tokens already shown that the new ones are decoded behind, then those held back. */
  #window: number[] = [];
  #shown = 0;

  constructor(decode: (ids: readonly number[]) => string) {
    this.#decode = decode;
  }

  #take(held: boolean): string {
    const before = this.#decode(this.#window.slice(0, this.#shown));
    const now = this.#decode(this.#window);
    if (now.length <= before.length) return '';
    if (held && now.endsWith(INCOMPLETE)) return '';
    this.#window = this.#window.slice(this.#shown);
    this.#shown = this.#window.length;
    return now.slice(before.length);
  }

  /** The text that became final with these tokens; '' while a character is incomplete. */
  push(ids: ArrayLike<number>): string {
    let text = '';
    for (let i = 0; i < ids.length; i++) {
      this.#window.push(ids[i]!);
      text += this.#take(true);
    }
    return text;
  }

  /** What was held back, once no more tokens come. */
  end(): string {
    return this.#take(false);
  }
}
