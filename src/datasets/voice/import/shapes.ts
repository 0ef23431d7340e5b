import { alpaca, questionAnswer } from './alpaca.ts';
import type { Fields, Shape } from './shape.ts';
import { isFields } from './shape.ts';
import { shareGpt } from './sharegpt.ts';
import { alternatingRows, messageRows, preferenceRows, promptRows, textRows } from './trl.ts';

/**
 * Every layout, the more particular first: preference sets also have conversations or instructions, and Alpaca's
 * file on the hub has a "text" beside its fields. A new layout is one entry here.
 */
const SHAPES: readonly Shape[] = [
  preferenceRows,
  alternatingRows,
  messageRows,
  shareGpt,
  promptRows,
  alpaca,
  questionAnswer,
  textRows,
];

/** The layout of a record; undefined where none fits. */
export function shapeOf(fields: Fields): Shape | undefined {
  return SHAPES.find((shape) => shape.matches(fields));
}

const WRAPPERS = ['data', 'rows', 'train', 'examples', 'items'] as const;

/** The records inside {"data": [...]} and the like, or inside the hub viewer's {"row": {...}}; undefined elsewhere. */
export function unwrap(fields: Fields): readonly unknown[] | undefined {
  if (isFields(fields['row'])) return [fields['row']];
  for (const key of WRAPPERS) {
    const inner = fields[key];
    if (Array.isArray(inner)) return inner as unknown[];
  }
  return undefined;
}

/** Whether a record is a single turn, {role, content} or {from, value}: a conversation not wrapped in anything. */
export function isTurn(fields: Fields): boolean {
  return ('role' in fields && 'content' in fields) || ('from' in fields && 'value' in fields);
}
