import { hasSomethingToLearn } from '../rows.ts';
import { alternating, continuation, conversation, lastAnswer, readTurns, transcript } from './messages.ts';
import type { Message } from '../rows.ts';
import type { Fields, Note, Reading, Shape } from './shape.ts';
import { isBlank, isFields, skip, textField } from './shape.ts';

/** {"text"}: running text. Some sets of the hub call the field "content". */
export const textRows: Shape = {
  kind: 'text rows',
  matches: (fields) => 'text' in fields || ('content' in fields && !('role' in fields)),
  read(fields) {
    const text = textField(fields['text'] ?? fields['content']);
    if (text === undefined) return skip('wrong type in a field');
    return isBlank(text) ? skip('empty') : { kind: 'text', text };
  },
};

/** {"messages": [{"role", "content"}]}: TRL's conversations and OpenAI's fine-tuning files. */
export const messageRows: Shape = {
  kind: 'messages',
  matches: (fields) => 'messages' in fields,
  read(fields, note) {
    const messages = readTurns(fields['messages'], note);
    if (!Array.isArray(messages)) return messages;
    noteTools(fields, note);
    return conversation(messages);
  },
};

/** Not `turns`: lists of questions of one side alone (MT-bench's) are called so. */
const UTTERANCES = ['data', 'dialog', 'dialogue', 'conversation', 'conversations', 'messages', 'utterances'] as const;

/** The field in which a record holds a list of utterances. */
function utterancesOf(fields: Fields): readonly string[] | undefined {
  for (const key of UTTERANCES) {
    const list = fields[key];
    // {"data": [...]} and nothing else may as well be a list of texts.
    if (key === 'data' && Object.keys(fields).length === 1) continue;
    if (Array.isArray(list) && list.length > 1 && list.every((item) => typeof item === 'string')) return list;
  }
  return undefined;
}

/** {"data": ["…", "…"]}, UltraChat's, and the like: two who take turns, the person first. */
export const alternatingRows: Shape = {
  kind: 'messages',
  matches: (fields) => utterancesOf(fields) !== undefined,
  read: (fields) => conversation(alternating(utterancesOf(fields) ?? [])),
};

/** Descriptions of tools have no place in a row; the file's report says so. */
export function noteTools(fields: Fields, note: Note): void {
  const tools = fields['tools'] ?? fields['functions'];
  const none = tools === undefined || tools === null || tools === '' || tools === '[]';
  if (none || (Array.isArray(tools) && tools.length === 0)) return;
  note('Descriptions of tools (the field “tools”) are left out; the conversations themselves are kept.');
}

/** A prompt and what follows it: both strings, or both lists of turns. */
function readContinuation(prompt: unknown, completion: unknown, note: Note): Reading {
  if (Array.isArray(prompt) || Array.isArray(completion)) {
    const before = readTurns(prompt ?? [], note);
    if (!Array.isArray(before)) return before;
    const after = readTurns(completion ?? [], note);
    return Array.isArray(after) ? continuation(before, after) : after;
  }
  const before = textField(prompt);
  const after = textField(completion);
  if (before === undefined || after === undefined) return skip('wrong type in a field');
  if (isBlank(before) && isBlank(after)) return skip('empty');
  const row = { kind: 'completion' as const, prompt: before, completion: after };
  return hasSomethingToLearn(row) ? row : skip('nothing to learn');
}

/** {"prompt", "completion"}, and KTO's with a label, of which only the good answers are learnt. */
export const promptRows: Shape = {
  kind: 'prompt and completion',
  matches: (fields) => 'prompt' in fields && 'completion' in fields,
  read(fields, note) {
    if (fields['label'] === false || fields['kto_tag'] === false) return skip('marked as a bad answer');
    return readContinuation(fields['prompt'], fields['completion'], note);
  },
};

/**
 * Chosen turns beside a prompt: none, turns, or text. Sets differ in whether the turns begin with the prompt; where they do it
 * is not said twice.
 */
function readChosenTurns(prompt: unknown, chosen: readonly unknown[], note: Note): Reading {
  const messages = readTurns(chosen, note);
  if (!Array.isArray(messages)) return messages;
  if (prompt === undefined || prompt === null) return conversation(messages);
  if (Array.isArray(prompt)) {
    const before = readTurns(prompt, note);
    if (!Array.isArray(before)) return before;
    const repeated =
      messages.length > before.length &&
      before.every(({ role, content }, i) => messages[i]!.role === role && messages[i]!.content === content);
    return continuation(before, repeated ? messages.slice(before.length) : messages);
  }
  if (typeof prompt !== 'string') return skip('wrong type in a field');
  const asked = messages.some(({ role }) => role === 'user');
  const question: Message[] = transcript(`${prompt}\n\nAssistant:`)?.slice(0, -1) ?? [
    { role: 'user', content: prompt },
  ];
  return lastAnswer(asked ? messages : [...question, ...messages]);
}

/** {"chosen", "rejected"}, TRL's and LLaMA-Factory's preference sets: the chosen answer is learnt, the other is not. */
export const preferenceRows: Shape = {
  kind: 'preference',
  matches: (fields) => 'chosen' in fields && 'rejected' in fields,
  read(fields, note) {
    note('Pairs of a chosen and a rejected answer: the chosen one is learnt, the rejected one is left out.');
    const { chosen } = fields;
    if (isFields(chosen)) {
      return readContinuation(fields['conversations'] ?? fields['messages'] ?? fields['prompt'], [chosen], note);
    }
    if (Array.isArray(chosen)) return readChosenTurns(fields['prompt'], chosen, note);
    const answer = textField(chosen);
    const question = textField(fields['prompt'] ?? fields['instruction'] ?? fields['question']);
    const input = textField(fields['input']);
    if (answer === undefined || question === undefined || input === undefined) return skip('wrong type in a field');
    const said = transcript(question + answer) ?? transcript(answer);
    if (said) return lastAnswer(said);
    if (fields['prompt'] !== undefined) return readContinuation(question, answer, note);
    const asked = [question, input].filter((text) => !isBlank(text)).join('\n');
    return continuation([{ role: 'user', content: asked }], [{ role: 'assistant', content: answer }]);
  },
};
