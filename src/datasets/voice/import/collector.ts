import { UserError } from '../../../common/errors.ts';
import type { FileKind, FileReport, SkipReason, SkippedExample, TrainingRow } from '../rows.ts';
import { parseUniqueJson } from '../../../common/json.ts';
import { conversation, readTurns, roleOf } from './messages.ts';
import type { Fields, Reading } from './shape.ts';
import { isFields } from './shape.ts';
import { isTurn, shapeOf, unwrap } from './shapes.ts';
import type { TreeNode } from './trees.ts';
import { bestPath, isTreeMessage, nestedTree, treesOf } from './trees.ts';

const SNIPPET_CHARACTERS = 160;

/** The beginning of a text on one line, without control characters. */
export function snippetOf(text: string): string {
  const line = text
    .slice(0, SNIPPET_CHARACTERS * 2)
    .replace(/[\s\u0000-\u001f\u007f]+/gu, ' ')
    .trim();
  return line.length > SNIPPET_CHARACTERS ? `${line.slice(0, SNIPPET_CHARACTERS - 1)}…` : line;
}

/** Turns on their own are one conversation until it has so many characters or turns; then the next question begins another. */
const LOOSE = { characters: 8_000, turns: 64 };

/** Wrappers within wrappers that are opened. */
const MOST_WRAPPERS = 8;

/** Numbers of 16 digits and more are not whole numbers any more once JSON is parsed: as names they stay as written. */
const LONG_ID = /("(?:id|conversation_id|message_id|parent_id)"\s*:\s*)(-?\d{16,})(?=\s*[,}])/g;

/** A value as text, for showing where it is skipped. */
function shown(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError) return '';
    throw error;
  }
}

interface Loose {
  turns: unknown[];
  line: number;
  characters: number;
  conversation: unknown;
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
  #loose: Loose | undefined;
  #tree: { fields: Fields; line: number }[] = [];

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
      value = parseUniqueJson(text.replace(LONG_ID, '$1"$2"'));
    } catch (cause) {
      if (cause instanceof UserError) {
        this.skip('a key twice', line, text);
        return;
      }
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
    try {
      this.#value(value, line, text, 0);
    } catch (error) {
      // The engine's own limit on how deep calls may lie in one another.
      if (!(error instanceof RangeError)) throw error;
      this.skip('nested too deeply', line, text);
    }
  }

  #value(value: unknown, line: number, text: string, wrappers: number): void {
    if (isFields(value) && isTreeMessage(value)) {
      this.#endLoose();
      this.#tree.push({ fields: value, line });
      return;
    }
    if (isFields(value) && shapeOf(value) === undefined && isTurn(value)) {
      this.#addLoose(value, line);
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
      const tree = nestedTree(value, line);
      const shape = shapeOf(value);
      const inner = shape || wrappers >= MOST_WRAPPERS ? undefined : unwrap(value);
      if (tree) this.#takeTree(tree, value);
      else if (shape) this.#take(shape.kind, shape.read(value, this.warn), value, line, text);
      else if (inner) for (const item of inner) this.#value(item, line, shown(item), wrappers + 1);
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
    this.#tree = [];
    this.warn('Reading was stopped before its end; the rows until there are kept.');
    this.end();
  }

  end(): void {
    this.#endLoose();
    for (const tree of treesOf(this.#tree)) this.#takeTree(tree, tree.fields);
    this.#tree = [];
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

  /** Turns on their own, one after another, are one conversation: see LOOSE, and what the turns say themselves. */
  #addLoose(turn: Fields, line: number): void {
    const role = roleOf(turn['role'] ?? turn['from']);
    const conversation = turn['conversation_id'];
    const last = this.#loose;
    if (last !== undefined) {
      const full = last.characters >= LOOSE.characters || last.turns.length >= LOOSE.turns;
      const lastTurn = last.turns.at(-1) as Fields;
      const answered = roleOf(lastTurn['role'] ?? lastTurn['from']) === 'assistant';
      if (conversation !== last.conversation || role === 'system' || (full && answered && role === 'user')) {
        if (conversation === last.conversation && role !== 'system')
          this.warn(
            'Turns on their own are one conversation after another; it was cut where an answer ended: {count} times.',
          );
        this.#endLoose();
      }
    }
    this.#loose ??= { turns: [], line, characters: 0, conversation };
    this.#loose.turns.push(turn);
    const content = turn['content'] ?? turn['value'];
    this.#loose.characters += typeof content === 'string' ? content.length : 0;
  }

  /** The best-ranked path of a tree, to its last answer. */
  #takeTree(root: TreeNode, value: Fields): void {
    const path = bestPath(root, ({ fields, line }, reason) => {
      this.skip(reason, line, String(fields['text'] ?? ''));
    });
    if (path.length === 0) return;
    const turns = path.map(({ fields }) => ({ role: fields['role'], content: fields['text'] }));
    const messages = readTurns(turns, this.warn);
    const reading = Array.isArray(messages)
      ? conversation(messages.slice(0, messages.findLastIndex(({ role }) => role === 'assistant') + 1))
      : messages;
    const id = value['message_tree_id'] ?? root.fields['message_id'];
    this.#take('messages', reading, { id }, root.line, String(root.fields['text'] ?? ''));
  }

  #endLoose(): void {
    const loose = this.#loose;
    if (!loose) return;
    this.#loose = undefined;
    const messages = readTurns(loose.turns, this.warn);
    const reading = Array.isArray(messages) ? conversation(messages) : messages;
    this.#take('messages', reading, { id: loose.conversation }, loose.line, shown(loose.turns.slice(0, 2)));
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
