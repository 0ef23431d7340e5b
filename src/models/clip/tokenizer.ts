import { Normalizer, Tokenizer as TokenizerModel } from '@huggingface/tokenizers';
import { UserError } from '../../common/errors.ts';
import type { ModelFolder } from '../files/folder.ts';
import { readJson, readText } from '../files/folder.ts';
import { isJsonObject } from '../../common/json.ts';

const BOS = '<|startoftext|>';
const EOS = '<|endoftext|>';
const END_OF_WORD = '</w>';
/** CLIP's text towers have so many positions where a folder does not say. */
const USUAL_LENGTH = 77;

/**
 * Letters by words, digits one by one, everything else by runs; and GPT-2's expression, which the byte level applies to the
 * pieces. Spaces are the only white space left by then.
 */
const WORDS = String.raw`<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^ \p{L}\p{N}]+`;
const PIECES = String.raw`'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}+|[^ \p{L}\p{N}]+`;

/**
 * What transformers' CLIPTokenizer does to a text first. Its white space is Unicode's White_Space, which is not JavaScript's
 * (a byte order mark is none, NEL is), and it lowers character by character (Σ at a word's end is σ).
 */
class ClipNormalizer extends Normalizer {
  override normalize(text: string): string {
    const spaced = text.normalize('NFC').replace(/\p{White_Space}+/gu, ' ');
    const lowered = Array.from(spaced, (character) => character.toLowerCase()).join('');
    // The library takes a text that lowers to an added token for that token; the space, dropped later, keeps them apart.
    return `${lowered} `;
  }
}

interface AddedToken {
  id: number;
  content: string;
  normalized: boolean;
}

interface Source {
  vocab: Record<string, number>;
  merges: readonly unknown[];
  added: ReadonlyMap<string, AddedToken>;
  unk: string;
}

function modelOf({ vocab, merges, added, unk }: Source): TokenizerModel {
  const flags = { single_word: false, lstrip: false, rstrip: false, special: true };
  const json = {
    added_tokens: [...added.values()].map((token) => ({ ...token, ...flags })),
    // In place while the added tokens are read, which are then looked for in lowered text.
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: WORDS }, behavior: 'Removed', invert: true },
        { type: 'Split', pattern: { Regex: PIECES }, behavior: 'Removed', invert: true },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab, merges, unk_token: unk, end_of_word_suffix: END_OF_WORD },
  };
  const model = new TokenizerModel(json, { clean_up_tokenization_spaces: false });
  model.normalizer = new ClipNormalizer({ type: 'Lowercase' });
  return model;
}

/**
 * CLIP's byte-pair encoding as Stable Diffusion's pipelines use it, equal to transformers' CLIPTokenizer. Made from
 * vocab.json and merges.txt, or from a tokenizer.json's vocabulary and merges.
 */
export class ClipTokenizer {
  readonly bosId: number;
  readonly eosId: number;
  readonly padId: number;
  /** Tokens of a prompt with start, end and padding. */
  readonly maxLength: number;
  readonly #model: TokenizerModel;

  private constructor(model: TokenizerModel, ids: { bos: number; eos: number; pad: number }, maxLength: number) {
    this.#model = model;
    this.bosId = ids.bos;
    this.eosId = ids.eos;
    this.padId = ids.pad;
    this.maxLength = maxLength;
  }

  /**
   * @param subfolder e.g. 'tokenizer' or 'tokenizer_2'
   * @param padToken instead of the folder's: SDXL's two encoders share a vocabulary, and pad differently
   * Throws UserError where the files are missing or do not belong to a CLIP tokenizer.
   */
  static async load(
    folder: ModelFolder,
    subfolder = 'tokenizer',
    { padToken }: { padToken?: string } = {},
  ): Promise<ClipTokenizer> {
    const at = (name: string): string => (subfolder === '' ? name : `${subfolder}/${name}`);
    const has = (name: string): boolean => folder.files.includes(at(name));
    const config = has('tokenizer_config.json') ? await readJson(folder, at('tokenizer_config.json')) : {};
    const map = has('special_tokens_map.json') ? await readJson(folder, at('special_tokens_map.json')) : {};
    const settings: Record<string, unknown> = { ...(isJsonObject(map) && map), ...(isJsonObject(config) && config) };
    if (padToken !== undefined) settings['pad_token'] = padToken;

    let vocab: unknown;
    let merges: readonly unknown[] = [];
    const added = new Map<string, AddedToken>();
    if (has('vocab.json') && has('merges.txt')) {
      vocab = await readJson(folder, at('vocab.json'));
      merges = mergeLines(await readText(folder, at('merges.txt')));
    } else if (has('tokenizer.json')) {
      const json = await readJson(folder, at('tokenizer.json'));
      const model = isJsonObject(json) && isJsonObject(json['model']) ? json['model'] : {};
      vocab = model['vocab'];
      if (Array.isArray(model['merges'])) merges = model['merges'];
      if (isJsonObject(json)) collect(json['added_tokens'], added);
    } else {
      throw new UserError(
        `“${folder.name}” has no tokenizer: ${at('vocab.json')} and ${at('merges.txt')}, or ${at('tokenizer.json')}, are missing. Add the tokenizer of the same model.`,
      );
    }
    const broken = (why: string): UserError =>
      new UserError(`The tokenizer in ${at('')} of “${folder.name}” cannot be used: ${why}. Download it again.`);
    if (!isVocab(vocab)) throw broken('its vocabulary is not a list of tokens with numbers');
    if (merges.length === 0 || !merges.every(isMerge)) throw broken('it has no usable merges');
    const known = vocab;

    const decoder = settings['added_tokens_decoder'];
    if (isJsonObject(decoder)) {
      collect(
        Object.entries(decoder).map(([id, token]) => (isJsonObject(token) ? { ...token, id: Number(id) } : token)),
        added,
      );
    }
    // A token given as plain text is looked for as it stands, in upper and lower case; the later of two entries decides.
    const special = (name: string, fallback: string): number => {
      const value = settings[name] ?? fallback;
      const content = isJsonObject(value) ? value['content'] : value;
      const id = typeof content === 'string' ? (added.get(content)?.id ?? known[content]) : undefined;
      if (typeof content !== 'string' || id === undefined) throw broken(`its ${name} is not in its vocabulary`);
      const listed = isJsonObject(decoder) && added.has(content);
      if (!listed)
        added.set(content, { id, content, normalized: isJsonObject(value) && value['normalized'] !== false });
      return id;
    };
    const ids = { bos: special('bos_token', BOS), eos: special('eos_token', EOS), unk: special('unk_token', EOS) };
    const pad = special('pad_token', EOS);
    const length = settings['model_max_length'];
    const maxLength =
      typeof length === 'number' && length >= 2 && length <= 100_000 ? Math.floor(length) : USUAL_LENGTH;
    const unk = [...added.values()].find(({ id }) => id === ids.unk)!.content;
    return new ClipTokenizer(modelOf({ vocab: known, merges, added, unk }), { ...ids, pad }, maxLength);
  }

  /** The tokens of a text, however many, without start and end. */
  tokens(text: string): number[] {
    return text === '' ? [] : this.#model.encode(text, { add_special_tokens: false }).ids;
  }

  /** What a text encoder is given: start, the text cut where it is too long, end, and padding; [maxLength]. */
  encode(text: string): Uint32Array<ArrayBuffer> {
    const ids = new Uint32Array(this.maxLength).fill(this.padId);
    const kept = this.tokens(text).slice(0, this.maxLength - 2);
    ids.set([this.bosId, ...kept, this.eosId]);
    return ids;
  }

  /** Tokens of a text with start and end, before anything is cut. */
  count(text: string): number {
    return this.tokens(text).length + 2;
  }

  /** The end of a text that the encoder does not see; '' where all fits. */
  cutOff(text: string): string {
    return this.decode(this.tokens(text).slice(this.maxLength - 2));
  }

  decode(ids: ArrayLike<number>, { skipSpecialTokens = false }: { skipSpecialTokens?: boolean } = {}): string {
    const known = Array.from(ids).filter((id) => this.#model.id_to_token(id) !== undefined);
    if (known.length === 0) return '';
    return this.#model
      .decode(known, { skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: false })
      .trim();
  }
}

function collect(list: unknown, into: Map<string, AddedToken>): void {
  for (const token of Array.isArray(list) ? (list as unknown[]) : []) {
    if (!isJsonObject(token)) continue;
    const { id, content, normalized } = token;
    if (typeof content === 'string' && content !== '' && typeof id === 'number' && Number.isSafeInteger(id) && id >= 0)
      into.set(content, { id, content, normalized: normalized === true });
  }
}

function isVocab(value: unknown): value is Record<string, number> {
  return (
    isJsonObject(value) &&
    Object.values(value).every((id) => typeof id === 'number' && Number.isSafeInteger(id) && id >= 0 && id < 2 ** 24)
  );
}

const isMerge = (value: unknown): boolean =>
  typeof value === 'string' ? value.split(' ').length === 2 : Array.isArray(value) && value.length === 2;

/** OpenAI's file begins with its version; a blank line ends it. */
function mergeLines(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#version'));
}
