import { DuplicateFinder } from './curation.ts';
import type { TrainingRow } from './rows.ts';
import { isTrained, rowLength } from './rows.ts';

export interface Statistics {
  rows: number;
  /** Turns (or completions) that are learnt. */
  exchanges: number;
  /** Rows of running text. */
  texts: number;
  characters: number;
  /** Of them, those that carry loss. */
  trainedCharacters: number;
  /** Words of running text, counted at spaces. */
  textWords: number;
  /** Characters of the middle one of all learnt turns, 0 without any. */
  medianAnswer: number;
  longestRow: number;
  /** Rows that repeat another to the letter. */
  duplicates: number;
  /** Of the learnt turns of at least three words, the share that begin with the same three. */
  sameOpening: number;
  tokens?: number;
}

/** Counts text without keeping its words. */
function countWords(text: string): number {
  let words = 0;
  let inWord = false;
  for (let at = 0; at < text.length; at++) {
    const space = text.charCodeAt(at) <= 32;
    if (!space && !inWord) words++;
    inWord = !space;
  }
  return words;
}

/** Adds up the statistics of a data set, row by row. */
class StatisticsCounter {
  readonly #stats: Statistics = {
    rows: 0,
    exchanges: 0,
    texts: 0,
    characters: 0,
    trainedCharacters: 0,
    textWords: 0,
    medianAnswer: 0,
    longestRow: 0,
    duplicates: 0,
    sameOpening: 0,
  };
  readonly #duplicates = new DuplicateFinder('exact');
  readonly #answers: number[] = [];
  readonly #openings = new Map<string, number>();
  #opened = 0;

  add(row: TrainingRow): void {
    const stats = this.#stats;
    const length = rowLength(row);
    stats.rows++;
    stats.characters += length;
    stats.longestRow = Math.max(stats.longestRow, length);
    if (this.#duplicates.repeats(row)) stats.duplicates++;
    if (row.kind === 'text') {
      stats.texts++;
      stats.textWords += countWords(row.text);
      stats.trainedCharacters += length;
    } else if (row.kind === 'completion') {
      this.#answer(row.completion);
    } else {
      for (const message of row.messages) if (isTrained(message)) this.#answer(message.content);
    }
  }

  result(): Statistics {
    const answers = this.#answers.sort((a, b) => a - b);
    let sameOpening = 0;
    for (const count of this.#openings.values()) sameOpening = Math.max(sameOpening, count / this.#opened);
    return { ...this.#stats, medianAnswer: answers[answers.length >> 1] ?? 0, sameOpening };
  }

  #answer(text: string): void {
    this.#stats.exchanges++;
    this.#stats.trainedCharacters += text.length;
    this.#answers.push(text.length);
    const words = text.slice(0, 200).trim().toLowerCase().split(/\s+/u).slice(0, 3);
    if (words.length < 3) return;
    this.#opened++;
    const opening = words.join(' ');
    this.#openings.set(opening, (this.#openings.get(opening) ?? 0) + 1);
  }
}

/** What a data set holds, in numbers. `countTokens` is asked row by row. */
export function statistics(rows: readonly TrainingRow[], countTokens?: (row: TrainingRow) => number): Statistics {
  const counter = new StatisticsCounter();
  let tokens = 0;
  for (const row of rows) {
    counter.add(row);
    if (countTokens) tokens += countTokens(row);
  }
  return countTokens ? { ...counter.result(), tokens } : counter.result();
}

export interface QualityLine {
  level: 'too little' | 'little' | 'enough' | 'plenty';
  /** How much there is. */
  amount: string;
  /** How much is usual. */
  usual: string;
  /** What would help most. */
  advice: string;
}

/** How importing treats what one person says in several messages, for the page to tell. */
export const MERGE_RULE =
  'When somebody writes several messages in a row, they are joined into one, a line each, because the model learns ' +
  'to speak in turns. Empty messages are left out.';

/** What is usual for a voice. */
const USUAL = {
  exchanges: { too: 20, few: 100, many: 1_000 },
  words: { too: 1_000, few: 10_000, many: 100_000 },
};
/** Shares and lengths from which the advice speaks of them. */
const MANY_DUPLICATES = 0.05;
const MANY_SAME_OPENINGS = 0.25;
const SHORT_ANSWER = 20;

const number = (value: number): string => Math.round(value).toLocaleString('en-US');
const counted = (count: number, one: string, many: string): string => `${number(count)} ${count === 1 ? one : many}`;
const percent = (share: number): string => `${String(Math.round(share * 100))} %`;

function levelOf(amount: number, { too, few, many }: (typeof USUAL)['words']): QualityLine['level'] {
  if (amount < too) return 'too little';
  if (amount < few) return 'little';
  return amount <= many ? 'enough' : 'plenty';
}

/** How good a data set is for teaching a voice, in words for a newcomer. */
export function qualityLine(rows: readonly TrainingRow[], countTokens?: (row: TrainingRow) => number): QualityLine {
  return describeQuality(statistics(rows, countTokens));
}

/** The quality line of statistics that are there already. */
export function describeQuality(stats: Statistics): QualityLine {
  const spoken = stats.exchanges > 0;
  const amounts = [
    ...(spoken || stats.texts === 0 ? [counted(stats.exchanges, 'answer to learn from', 'answers to learn from')] : []),
    ...(stats.texts > 0 ? [counted(stats.textWords, 'word of running text', 'words of running text')] : []),
  ];
  const tokens = stats.tokens === undefined ? '' : ` (${counted(stats.tokens, 'token', 'tokens')})`;
  const { exchanges, words } = USUAL;
  const ofSpeech = levelOf(stats.exchanges, exchanges);
  const ofText = levelOf(stats.textWords, words);
  const levels: readonly QualityLine['level'][] = ['too little', 'little', 'enough', 'plenty'];
  const level = levels[Math.max(levels.indexOf(ofSpeech), levels.indexOf(ofText))] ?? 'too little';
  const usual = spoken
    ? `For a voice, ${number(exchanges.few)} to ${number(exchanges.many)} exchanges are usual.`
    : `From running text, ${number(words.few)} to ${number(words.many)} words are usual.`;
  return { level, amount: `${amounts.join(' and ')}${tokens}.`, usual, advice: adviceFor(stats, level, spoken) };
}

function adviceFor(stats: Statistics, level: QualityLine['level'], spoken: boolean): string {
  const more = spoken ? 'more exchanges in the voice you want, about different things' : 'more text by the same hand';
  if (stats.rows === 0) return 'Add a chat or a text to begin with.';
  if (level === 'too little') {
    return `So little teaches single sentences by heart rather than a way of speaking. Most would help: ${more}.`;
  }
  const repeated = stats.duplicates / stats.rows;
  if (repeated > MANY_DUPLICATES) {
    return `${percent(repeated)} of it is there more than once and would be learnt by heart. Removing the repeats would help most.`;
  }
  if (stats.sameOpening > MANY_SAME_OPENINGS && stats.exchanges >= USUAL.exchanges.too) {
    return `${percent(stats.sameOpening)} of the answers begin with the same words, and so would nearly all the model says. Varying or removing some would help most.`;
  }
  if (spoken && stats.medianAnswer < SHORT_ANSWER) {
    return 'Half of the answers are very short, and the model would learn to be as brief. Longer answers would help most.';
  }
  if (level === 'little') return `It is enough to try. Most would help: ${more}.`;
  if (level === 'plenty') {
    return 'It is more than a voice needs: training takes longer, and fewer but better ones teach as well. Removing the weak ones would help most.';
  }
  return 'A good amount. Reading some of them and correcting what should not be learnt would help most.';
}
