import type { Message, Role, SkipReason } from '../rows.ts';
import { hasSomethingToLearn, isTrained } from '../rows.ts';
import type { Fields, Note, Reading } from './shape.ts';
import { isBlank, isFields, skip } from './shape.ts';

/** The speakers' names that data sets use (ShareGPT, OpenAI, LLaMA-Factory, OpenAssistant, Gemma), lower case. */
const ROLES: Readonly<Record<string, Role>> = {
  system: 'system',
  developer: 'system',
  human: 'user',
  user: 'user',
  prompter: 'user',
  gpt: 'assistant',
  chatgpt: 'assistant',
  assistant: 'assistant',
  bot: 'assistant',
  model: 'assistant',
  function_call: 'assistant',
  tool_call: 'assistant',
  observation: 'tool',
  function: 'tool',
  function_response: 'tool',
  tool: 'tool',
  tool_response: 'tool',
  ipython: 'tool',
};

/** The role that a speaker's name stands for. */
export function roleOf(speaker: unknown): Role | undefined {
  const name = typeof speaker === 'string' ? speaker.toLowerCase() : '';
  return Object.hasOwn(ROLES, name) ? ROLES[name] : undefined;
}

type Skipped = { skip: SkipReason };

/** Parts of a content that are text, by the names that chat and response formats give them. */
const TEXT_PARTS: ReadonlySet<unknown> = new Set([undefined, 'text', 'input_text', 'output_text']);

/** The text of a turn: a string, or a list of parts {type: "text", text | value}. */
function contentText(content: unknown): string | Skipped {
  if (content === undefined || content === null) return '';
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return skip('wrong type in a field');
  let text = '';
  for (const part of content as unknown[]) {
    if (typeof part === 'string') {
      text += part;
    } else if (!isFields(part)) {
      return skip('wrong type in a field');
    } else if (TEXT_PARTS.has(part['type'])) {
      const piece = part['text'] ?? part['value'];
      if (typeof piece !== 'string') return skip('wrong type in a field');
      text += piece;
    } else {
      return skip('not only text');
    }
  }
  return text;
}

/** OpenAI's tool calls as the JSON text that ShareGPT's function_call turns hold: {"name", "arguments"}, one a line. */
function toolCallText(calls: unknown): string | undefined {
  if (!Array.isArray(calls)) return undefined;
  const lines: string[] = [];
  for (const call of calls as unknown[]) {
    const inner = isFields(call) ? (call['function'] ?? call) : undefined;
    if (!isFields(inner) || typeof inner['name'] !== 'string') return undefined;
    let given = inner['arguments'];
    if (typeof given === 'string') {
      try {
        given = JSON.parse(given) as unknown;
      } catch {
        // Arguments that are no JSON stay the text they are.
      }
    }
    lines.push(JSON.stringify({ name: inner['name'], arguments: given ?? {} }));
  }
  return lines.join('\n');
}

/** The ways in which data sets say that a turn is or is not learnt; undefined where none is there. */
function trainField(turn: Fields): boolean | undefined | Skipped {
  const mark = turn['train'] ?? turn['weight'] ?? turn['loss_weight'] ?? turn['loss'];
  if (mark === undefined || mark === null) return undefined;
  if (typeof mark === 'boolean') return mark;
  return typeof mark === 'number' ? mark > 0 : skip('wrong type in a field');
}

/** Where data sets keep what a model thought before its answer: templates differ in how they write it. */
const THOUGHTS = ['reasoning_content', 'reasoning', 'thinking'] as const;

/** A turn's calls of tools: a list, or the one call of the older function_call. */
function callsOf(turn: Fields): unknown {
  const one = turn['function_call'];
  return turn['tool_calls'] ?? (one === undefined || one === null ? undefined : [one]);
}

function readTurn(turn: unknown, note: Note): Message | Skipped {
  if (!isFields(turn)) return skip('wrong type in a field');
  const speaker = turn['role'] ?? turn['from'];
  if (typeof speaker !== 'string') return skip('wrong type in a field');
  const role = roleOf(speaker);
  if (role === undefined) return skip('unknown role');
  let content = contentText(turn['content'] ?? turn['value']);
  if (typeof content !== 'string') return content;
  if (THOUGHTS.some((field) => typeof turn[field] === 'string' && !isBlank(turn[field]))) {
    note(`Thoughts beside a turn’s words (${THOUGHTS.join(', ')}) are left out; turns that had some: {count}.`);
  }
  const calls = callsOf(turn);
  if (role === 'assistant' && calls !== undefined) {
    const text = toolCallText(calls);
    if (text === undefined) return skip('wrong type in a field');
    if (text !== '') {
      note('Tool calls are kept as JSON text in the assistant’s turn.');
      content = isBlank(content) ? text : `${content}\n${text}`;
    }
  }
  const message: Message = { role, content };
  const train = trainField(turn);
  if (typeof train === 'object') return train;
  if (train !== undefined && train !== (role === 'assistant')) message.train = train;
  if (typeof turn['name'] === 'string' && turn['name'] !== '') message.name = turn['name'];
  return message;
}

/**
 * Drops empty turns and merges neighbours of one role, which chat templates do not allow, with a newline between.
 * Results of tools stay apart (each answers its own call), and so do turns of different names or of which only one is
 * learnt.
 */
export function tidyMessages(messages: readonly Message[]): Message[] {
  const tidy: Message[] = [];
  for (const message of messages) {
    if (isBlank(message.content)) continue;
    const last = tidy.at(-1);
    if (
      last !== undefined &&
      last.role === message.role &&
      message.role !== 'tool' &&
      last.name === message.name &&
      isTrained(last) === isTrained(message)
    ) {
      last.content += `\n${message.content}`;
    } else {
      tidy.push({ ...message });
    }
  }
  return tidy;
}

/** A list of turns, of {role, content} or {from, value}, untidied; or why it cannot be used. */
export function readTurns(turns: unknown, note: Note): Message[] | Skipped {
  if (!Array.isArray(turns)) return skip('wrong type in a field');
  const messages: Message[] = [];
  for (const turn of turns as unknown[]) {
    const message = readTurn(turn, note);
    if ('skip' in message) return message;
    messages.push(message);
  }
  return messages;
}

/** A conversation row of these turns, tidied; skipped where it is empty or none of its turns is learnt. */
export function conversation(messages: readonly Message[]): Reading {
  const row = { kind: 'messages' as const, messages: tidyMessages(messages) };
  if (row.messages.length === 0) return skip('empty');
  return hasSomethingToLearn(row) ? row : skip('nothing to learn');
}

/** A conversation of which only the model's last turn is learnt. */
export function lastAnswer(messages: readonly Message[]): Reading {
  const last = messages.findLastIndex(({ role }) => role === 'assistant');
  if (last < 0) return skip('nothing to learn');
  return conversation(messages.slice(0, last + 1).map((message, i) => ({ ...message, train: i === last })));
}

/** Utterances of two who take turns, the person first. */
export function alternating(utterances: readonly string[]): Message[] {
  return utterances.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content }));
}

const SPEAKER = /(?:^|\n\n) *(Human|Assistant):/;

/** The turns of a transcript "\n\nHuman: …\n\nAssistant: …"; undefined where a text is none. */
export function transcript(text: string): Message[] | undefined {
  const [before, ...parts] = text.split(SPEAKER);
  if (before === undefined || !isBlank(before) || parts[0] !== 'Human' || !parts.includes('Assistant'))
    return undefined;
  const messages: Message[] = [];
  for (let i = 0; i + 1 < parts.length; i += 2) {
    messages.push({ role: parts[i] === 'Human' ? 'user' : 'assistant', content: parts[i + 1]!.trim() });
  }
  return messages;
}

/** A conversation of which only the second part's turns are learnt. */
export function continuation(prompt: readonly Message[], completion: readonly Message[]): Reading {
  const mark = (messages: readonly Message[], train: boolean): Message[] =>
    messages.map((message) => ({ ...message, train }));
  return conversation([...mark(prompt, false), ...mark(completion, true)]);
}
