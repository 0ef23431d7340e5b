import { Tokenizer as TokenizerModel } from '@huggingface/tokenizers';
import { UserError } from '../../common/errors.ts';
import type { ModelFolder } from '../files/folder.ts';
import { readJson } from '../files/folder.ts';
import { isJsonObject } from '../../common/json.ts';
import { Tokenizer } from '../causal-lm/tokenizer.ts';
import { CharsMap } from './charsmap.ts';

const T5_CLASSES = ['T5Tokenizer', 'T5TokenizerFast'];

/**
 * Words by Unicode's white space, each behind a ▁, and no token across a ▁ : what transformers' T5Tokenizer sets up, whatever
 * the file says. (JavaScript's white space is another.)
 */
const PRE_TOKENIZER = {
  type: 'Sequence',
  pretokenizers: [
    { type: 'Split', pattern: { Regex: String.raw`\P{White_Space}+` }, behavior: 'Removed', invert: true },
    { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always', split: false },
    { type: 'Split', pattern: { Regex: '\u2581[^\u2581]*|[^\u2581]+' }, behavior: 'Removed', invert: true },
  ],
};

/** The tokenizer of a MusicGen's text encoder, equal to transformers' T5Tokenizer. */
export class MusicgenTokenizer {
  readonly padId: number;
  readonly #encode: (text: string) => readonly number[] | Int32Array;

  private constructor(encode: (text: string) => readonly number[] | Int32Array, padId: number) {
    this.#encode = encode;
    this.padId = padId;
  }

  /** Throws UserError where tokenizer.json is missing or broken. */
  static async load(folder: ModelFolder): Promise<MusicgenTokenizer> {
    if (!folder.files.includes('tokenizer.json')) {
      const other = folder.files.includes('spiece.model') ? ' (spiece.model alone is not read)' : '';
      throw new UserError(
        `“${folder.name}” has no tokenizer.json${other}. Choose a version of the model that has one.`,
      );
    }
    const settings = folder.files.includes('tokenizer_config.json')
      ? await readJson(folder, 'tokenizer_config.json')
      : {};
    const config = isJsonObject(settings) ? settings : {};
    const name = config['tokenizer_class'] ?? T5_CLASSES[0]!;
    if (typeof name !== 'string' || !T5_CLASSES.includes(name)) {
      const tokenizer = await Tokenizer.load(folder);
      return new MusicgenTokenizer((text) => tokenizer.encode(text), tokenizer.padId ?? 0);
    }
    const broken = (why: string): UserError =>
      new UserError(`tokenizer.json in “${folder.name}” cannot be used: ${why}. Download it again.`);
    const json = await readJson(folder, 'tokenizer.json');
    const model = isJsonObject(json) ? json['model'] : undefined;
    if (!isJsonObject(json) || !isJsonObject(model) || model['type'] !== 'Unigram' || !isVocab(model['vocab']))
      throw broken('it is no list of word pieces with their scores, as a T5 has');
    const vocab = model['vocab'];
    const idOf = (field: string, fallback: string): number => {
      const value = config[field] ?? fallback;
      const content = isJsonObject(value) ? value['content'] : value;
      const id = vocab.findIndex(([piece]) => piece === content);
      if (id < 0) throw broken(`its ${field} is not in its vocabulary`);
      return id;
    };
    const eosId = idOf('eos_token', '</s>');
    const padId = idOf('pad_token', '<pad>');
    try {
      const plain = {
        added_tokens: Array.isArray(json['added_tokens']) ? json['added_tokens'] : [],
        normalizer: null,
        pre_tokenizer: PRE_TOKENIZER,
        post_processor: null,
        decoder: null,
        // transformers' class always takes the third piece for what it does not know.
        model: { ...model, unk_id: 2 },
      };
      const tokenizer = new TokenizerModel(plain, { eos_token: vocab[eosId]![0] });
      const charsMap = findCharsMap(json['normalizer']);
      if (charsMap !== undefined) tokenizer.normalizer = new CharsMap(charsMap);
      tokenizer.encode('a', { add_special_tokens: false });
      const encode = (text: string): number[] =>
        text === '' ? [eosId] : [...tokenizer.encode(text, { add_special_tokens: false }).ids, eosId];
      return new MusicgenTokenizer(encode, padId);
    } catch (error) {
      throw broken(error instanceof Error ? error.message.slice(0, 160) : 'unknown reason');
    }
  }

  /** The tokens of a text with the one that ends it. */
  encode(text: string): Int32Array<ArrayBuffer> {
    return Int32Array.from(this.#encode(text));
  }
}

function isVocab(value: unknown): value is [string, number][] {
  return (
    Array.isArray(value) &&
    value.length > 2 &&
    value.every(
      (entry: unknown) =>
        Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'number' && entry.length === 2,
    )
  );
}

/** transformers keeps the compiled normaliser of a file and nothing else. */
function findCharsMap(normalizer: unknown): string | undefined {
  if (!isJsonObject(normalizer)) return undefined;
  const list: unknown = normalizer['type'] === 'Sequence' ? normalizer['normalizers'] : [normalizer];
  for (const each of Array.isArray(list) ? (list as unknown[]) : []) {
    if (isJsonObject(each) && each['type'] === 'Precompiled' && typeof each['precompiled_charsmap'] === 'string')
      return each['precompiled_charsmap'];
  }
  return undefined;
}
