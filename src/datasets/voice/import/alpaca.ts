import type { Message } from '../rows.ts';
import { conversation } from './messages.ts';
import type { Fields, Reading, Shape } from './shape.ts';
import { isBlank, skip, textField } from './shape.ts';

/** Earlier exchanges, [[question, answer], …]; their answers are learnt too, as LLaMA-Factory does. */
function readHistory(history: unknown): Message[] | undefined {
  if (history === undefined || history === null || history === '') return [];
  if (!Array.isArray(history)) return undefined;
  const messages: Message[] = [];
  for (const pair of history as unknown[]) {
    if (!Array.isArray(pair) || pair.length !== 2) return undefined;
    const [question, answer] = pair as unknown[];
    if (typeof question !== 'string' || typeof answer !== 'string') return undefined;
    messages.push({ role: 'user', content: question }, { role: 'assistant', content: answer });
  }
  return messages;
}

function exchange(asked: unknown[], answered: unknown, fields: Fields): Reading {
  const questions = asked.map(textField);
  const answer = textField(answered);
  const system = textField(fields['system']);
  const history = readHistory(fields['history']);
  if (answer === undefined || system === undefined || history === undefined || questions.includes(undefined)) {
    return skip('wrong type in a field');
  }
  const question = questions.filter((text) => text !== undefined && !isBlank(text)).join('\n');
  if (isBlank(question)) return skip('empty');
  if (isBlank(answer)) return skip('nothing to learn');
  return conversation([
    { role: 'system', content: system },
    ...history,
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ]);
}

/** {"instruction", "input"?, "output", "system"?, "history"?}: Alpaca; Dolly calls the last two context and response. */
export const alpaca: Shape = {
  kind: 'alpaca',
  matches: (fields) => 'instruction' in fields && ('output' in fields || 'response' in fields),
  read(fields) {
    if (fields['kto_tag'] === false) return skip('marked as a bad answer');
    const asked = [fields['instruction'], fields['input'] ?? fields['context']];
    return exchange(asked, fields['output'] ?? fields['response'], fields);
  },
};

const PAIRS = [
  ['question', 'answer'],
  ['question', 'response'],
  ['query', 'response'],
  ['prompt', 'response'],
  ['input', 'output'],
] as const;

/** One question and its answer, under the names that sets of the hub use for them. */
export const questionAnswer: Shape = {
  kind: 'question and answer',
  matches: (fields) => PAIRS.some(([question, answer]) => question in fields && answer in fields),
  read(fields) {
    for (const [question, answer] of PAIRS) {
      if (question in fields && answer in fields) return exchange([fields[question]], fields[answer], fields);
    }
    return skip('no known fields');
  },
};
