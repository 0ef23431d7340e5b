import { UserError } from '../../common/errors.ts';
import type { Message } from '../../datasets/voice/rows.ts';
import { isTrained } from '../../datasets/voice/rows.ts';
import { LimitedTemplate } from './limited-template.ts';
import {
  contentForms,
  foldSystem,
  mergeTurns,
  neighboursOf,
  placesOf,
  sharedLength,
  THINK_END,
  thinking,
  unusedMarks,
} from './conversation-forms.ts';
import { callOwnStrip, STRIP_FUNCTIONS } from './template-strip.ts';

/**
 * What messages become for a model without a chat template, where that is asked for:
 * "<bos>You are kind.\nUser: Hello\nAssistant: Hi!<eos>\n", and to generate "…User: Hello\nAssistant:".
 */
export const PLAIN_TEMPLATE =
  '{{ bos_token }}{% for message in messages %}' +
  "{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n' }}" +
  "{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + eos_token + '\\n' }}" +
  "{% else %}{{ message['content'] + '\\n' }}{% endif %}{% endfor %}" +
  "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

/** Characters [start, end) of a rendered conversation that carry loss, and the message they come from. */
export interface CharSpan {
  start: number;
  end: number;
  message: number;
}

export interface RenderedConversation {
  text: string;
  /** Ascending, not overlapping. */
  spans: CharSpan[];
}

/** One message's place in a rendering in which contents were replaced by marks: the text before it, and what follows. */
interface Piece {
  message: number;
  /** Rendered text between the piece before (or the beginning) and this content. */
  before: string;
  /** How many of the last characters of `before` the model has to say itself (after the generation prompt). */
  said: number;
  /** How many of the characters after the content belong to the turn: up to and with its end-of-turn token. */
  closing: number;
}

const TOO_LONG =
  "The model's chat template writes this conversation so that its turns can only be found by writing it many times over. Split it into shorter ones.";

type Edges = Pick<Piece, 'said' | 'closing'>;

interface Skeleton {
  pieces: Piece[];
  after: string;
}

const GENERATION_TAG = /\{%(-?)\s*(end)?generation\s*(-?)%\}/g;
/** Conversations of up to so many messages are measured turn by turn against the whole of them. */
const FEW_TURNS = 16;
/** Messages put into words again to measure a longer conversation whose turns look different among their neighbours alone. */
const MOST_MESSAGES = 400_000;

/**
 * A model's chat template: messages to text, and which of its characters carry the loss.
 *
 * Where the template marks the assistant's words with {% generation %}, the marks decide. Otherwise they are found by
 * rendering: a trained turn begins where the generation prompt for it ends (so that what a model has to say before its
 * answer, such as Qwen3's empty <think> block, is learnt with it), and ends with the special token that the template
 * puts after the turn whether or not another follows.
 */
export class ChatTemplate {
  readonly #template: LimitedTemplate;
  readonly #marked: ((open: string, close: string) => LimitedTemplate) | null;
  readonly #variables: Readonly<Record<string, string>>;
  readonly #addedTokens: readonly string[];
  readonly #skeletons = new Map<string, Skeleton>();

  /** variables: bos_token and the like; addedTokens: contents of tokens that text is split at. */
  constructor(given: string, variables: Readonly<Record<string, string>>, addedTokens: readonly string[]) {
    // As jinja2 reads it: every line end of a source is a newline.
    const source = given.replace(/\r\n?/g, '\n');
    this.#template = compile(source);
    this.#variables = variables;
    this.#addedTokens = [...addedTokens].filter((token) => token !== '').sort((a, b) => b.length - a.length);
    // An `if` keeps the tag's own white-space control, which an expression in its place would not.
    const mark = (open: string, close: string): string =>
      source.replace(GENERATION_TAG, (_, left: string, end: string | undefined, right: string) => {
        return `{%${left} if true %}{{ "${end ? close : open}" }}{% endif ${right}%}`;
      });
    GENERATION_TAG.lastIndex = 0;
    this.#marked = GENERATION_TAG.test(source) ? (open, close) => compile(mark(open, close)) : null;
    GENERATION_TAG.lastIndex = 0;
  }

  #run(messages: readonly Message[], generationPrompt: boolean, template = this.#template): string {
    return template.render({
      ...STRIP_FUNCTIONS,
      ...this.#variables,
      messages: messages.map(({ role, content, name }) =>
        name === undefined ? { role, content } : { role, content, name },
      ),
      add_generation_prompt: generationPrompt,
      tools: null,
      documents: null,
    });
  }

  /** The messages in the form the template accepts, and its rendering of them. */
  #accepted(messages: readonly Message[], generationPrompt: boolean): { messages: readonly Message[]; text: string } {
    if (messages.length === 0) throw new UserError('A conversation without messages cannot be put into words.');
    let refusal = '';
    for (const attempt of [messages, foldSystem(messages), mergeTurns(messages), mergeTurns(foldSystem(messages))]) {
      try {
        return { messages: attempt, text: this.#run(attempt, generationPrompt) };
      } catch (error) {
        // A template that does not end is no refusal.
        if (error instanceof UserError) throw error;
        // The first refusal speaks of the conversation as it was given.
        refusal ||= error instanceof Error ? error.message : String(error);
      }
    }
    const roles = messages
      .slice(0, 6)
      .map((message) => message.role)
      .join(', ');
    throw new UserError(
      `The model's chat template does not take this conversation (${roles}${messages.length > 6 ? ', …' : ''}): ` +
        `${refusal.slice(0, 200).replace(/\.$/, '')}. Change the order of its turns or leave it out.`,
    );
  }

  /**
   * Text of the messages. Where a template refuses a system message, it is put before the first user message with a
   * blank line between; where it refuses two turns of one role in a row, they are joined with a line break. Throws
   * UserError where it refuses even then.
   */
  render(messages: readonly Message[], generationPrompt = false): string {
    return this.#accepted(messages, generationPrompt).text;
  }

  /** Text of a whole conversation and the characters that carry loss. Throws UserError where that cannot be told. */
  renderTrained(given: readonly Message[]): RenderedConversation {
    const { messages, text } = this.#accepted(given, false);
    const spans = (this.#marked && this.#spansByMarks(messages, text)) ?? this.#spansByRendering(messages, text);
    return { text, spans };
  }

  /** Whether a text ends with a token of its own, such as one that ends a turn. */
  endsWithToken(text: string): boolean {
    return this.#addedTokens.some((token) => text.endsWith(token));
  }

  /** Null where the marks do not stand for exactly the assistant's turns, or a turn of another role is to be learnt. */
  #spansByMarks(messages: readonly Message[], text: string): CharSpan[] | null {
    const turns = messages.flatMap((message, i) => (message.role === 'assistant' ? [i] : []));
    if (messages.some((message) => message.role !== 'assistant' && isTrained(message))) return null;
    const [open, close] = unusedMarks(messages, 2) as [string, string];
    const rendered = this.#run(messages, false, this.#marked!(open, close));
    const spans: CharSpan[] = [];
    let clean = '';
    for (const [i, piece] of rendered.split(open).entries()) {
      const [inside = '', outside = ''] = piece.split(close);
      if (i === 0) clean = inside;
      else {
        spans.push({ start: clean.length, end: clean.length + inside.length, message: turns[i - 1] ?? -1 });
        clean += inside + outside;
      }
    }
    if (clean !== text || spans.length !== turns.length) return null;
    // Marks that leave out the end-of-turn token would teach a model that never stops.
    if (!spans.every((span) => this.endsWithToken(text.slice(span.start, span.end)))) return null;
    return spans.filter((span) => isTrained(messages[span.message]!) && span.end > span.start);
  }

  #spansByRendering(messages: readonly Message[], text: string): CharSpan[] {
    const all = new Set(messages.keys());
    const trained = new Set(messages.flatMap((message, i) => (isTrained(message) ? [i] : [])));
    if (trained.size === 0) return [];
    // With every content replaced the form depends on the roles alone and can be kept. A template that looks into
    // contents may need the others as they are.
    const spans =
      this.#match(messages, text, this.#skeleton(messages, all)) ??
      this.#match(messages, text, this.#skeleton(messages, trained));
    if (!spans) {
      throw new UserError(
        'The chat template rewrites the words of this conversation so that the turns to be learnt cannot be found in ' +
          'it. Remove unusual markup from its messages, or leave it out.',
      );
    }
    return spans;
  }

  #skeleton(messages: readonly Message[], replaced: ReadonlySet<number>): Skeleton {
    const general = replaced.size === messages.length && !messages.some(({ content }) => content.includes(THINK_END));
    const key = messages.map((message) => `${message.role} ${isTrained(message)} ${message.name ?? ''}`).join('\n');
    const known = general ? this.#skeletons.get(key) : undefined;
    if (known) return known;
    const skeleton = this.#measure(messages, replaced);
    if (general) {
      if (this.#skeletons.size > 200) this.#skeletons.clear();
      this.#skeletons.set(key, skeleton);
    }
    return skeleton;
  }

  #measure(messages: readonly Message[], replaced: ReadonlySet<number>): Skeleton {
    const [mark] = unusedMarks(messages, 1) as [string];
    const markOf = (i: number): string => `${mark}${i}${mark}`;
    const marked = messages.map((message, i) =>
      // What a model thought before it answered stays: templates treat it differently from the answer.
      replaced.has(i) ? { ...message, content: thinking(message.content) + markOf(i) } : message,
    );
    const full = this.#run(marked, false);
    const places = placesOf(full, mark);
    const neighbours = messages.length > FEW_TURNS ? this.#neighbours(marked, mark) : undefined;
    let rendered = 0;
    const pieces = places.map(({ message, start, end }, i): Piece => {
      const before = full.slice(places[i - 1]?.end ?? 0, start);
      const following = full.slice(end, places[i + 1]?.start ?? full.length);
      if (!isTrained(messages[message]!)) return { message, before, said: 0, closing: 0 };
      let edges = neighbours?.(message, before, following);
      if (!edges) {
        rendered += neighbours ? 2 * message : 0;
        if (rendered > MOST_MESSAGES) throw new UserError(TOO_LONG);
        edges = this.#edges(marked, message, { full, start, following, mark: markOf(message) });
      }
      return { message, before, said: Math.min(edges.said, before.length), closing: edges.closing };
    });
    return { pieces, after: full.slice(places.at(-1)?.end ?? 0) };
  }

  #edges(
    marked: readonly Message[],
    message: number,
    { full, start, following, mark }: { full: string; start: number; following: string; mark: string },
  ): Edges {
    return {
      said: marked[message]!.role === 'assistant' ? this.#said(marked, message, full, start) : 0,
      closing: this.#closing(marked, message, mark, following),
    };
  }

  /**
   * Measures turns of a long conversation among their neighbours alone, so that its cost grows with its length and not with
   * its square. Undefined for a turn that looks different there than in the whole.
   */
  #neighbours(
    marked: readonly Message[],
    mark: string,
  ): (message: number, before: string, following: string) => Edges | undefined {
    const measured = new Map<string, (Edges & { before: string; following: string }) | undefined>();
    return (message, before, following) => {
      const { part, at, key } = neighboursOf(marked, message, mark);
      if (!measured.has(key)) measured.set(key, this.#measureAmong(part, at, mark));
      const among = measured.get(key);
      return among?.before === before && among.following === following ? among : undefined;
    };
  }

  #measureAmong(
    part: readonly Message[],
    at: number,
    mark: string,
  ): (Edges & { before: string; following: string }) | undefined {
    const numbered = part.map((message, i) => ({
      ...message,
      content: `${thinking(message.content)}${mark}${i}${mark}`,
    }));
    try {
      const full = this.#run(numbered, false);
      const places = placesOf(full, mark);
      const i = places.findIndex(({ message }) => message === at);
      const place = places[i];
      if (!place) return undefined;
      const before = full.slice(places[i - 1]?.end ?? 0, place.start);
      const following = full.slice(place.end, places[i + 1]?.start ?? full.length);
      const edges = this.#edges(numbered, at, { full, start: place.start, following, mark: `${mark}${at}${mark}` });
      return { ...edges, before, following };
    } catch (error) {
      if (error instanceof UserError) throw error;
      // The template does not take this part by itself.
      return undefined;
    }
  }

  /** Characters between the end of the generation prompt for a turn and its content. */
  #said(marked: readonly Message[], message: number, full: string, contentStart: number): number {
    let prompt: string;
    try {
      prompt = this.#run(marked.slice(0, message), true);
    } catch (error) {
      if (error instanceof UserError) throw error;
      // E.g. a conversation that the assistant begins: nothing comes before its words.
      return 0;
    }
    const shared = sharedLength(prompt, full);
    const begun = marked.slice(0, message).every(({ role }) => role === 'system');
    if (begun && shared < prompt.length) {
      // Templates write the beginning otherwise where nobody has spoken yet; the heading of an answer is the same.
      const heading = this.#heading();
      const at = heading === '' ? -1 : full.slice(0, contentStart).lastIndexOf(heading);
      if (at >= 0) return contentStart - at - heading.length;
    }
    // A prompt that goes on differently (one that opens a <think> block, say) ends where they part.
    return Math.max(0, contentStart - Math.min(shared, contentStart));
  }

  /** What the template writes where an answer is asked for; '' where that cannot be told. */
  #heading(): string {
    const asked: Message[] = [{ role: 'user', content: 'a' }];
    try {
      const [open, prompt] = [this.#run(asked, false), this.#run(asked, true)];
      return prompt.startsWith(open) ? prompt.slice(open.length) : '';
    } catch (error) {
      if (error instanceof UserError) throw error;
      return '';
    }
  }

  /** Characters of `following` that close a turn: through the first special token that comes also where the turn is the last. */
  #closing(marked: readonly Message[], message: number, mark: string, following: string): number {
    let closed = following;
    if (message < marked.length - 1) {
      const last = this.#run(marked.slice(0, message + 1), false);
      const at = last.lastIndexOf(mark);
      closed = following.slice(0, at < 0 ? 0 : sharedLength(following, last.slice(at + mark.length)));
    }
    const blank = closed.length - closed.trimStart().length;
    const token = this.#addedTokens.find((content) => closed.startsWith(content, blank));
    return token === undefined ? 0 : blank + token.length;
  }

  /** Puts the true contents between a skeleton's parts; null where the text is not made that way. */
  #match(messages: readonly Message[], text: string, { pieces, after }: Skeleton): CharSpan[] | null {
    const spans: CharSpan[] = [];
    let position = 0;
    for (const [i, { message, before, said, closing }] of pieces.entries()) {
      if (!text.startsWith(before, position)) return null;
      position += before.length;
      const next = pieces[i + 1]?.before ?? after;
      const isLast = i === pieces.length - 1;
      const content = contentForms(messages[message]!.content).find((form) => {
        if (!text.startsWith(form, position)) return false;
        const end = position + form.length;
        return isLast ? text.slice(end) === next : text.startsWith(next, end);
      });
      if (content === undefined) return null;
      const start = position - said;
      position += content.length;
      if (isTrained(messages[message]!)) spans.push({ start, end: position + closing, message });
    }
    const found = new Set(spans.map((span) => span.message));
    const wanted = messages.filter(isTrained).length;
    return found.size === spans.length && found.size === wanted ? spans : null;
  }
}

function compile(source: string): LimitedTemplate {
  try {
    return new LimitedTemplate(source, callOwnStrip);
  } catch (error) {
    throw new UserError(
      `The model's chat template cannot be read: ${error instanceof Error ? error.message.slice(0, 200) : 'it is broken'}.`,
    );
  }
}
