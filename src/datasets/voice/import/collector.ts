import { UserError } from '../../../common/errors.ts';
import type { FileKind, FileReport, SkipReason, SkippedExample, TrainingRow } from '../rows.ts';
import { conversation, readTurns } from './messages.ts';
import type { Reading } from './shape.ts';
import { isFields } from './shape.ts';
import { isTurn, shapeOf, unwrap } from './shapes.ts';

const SNIPPET_CHARACTERS = 160;

/** The beginning of a text on one line, without control characters. */
export function snippetOf(text: string): string {
  const line = text
    .slice(0, SNIPPET_CHARACTERS * 2)
    .replace(/[\s\u0000-\u001f\u007f]+/gu, ' ')
    .trim();
  return line.length > SNIPPET_CHARACTERS ? `${line.slice(0, SNIPPET_CHARACTERS - 1)}…` : line;
}

export interface CollectorOptions {
  keepGood: boolean;
  /** Examples kept of each reason. */
  maxExamples: number;
}

/** Gathers the rows of one file and the account of what was skipped. */
export class FileCollector {
  readonly rows: TrainingRow[] = [];
  readonly examples: SkippedExample[] = [];
  readonly report: FileReport;
  readonly #options: CollectorOptions;
  readonly #warnings = new Map<string, number>();
  readonly #kinds = new Set<FileKind>();
  #loose: { turns: unknown[]; line: number } | undefined;

  constructor(name: string, options: CollectorOptions) {
    this.report = { name, kind: 'unknown', rows: 0, skipped: {}, warnings: [] };
    this.#options = options;
  }

  warn = (remark: string): void => {
    this.#warnings.set(remark, (this.#warnings.get(remark) ?? 0) + 1);
  };

  /** Running text. */
  text(text: string, line: number): void {
    this.#kinds.add('text');
    this.#keep({ kind: 'text', text }, undefined, line);
  }

  /** A value as JSON text. */
  json(text: string, line: number): void {
    let value: unknown;
    try {
      value = JSON.parse(text) as unknown;
    } catch (cause) {
      this.notJson(text, line, cause);
      return;
    }
    this.value(value, line, text);
  }

  notJson(text: string, line: number, cause?: unknown): void {
    if (!this.#options.keepGood) {
      throw new UserError(
        `Line ${String(line)} of “${this.report.name}” is not valid JSON. Correct it, or import again and keep only the good lines.`,
        { cause },
      );
    }
    this.skip('not valid JSON', line, text);
  }

  /** The text ends within a list or value that began on `line`. */
  brokenOff(line: number): void {
    const what = `“${this.report.name}” breaks off: from line ${String(line)} on a bracket is missing or the end of the file is lost.`;
    if (!this.#options.keepGood)
      throw new UserError(`${what} Correct it, or import again and keep only the good entries.`);
    const kept = this.rows.length;
    this.warn(
      `${what} ${kept > 0 ? `The ${String(kept)} rows before it were kept.` : 'No row before it could be kept.'}`,
    );
  }

  /** A parsed value; `text` is its source, for the example where it is skipped. */
  value(value: unknown, line: number, text: string): void {
    if (isFields(value) && shapeOf(value) === undefined && isTurn(value)) {
      // Turns on their own, one after another, are one conversation.
      this.#loose ??= { turns: [], line };
      this.#loose.turns.push(value);
      return;
    }
    this.#endLoose();
    if (typeof value === 'string') {
      this.#take(
        'text rows',
        value.trim() === '' ? { skip: 'empty' } : { kind: 'text', text: value },
        value,
        line,
        text,
      );
    } else if (Array.isArray(value) && value.some((item) => isFields(item) && isTurn(item))) {
      const messages = readTurns(value, this.warn);
      this.#take('messages', Array.isArray(messages) ? conversation(messages) : messages, value, line, text);
    } else if (isFields(value)) {
      const shape = shapeOf(value);
      const inner = shape ? undefined : unwrap(value);
      if (shape) this.#take(shape.kind, shape.read(value, this.warn), value, line, text);
      else if (inner) for (const item of inner) this.value(item, line, JSON.stringify(item));
      else this.skip('no known fields', line, text);
    } else {
      this.skip('no known fields', line, text);
    }
  }

  skip(reason: SkipReason, line: number, text: string): void {
    const { skipped, name } = this.report;
    const count = (skipped[reason] ?? 0) + 1;
    skipped[reason] = count;
    if (count <= this.#options.maxExamples) {
      this.examples.push({ file: name, line, reason, snippet: snippetOf(text) });
    }
  }

  /** The reading was stopped: what was read whole stays. */
  stop(): void {
    this.#loose = undefined;
    this.warn('Reading was stopped before its end; the rows until there are kept.');
    this.end();
  }

  end(): void {
    this.#endLoose();
    const [first] = this.#kinds;
    this.report.kind = this.#kinds.size > 1 ? 'mixed' : (first ?? 'unknown');
    this.report.rows = this.rows.length;
    const broken = this.report.skipped['not valid JSON'] ?? 0;
    if (broken > 0) {
      const lines = this.examples.filter(({ reason }) => reason === 'not valid JSON').map(({ line }) => line);
      const where = `line${lines.length > 1 ? 's' : ''} ${lines.join(', ')}${broken > lines.length ? ', …' : ''}`;
      this.warn(
        `${String(broken)} ${broken === 1 ? 'entry is' : 'entries are'} not valid JSON (${where}); everything else was read.`,
      );
    }
    this.report.warnings = [...this.#warnings].map(([remark, count]) => remark.replace('{count}', String(count)));
  }

  #endLoose(): void {
    const loose = this.#loose;
    if (!loose) return;
    this.#loose = undefined;
    const messages = readTurns(loose.turns, this.warn);
    const reading = Array.isArray(messages) ? conversation(messages) : messages;
    this.#take('messages', reading, loose.turns, loose.line, JSON.stringify(loose.turns.slice(0, 2)));
  }

  #take(kind: FileKind, reading: Reading, value: unknown, line: number, text: string): void {
    this.#kinds.add(kind);
    if ('skip' in reading) this.skip(reading.skip, line, text);
    else this.#keep(reading, value, line);
  }

  #keep(row: TrainingRow, value: unknown, line: number): void {
    const id = isFields(value) ? (value['id'] ?? value['conversation_id']) : undefined;
    if (typeof id === 'string' || typeof id === 'number') row.id = String(id);
    row.source = { file: this.report.name, line };
    this.rows.push(row);
  }
}
