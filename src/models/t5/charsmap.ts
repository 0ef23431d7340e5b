import { Normalizer } from '@huggingface/tokenizers';
import { UserError } from '../../common/errors.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * The normaliser that sentencepiece compiles into its models (Kudo and Richardson, arXiv:1808.06226): a table from short
 * strings to others, stored as a double-array trie over their UTF-8 bytes and the replacements, each ended by a zero.
 */
export class CharsMap extends Normalizer {
  readonly #units: Uint32Array;
  readonly #replacements: Uint8Array;
  readonly #graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

  /** @param base64 `precompiled_charsmap` of a tokenizer.json. Throws UserError where it is broken. */
  constructor(base64: string) {
    super({ type: 'NFC' });
    let bytes: Uint8Array;
    try {
      bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    } catch {
      throw new UserError('its normalizer is not valid base64');
    }
    const view = new DataView(bytes.buffer);
    const trie = bytes.length >= 4 ? view.getUint32(0, true) : 0;
    if (trie === 0 || trie % 4 !== 0 || 4 + trie > bytes.length) throw new UserError('its normalizer is broken');
    this.#units = Uint32Array.from({ length: trie / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#replacements = bytes.subarray(4 + trie);
  }

  /** What stands for the shortest listed beginning of a text, in place of the whole; undefined where none is listed. */
  #replacement(text: string): string | undefined {
    const units = this.#units;
    const next = (at: number, unit: number): number => at ^ ((unit >>> 10) << ((unit & 0x200) >>> 6));
    let at = next(0, units[0]!);
    for (const byte of encoder.encode(text)) {
      if (byte === 0) return undefined;
      at ^= byte;
      const unit = units[at];
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return undefined;
      at = next(at, unit);
      if ((unit & 0x100) === 0) continue;
      const start = units[at]! & 0x7fffffff;
      const end = this.#replacements.indexOf(0, start);
      return decoder.decode(this.#replacements.subarray(start, end < 0 ? undefined : end));
    }
    return undefined;
  }

  override normalize(text: string): string {
    let out = '';
    for (const { segment } of this.#graphemes.segment(text)) {
      const whole = encoder.encode(segment).length < 6 ? this.#replacement(segment) : undefined;
      if (whole !== undefined) out += whole;
      else for (const character of segment) out += this.#replacement(character) ?? character;
    }
    return out;
  }
}
