import { ByteFallbackDecoder, SequenceDecoder, Tokenizer as TokenizerModel } from '@huggingface/tokenizers';
import { UserError } from '../../common/errors.ts';
import type { Message, TrainingRow } from '../../datasets/voice/rows.ts';
import { ChatTemplate, PLAIN_TEMPLATE } from './chat-template.ts';
import type { CharSpan } from './chat-template.ts';
import type { ModelFolder } from '../files/folder.ts';
import { readJson, readText } from '../files/folder.ts';
import { IGNORED_LABEL } from '../../common/ignored-label.ts';
import { isJsonObject } from '../../common/json.ts';
import { TextStream } from './text-stream.ts';

/** Tokens [start, end) of a row that carry loss, and which message they come from (-1 in rows without messages). */
export interface TrainedSpan {
  start: number;
  end: number;
  message: number;
}

/** A row as the model is trained on it. */
export interface EncodedRow {
  inputIds: Int32Array<ArrayBuffer>;
  /**
   * The input id where the token carries loss, IGNORED_LABEL elsewhere. Not shifted, as in transformers; the first
   * token never carries loss, since nothing comes before it.
   */
  labels: Int32Array<ArrayBuffer>;
  spans: TrainedSpan[];
}

export interface ConversationOptions {
  /** For a model without a chat template: write "User: …\nAssistant: …" (PLAIN_TEMPLATE) instead of throwing. */
  fallbackTemplate?: boolean;
}

type SpecialName = 'bos_token' | 'eos_token' | 'pad_token' | 'unk_token';
const SPECIAL_NAMES: readonly SpecialName[] = ['bos_token', 'eos_token', 'pad_token', 'unk_token'];

interface Parts {
  model: TokenizerModel;
  special: Partial<Record<SpecialName, string>>;
  generation: Record<string, unknown>;
  chatTemplate: string | null;
}

/** A model folder's tokenizer.json with its chat template. */
export class Tokenizer {
  /** Null where the model has none. */
  readonly bosId: number | null;
  /** End of a text: the tokenizer's eos_token, else the first of generation_config's. */
  readonly eosId: number | null;
  readonly padId: number | null;
  /** Tokens at which generation stops: generation_config's eos_token_id (one or several), else eosId. */
  readonly stopIds: readonly number[];
  readonly hasChatTemplate: boolean;
  /** One more than the highest token id. */
  readonly vocabSize: number;
  readonly #model: TokenizerModel;
  readonly #cleanUp: boolean;
  readonly #template: ChatTemplate | null;
  readonly #plainTemplate: ChatTemplate;
  readonly #cutters: RegExp | null;
  #probe: number[] | undefined;

  private constructor({ model, special, generation, chatTemplate }: Parts, cleanUp: boolean) {
    this.#model = model;
    this.#cutters = cutExpression(model);
    this.#cleanUp = cleanUp;
    const idOf = (name: SpecialName): number | null => model.token_to_id(special[name] ?? '') ?? null;
    this.bosId = idOf('bos_token') ?? firstId(generation['bos_token_id']);
    const generationStops = idList(generation['eos_token_id']);
    this.eosId = idOf('eos_token') ?? generationStops[0] ?? null;
    this.padId = idOf('pad_token') ?? firstId(generation['pad_token_id']);
    this.stopIds = generationStops.length > 0 ? generationStops : this.eosId === null ? [] : [this.eosId];
    this.vocabSize = [...model.get_vocab().values()].reduce((most, id) => Math.max(most, id + 1), 0);
    const added = [...model.get_added_tokens_decoder().values()].map((token) => token.content);
    this.hasChatTemplate = chatTemplate !== null;
    this.#template = chatTemplate === null ? null : new ChatTemplate(chatTemplate, special, added);
    const text = (id: number | null): string => (id === null ? '' : (model.id_to_token(id) ?? ''));
    const plain = { bos_token: text(this.bosId), eos_token: text(this.eosId) };
    this.#plainTemplate = new ChatTemplate(PLAIN_TEMPLATE, plain, added);
  }

  /** Throws UserError where tokenizer.json is missing or broken. */
  static async load(folder: ModelFolder): Promise<Tokenizer> {
    if (!folder.files.includes('tokenizer.json')) {
      throw new UserError(`“${folder.name}” has no tokenizer.json. Choose a version of the model that has one.`);
    }
    const optional = async (path: string): Promise<Record<string, unknown>> => {
      if (!folder.files.includes(path)) return {};
      const value = await readJson(folder, path);
      if (!isJsonObject(value))
        throw new UserError(`${path} in “${folder.name}” is not a JSON object. Download it again.`);
      return value;
    };
    const json = await readJson(folder, 'tokenizer.json');
    const config = await optional('tokenizer_config.json');
    const map = await optional('special_tokens_map.json');
    const generation = await optional('generation_config.json');
    const special: Partial<Record<SpecialName, string>> = {};
    for (const name of SPECIAL_NAMES) {
      const text = tokenText(config[name]) ?? tokenText(map[name]);
      if (text !== null) special[name] = text;
    }
    // A list that stands in the model's configuration alone counts, as where transformers makes one from the other.
    const own = await optional('config.json');
    const text = isJsonObject(own['text_config']) ? own['text_config'] : {};
    generation['eos_token_id'] ??= own['eos_token_id'] ?? text['eos_token_id'];
    const chatTemplate = await readChatTemplate(folder, config, optional);
    let model: TokenizerModel;
    try {
      model = new TokenizerModel(asTransformersReads(json, config), config);
      keepByteOrderMarks(model);
      model.encode('a');
    } catch (error) {
      const why = error instanceof Error ? error.message.slice(0, 160) : 'unknown reason';
      throw new UserError(
        `tokenizer.json in “${folder.name}” cannot be used: ${why}. Download it again, or choose another base.`,
      );
    }
    return new Tokenizer({ model, special, generation, chatTemplate }, config['clean_up_tokenization_spaces'] === true);
  }

  /** addSpecialTokens (default true): what the tokenizer puts around every text, such as a beginning-of-text token. */
  encode(text: string, { addSpecialTokens = true }: { addSpecialTokens?: boolean } = {}): Int32Array<ArrayBuffer> {
    if (text === '' && !addSpecialTokens) return new Int32Array(0);
    return Int32Array.from(this.#model.encode(text, { add_special_tokens: addSpecialTokens }).ids);
  }

  decode(ids: ArrayLike<number>, { skipSpecialTokens = false }: { skipSpecialTokens?: boolean } = {}): string {
    // Models have more output rows than their tokenizer has tokens; like the Python tokenizer, pass over those.
    const known = Array.from(ids).filter((id) => this.#model.id_to_token(id) !== undefined);
    if (known.length === 0) return '';
    return this.#model.decode(known, {
      skip_special_tokens: skipSpecialTokens,
      clean_up_tokenization_spaces: this.#cleanUp,
    });
  }

  /** One token's text as it stands in the middle of a text (a part of a character shows as �). */
  tokenText(id: number): string {
    // Decoded behind another token: at the beginning some decoders drop a space.
    this.#probe ??= [this.encode('a', { addSpecialTokens: false }).at(-1) ?? id];
    const before = this.decode(this.#probe);
    return this.decode([...this.#probe, id]).slice(before.length);
  }

  /** Decodes tokens as they come. */
  stream({ skipSpecialTokens = true }: { skipSpecialTokens?: boolean } = {}): TextStream {
    return new TextStream((ids) => this.decode(ids, { skipSpecialTokens }));
  }

  #chat({ fallbackTemplate = false }: ConversationOptions): ChatTemplate {
    if (this.#template) return this.#template;
    if (fallbackTemplate) return this.#plainTemplate;
    throw new UserError(
      'This base has no chat template, so it does not say how a conversation is written. Choose a base made for chat ' +
        '(often named “Instruct”), allow the plain form “User: … Assistant: …”, or use text without turns.',
    );
  }

  /** Text of the messages as the model was taught to read them. See ChatTemplate.render for what it does with refusals. */
  applyChatTemplate(
    messages: readonly Message[],
    { addGenerationPrompt = false, ...options }: ConversationOptions & { addGenerationPrompt?: boolean } = {},
  ): string {
    return this.#chat(options).render(messages, addGenerationPrompt);
  }

  /** Tokens of a conversation ending where the assistant is to speak. The template brings its own special tokens. */
  encodePrompt(messages: readonly Message[], options: ConversationOptions = {}): Int32Array<ArrayBuffer> {
    const text = this.applyChatTemplate(messages, { ...options, addGenerationPrompt: true });
    return this.encode(text, { addSpecialTokens: false });
  }

  /**
   * A conversation with loss on its trained turns and the token that ends each. Where the template puts none behind the
   * last turn, the end-of-text token takes its place, so that the model learns to stop. Throws UserError as ChatTemplate
   * does.
   */
  encodeConversation(messages: readonly Message[], options: ConversationOptions = {}): EncodedRow {
    const chat = this.#chat(options);
    const { text, spans } = chat.renderTrained(messages);
    const last = spans.at(-1);
    const end = this.eosId === null ? '' : (this.#model.id_to_token(this.eosId) ?? '');
    const isOpen = last && text.slice(last.end).trim() === '' && !chat.endsWithToken(text.slice(last.start, last.end));
    if (!isOpen || end === '') return this.#encodeSpans(text, spans, false);
    const closed = [...spans.slice(0, -1), { ...last, end: last.end + end.length }];
    return this.#encodeSpans(text.slice(0, last.end) + end, closed, false);
  }

  /** A text of its own, learnt whole, closed with the end-of-text token. */
  encodeText(text: string): EncodedRow {
    return this.#encodeSpans(text, [{ start: 0, end: text.length, message: -1 }], true);
  }

  /** Plain text without a template; the completion and the end-of-text token behind it are learnt. */
  encodeCompletion(prompt: string, completion: string): EncodedRow {
    const text = prompt + completion;
    return this.#encodeSpans(text, [{ start: prompt.length, end: text.length, message: -1 }], true);
  }

  encodeRow(row: TrainingRow, options: ConversationOptions = {}): EncodedRow {
    switch (row.kind) {
      case 'text':
        return this.encodeText(row.text);
      case 'completion':
        return this.encodeCompletion(row.prompt, row.completion);
      case 'messages':
        return this.encodeConversation(row.messages, options);
    }
  }

  /** whole: the text is one document, with the special tokens around it and an end-of-text token that is learnt. */
  #encodeSpans(text: string, charSpans: readonly CharSpan[], whole: boolean): EncodedRow {
    const chunks = whole ? [{ start: 0, text, ids: this.encode(text), first: 0 }] : this.#encodeChunks(text);
    const last = chunks.at(-1);
    const length = last ? last.first + last.ids.length : 0;
    const closing = whole && this.eosId !== null && last?.ids.at(-1) !== this.eosId ? [this.eosId] : [];
    const inputIds = new Int32Array(length + closing.length);
    for (const { ids, first } of chunks) inputIds.set(ids, first);
    inputIds.set(closing, length);
    const spans = charSpans.map(({ start, end, message }): TrainedSpan => {
      const from = start === 0 ? 0 : this.#tokensBefore(chunks, start, whole).clean;
      const to = whole ? inputIds.length : this.#tokensBefore(chunks, end, whole).touched;
      return { start: Math.max(from, 1), end: to, message };
    });
    const labels = new Int32Array(inputIds.length).fill(IGNORED_LABEL);
    const kept = spans.filter((span) => span.end > span.start);
    for (const { start, end } of kept) labels.set(inputIds.subarray(start, end), start);
    return { inputIds, labels, spans: kept };
  }

  /** The tokens of a text, cut where an added token begins: nothing before it depends on what comes after. */
  #encodeChunks(text: string): Chunk[] {
    const cuts = this.#cutters === null ? [] : Array.from(text.matchAll(this.#cutters), (match) => match.index);
    const starts = [0, ...cuts.filter((cut) => cut > 0)];
    const chunks: Chunk[] = [];
    let first = 0;
    for (const [i, start] of starts.entries()) {
      const part = text.slice(start, starts[i + 1]);
      const ids = this.encode(part, { addSpecialTokens: false });
      chunks.push({ start, text: part, ids, first });
      first += ids.length;
    }
    return chunks;
  }

  /**
   * Tokens before a character: those wholly before it (clean), and those that hold any character before it (touched;
   * one more where a token reaches across).
   */
  #tokensBefore(chunks: readonly Chunk[], position: number, whole: boolean): { clean: number; touched: number } {
    const chunk = chunks.findLast(({ start }) => start < position) ?? chunks[0];
    if (!chunk) return { clean: 0, touched: 0 };
    const { start, text, ids, first } = chunk;
    if (position >= start + text.length) return { clean: first + ids.length, touched: first + ids.length };
    const prefix = this.encode(text.slice(0, position - start), { addSpecialTokens: whole });
    let shared = 0;
    while (shared < prefix.length && shared < ids.length && prefix[shared] === ids[shared]) shared++;
    const touched = shared === prefix.length ? shared : Math.min(shared + 1, ids.length);
    return { clean: first + shared, touched: first + touched };
  }
}

/** A part of a text with its tokens; start counts characters, first counts tokens. */
interface Chunk {
  start: number;
  text: string;
  ids: Int32Array;
  first: number;
}

/** Finds the tokens that a text can be cut before; null where there are none. */
function cutExpression(model: TokenizerModel): RegExp | null {
  const contents = [...model.get_added_tokens_decoder().values()]
    // One that takes the white space before it, or that is found after normalising only, makes no clean cut.
    .filter((token) => !token.lstrip && !token.single_word && !token.normalized && token.content !== '')
    .map((token) => token.content)
    .sort((a, b) => b.length - a.length)
    .map((content) => content.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return contents.length === 0 ? null : new RegExp(contents.join('|'), 'g');
}

/** Runs of ▁ with the word behind them. */
const WORDS = { type: 'Split', pattern: { Regex: '\u2581*[^\u2581]+|\u2581+' }, behavior: 'Isolated', invert: false };

/**
 * transformers 5 sets up its LlamaTokenizer anew whatever normalizer the file has: a space before the text unless there
 * is one already. Other classes take tokenizer.json as it stands.
 *
 * Such tokenizers merge over the whole text at once, which is slow for a long one. Where no token reaches from one word
 * into the next, no merge does, and word by word gives the same tokens.
 */
function asTransformersReads(json: unknown, config: Record<string, unknown>): object {
  if (!isJsonObject(json) || !isJsonObject(json['model'])) throw new Error('it is not a tokenizer');
  const { byte_fallback: byteFallback, vocab } = json['model'];
  if (byteFallback !== true || !isJsonObject(vocab)) return json;
  const splits: object[] = Object.keys(vocab).some((token) => /[^\u2581]\u2581/.test(token)) ? [] : [WORDS];
  if (['LlamaTokenizer', 'LlamaTokenizerFast'].includes(String(config['tokenizer_class']))) {
    const scheme = config['add_prefix_space'] === false ? 'never' : config['legacy'] === true ? 'always' : 'first';
    const metaspace = { type: 'Metaspace', replacement: '\u2581', prepend_scheme: scheme, split: false };
    return { ...json, normalizer: null, pre_tokenizer: { type: 'Sequence', pretokenizers: [metaspace, ...splits] } };
  }
  const marksSpaces = JSON.stringify(json['normalizer'] ?? null).includes('"content":"\u2581"');
  return json['pre_tokenizer'] === null && marksSpaces && splits[0] ? { ...json, pre_tokenizer: splits[0] } : json;
}

/** The library's decoder of byte tokens drops a byte order mark from the middle of a text. */
function keepByteOrderMarks(model: TokenizerModel): void {
  const parts = model.decoder instanceof SequenceDecoder ? model.decoder.decoders : [model.decoder];
  for (const part of parts) {
    if (part instanceof ByteFallbackDecoder) part.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  }
}

async function readChatTemplate(
  folder: ModelFolder,
  config: Record<string, unknown>,
  optional: (path: string) => Promise<Record<string, unknown>>,
): Promise<string | null> {
  // The order of transformers: a file of its own wins over the configuration's field.
  if (folder.files.includes('chat_template.jinja')) return readText(folder, 'chat_template.jinja');
  const template = (await optional('chat_template.json'))['chat_template'] ?? config['chat_template'];
  if (typeof template === 'string') return template;
  if (!Array.isArray(template)) return null;
  const named = template.filter(isJsonObject).find((entry) => entry['name'] === 'default');
  return typeof named?.['template'] === 'string' ? named['template'] : null;
}

/** A special token stands as text or as an object with its content. */
function tokenText(value: unknown): string | null {
  const text = isJsonObject(value) ? value['content'] : value;
  return typeof text === 'string' && text !== '' ? text : null;
}

function idList(value: unknown): number[] {
  return (Array.isArray(value) ? value : [value]).filter((id): id is number => Number.isSafeInteger(id) && id >= 0);
}

function firstId(value: unknown): number | null {
  return idList(value)[0] ?? null;
}
