/** Forms that conversations and their contents take on the way through a chat template. */
import type { Message } from '../../datasets/voice/rows.ts';
import { isTrained } from '../../datasets/voice/rows.ts';

export const THINK_END = '</think>';

/** Messages to each side of a turn that are looked at, and how far to go on for one of the person's. */
const NEIGHBOURS = 3;
const FAR_NEIGHBOURS = 8;

/** A content's mark in a rendering. */
export interface Place {
  message: number;
  start: number;
  end: number;
}

/** Everything up to the end of a <think> block, with the white space behind it; '' without one. */
export function thinking(content: string): string {
  const at = content.lastIndexOf(THINK_END);
  return at < 0 ? '' : content.slice(0, at + THINK_END.length) + /^\s*/.exec(content.slice(at + THINK_END.length))![0];
}

/** What templates make of a content: itself, or without the white space around it; the part after a <think> block. */
export function contentForms(content: string): string[] {
  const answer = content.slice(thinking(content).length);
  return [
    answer,
    answer.trim(),
    answer.trimStart(),
    answer.trimEnd(),
    answer.replace(/^\n+/, ''),
    answer.replace(/^\n+|\n+$/g, ''),
  ];
}

export const placesOf = (full: string, mark: string): Place[] =>
  [...full.matchAll(new RegExp(`${mark}(\\d+)${mark}`, 'g'))].map((match) => ({
    message: Number(match[1]),
    start: match.index,
    end: match.index + match[0].length,
  }));

/** A turn with its neighbours, from one of the person's to one of the person's, and the system's words before them. */
export function neighboursOf(
  marked: readonly Message[],
  message: number,
  mark: string,
): { part: Message[]; at: number; key: string } {
  let from = Math.max(0, message - NEIGHBOURS);
  while (from > 0 && marked[from]!.role !== 'user' && message - from < FAR_NEIGHBOURS) from--;
  let to = Math.min(marked.length, message + NEIGHBOURS);
  while (to < marked.length && marked[to - 1]!.role !== 'user' && to - message < FAR_NEIGHBOURS) to++;
  const system = from > 0 && marked[0]!.role === 'system' ? [marked[0]!] : [];
  const part = [...system, ...marked.slice(from, to)];
  const at = system.length + message - from;
  const kinds = part.map((turn) => [
    turn.role,
    turn.name,
    turn.content.slice(0, Math.max(0, turn.content.indexOf(mark))),
  ]);
  return { part, at, key: JSON.stringify([at, from === 0, to === marked.length, kinds]) };
}

/** Characters of the private use area that no message contains. */
export function unusedMarks(messages: readonly Message[], count: number): string[] {
  const marks: string[] = [];
  for (let code = 0xe000; marks.length < count; code++) {
    const mark = String.fromCharCode(code);
    if (!messages.some(({ content, name }) => content.includes(mark) || name?.includes(mark))) marks.push(mark);
  }
  return marks;
}

export function sharedLength(a: string, b: string): number {
  const longest = Math.min(a.length, b.length);
  let length = 0;
  while (length < longest && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}

/** A leading system message put before the first user message. */
export function foldSystem(messages: readonly Message[]): readonly Message[] {
  const [first, second, ...rest] = messages;
  if (first?.role !== 'system' || second?.role !== 'user' || isTrained(first)) return messages;
  return [{ ...second, content: `${first.content}\n\n${second.content}` }, ...rest];
}

/** Neighbouring messages of one role, learnt alike, as one. */
export function mergeTurns(messages: readonly Message[]): readonly Message[] {
  const merged: Message[] = [];
  for (const message of messages) {
    const last = merged.at(-1);
    if (last && last.role === message.role && isTrained(last) === isTrained(message)) {
      merged[merged.length - 1] = { ...last, content: `${last.content}\n${message.content}` };
    } else merged.push(message);
  }
  return merged;
}
