import { UserError } from './errors.ts';

/** Deeper than this the engine writes no JSON: what a message cannot show it names. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'nothing';
  } catch (error) {
    if (error instanceof RangeError) return 'a value nested too deeply';
    throw error;
  }
}

/** Untrusted text or any JSON value, shortened for a message. */
export function quoteValue(value: unknown): string {
  const text = typeof value === 'string' ? `“${value}”` : jsonOf(value);
  return text.length > 120 ? `${text.slice(0, 110)}…${text.slice(-8)}` : text;
}

export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * JSON.parse that refuses a key given twice in one object: JSON.parse keeps the last silently, other readers the
 * first. Throws SyntaxError for invalid JSON, UserError (a clause without full stop) for a doubled key.
 */
export function parseUniqueJson(text: string): unknown {
  const value = JSON.parse(text) as unknown;
  // The text is valid, so a scan for strings and braces is enough to find the keys of each object.
  const token = /"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?|[{}]/g;
  const open: Set<string>[] = [];
  for (let match = token.exec(text); match; match = token.exec(text)) {
    if (match[0] === '{') open.push(new Set());
    else if (match[0] === '}') open.pop();
    else if (match[1] !== undefined) {
      const key = JSON.parse(match[0].slice(0, -match[1].length)) as string;
      const keys = open.at(-1)!;
      if (keys.has(key)) throw new UserError(`${quoteValue(key)} stands in it twice`);
      keys.add(key);
    }
  }
  return value;
}

/** Levenshtein distance, for suggestions. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

/** “ Did you mean x?” where a known name is close to what was written, '' otherwise. */
export function didYouMean(written: string, known: readonly string[]): string {
  const lower = written.toLowerCase().slice(0, 60);
  let best = '';
  let closest = Math.min(4, Math.ceil(lower.length / 3) + 1);
  for (const name of known) {
    const steps = distance(lower, name.toLowerCase());
    if (steps < closest) {
      closest = steps;
      best = name;
    }
  }
  return best ? ` Did you mean ${best}?` : '';
}
