import { UserError } from '../../../common/errors.ts';
import { Pacer } from '../../pacer.ts';
import { addCounts, EmptyImportError } from '../../report.ts';
import type { ImportReport, ImportResult } from '../rows.ts';
import { FileCollector } from './collector.ts';
import { CsvSplitter, columnName, recogniseTable } from './csv.ts';
import type { Delimiter } from './csv.ts';
import { JsonValueSplitter } from './json-values.ts';
import { LineSplitter } from './lines.ts';
import { isFields } from './shape.ts';
import { newlines } from '../../text.ts';
import { decodeText } from './source.ts';
import type { SourceFile } from '../../source-file.ts';
import { TextSplitter } from './text.ts';
import type { TextSplit } from './text.ts';

export interface ImportOptions {
  /** Keep the good entries of a file of which some are not valid JSON; else it is an error. Default true. */
  keepGood?: boolean;
  /** How running text becomes rows. Default auto: short files whole, long ones at chapters and paragraphs. */
  textSplit?: TextSplit;
  /** Examples kept of each reason for skipping, a file. Default 3. */
  maxExamples?: number;
  /** Ends the import; the rows that were read before are what it gives. */
  signal?: AbortSignal;
}

export interface ImportProgress {
  /** Of all files' bytes, 0 to 1. */
  fraction: number;
  file: string;
  /** Rows kept so far. */
  rows: number;
}

/** Nothing could be used. */
export class ImportError extends EmptyImportError<ImportReport> {
  override name = 'ImportError';
}

/** Takes a file's text in pieces. */
interface Reader {
  push(piece: string): void;
  end(): void;
}

/** Characters by which the layout of a file is recognised. */
const HEAD_CHARACTERS = 1 << 16;
/** Of blank text at the beginning no more than this is held back. */
const BLANK_CHARACTERS = 1 << 20;

function jsonLines(collector: FileCollector): Reader {
  const lines = new LineSplitter((line, number) => {
    const text = line.trim();
    if (text === '') return;
    // Some exporters end each line with the comma of the list they came from.
    collector.json(text.endsWith(',') ? text.slice(0, -1) : text, number);
  });
  return lines;
}

function jsonValues(collector: FileCollector, inList: boolean): Reader {
  const values = new JsonValueSplitter(inList, (text, line) => {
    collector.json(text, line);
  });
  return {
    push: (piece) => {
      values.push(piece);
    },
    end() {
      const { openSince } = values.end();
      if (openSince !== undefined) collector.brokenOff(openSince);
    },
  };
}

function table(collector: FileCollector, delimiter: Delimiter): Reader {
  let header: string[] | undefined;
  const records = new CsvSplitter(delimiter, (cells, line) => {
    if (header === undefined) header = cells.map(columnName);
    else if (cells.length !== header.length) collector.skip('wrong number of columns', line, cells.join(delimiter));
    else collector.value(Object.fromEntries(header.map((name, i) => [name, cells[i]])), line, cells.join(delimiter));
  });
  return {
    push: (piece) => {
      records.push(piece);
    },
    end() {
      const open = records.end();
      if (open !== undefined) collector.warn(`The quotation mark opened on line ${String(open)} is never closed.`);
    },
  };
}

function runningText(collector: FileCollector, split: TextSplit): Reader {
  const rows = new TextSplitter(split, (text, line) => {
    collector.text(text, line);
  });
  const lines = new LineSplitter((line, number) => {
    rows.line(line, number);
  });
  return {
    push: (piece) => {
      lines.push(piece);
    },
    end() {
      lines.end();
      rows.end();
    },
  };
}

function parsesAsContainer(line: string): boolean {
  if (!/^[{[]/.test(line)) return false;
  try {
    const value: unknown = JSON.parse(line);
    return isFields(value) || Array.isArray(value);
  } catch {
    return false;
  }
}

/** Chooses the reader by the beginning of the text; `whole` where that is all of it. */
function recognise(head: string, whole: boolean, collector: FileCollector, split: TextSplit): Reader {
  const isList = /^\s*\[\s*(?:[{"\]]|\[\s*[[{]|$)/.test(head);
  const isObject = /^\s*\{\s*(?:["}]|$)/.test(head);
  if (isList || isObject) {
    const lines = head.trimStart().split('\n');
    const complete = whole || lines.length === 1 ? lines : lines.slice(0, -1);
    const entries = complete.map((line) => line.trimEnd().replace(/,$/, ''));
    const oneALine = (line: string | undefined): boolean => line !== undefined && parsesAsContainer(line);
    // Objects line by line, some of which may be broken; or a first line too long to see its end.
    const objects = isObject && entries[0] !== '{' && entries.some(oneALine);
    if (objects || (isObject && !whole && lines.length === 1)) return jsonLines(collector);
    // Lists of turns, one conversation a line.
    if (isList && entries.length > 1 && oneALine(entries[0]) && oneALine(entries[1])) return jsonLines(collector);
    return jsonValues(collector, isList);
  }
  const { name } = collector.report;
  // What says it is JSON and is not would be learnt as prose.
  if (/\.(?:jsonl|ndjson)$/i.test(name)) return jsonLines(collector);
  if (/\.json$/i.test(name)) return jsonValues(collector, /^\s*\[/.test(head));
  const delimiter = recogniseTable(head);
  if (delimiter === 'unknown columns' && /\.(?:csv|tsv)$/i.test(collector.report.name)) {
    throw new UserError(
      `“${collector.report.name}” is a table whose columns say nothing about training. Name them text, or prompt and completion, or instruction and output, in its first line.`,
    );
  }
  if (delimiter !== undefined && delimiter !== 'unknown columns') return table(collector, delimiter);
  if (/^\s*<(?:!doctype html|html)/i.test(head)) {
    collector.warn('This is a web page; its tags are kept as they stand. Save it as plain text to be rid of them.');
  }
  return runningText(collector, split);
}

async function readFile(
  pieces: AsyncIterable<string>,
  collector: FileCollector,
  options: ImportOptions,
): Promise<void> {
  const split = options.textSplit ?? 'auto';
  let head = '';
  let reader: Reader | undefined;
  const pacer = new Pacer(options.signal);
  for await (const piece of pieces) {
    if (reader) {
      reader.push(piece);
    } else {
      head += piece;
      if (head.length > BLANK_CHARACTERS || head.trimStart().length >= HEAD_CHARACTERS) {
        reader = recognise(head, false, collector, split);
        reader.push(head);
      }
    }
    await pacer.pause();
  }
  if (!reader) {
    if (head.trim() === '') throw new UserError(`“${collector.report.name}” is empty.`);
    reader = recognise(head, true, collector, split);
    reader.push(head);
  }
  reader.end();
  collector.end();
}

/** Why nothing was kept, in a sentence. */
function nothingKept(report: ImportReport): string {
  const refused = report.files.flatMap((file) => (file.kind === 'refused' ? file.warnings : []));
  const reasons = Object.entries(report.skipped).map(([reason, count]) => `${reason}: ${String(count)}`);
  const names = report.files.map((file) => `“${file.name}”`).join(', ');
  const parts: string[] = [];
  const [first] = report.examples;
  if (reasons.length > 0 || refused.length === 0) {
    const where = first ? `; the first on line ${String(first.line)} of “${first.file}”` : '';
    const found = reasons.length > 0 ? ` (${reasons.join(', ')}${where})` : '';
    parts.push(`Nothing that can be learnt was found in ${names}${found}.`);
  }
  parts.push(...refused);
  if ((report.skipped['no known fields'] ?? 0) > 0) {
    parts.push('Known fields are text; messages; prompt and completion; conversations; instruction and output.');
  }
  return parts.join(' ');
}

function emptyReport(): ImportReport {
  return { files: [], kept: 0, skipped: {}, examples: [], warnings: [] };
}

function addTo(result: ImportResult, collector: FileCollector): void {
  const { report } = result;
  for (const row of collector.rows) result.rows.push(row);
  report.files.push(collector.report);
  report.kept += collector.rows.length;
  report.skipped = addCounts(report.skipped, collector.report.skipped);
  report.examples.push(...collector.examples);
}

/** Files that lie beside a data set's rows and tell of it, by their names alone: they are not learnt. */
const ABOUT =
  /^(?:readme|license|licence|notice|changelog|citation|contributing|authors|code_of_conduct)(?:[.-].*)?$|^(?:dataset_infos?|dataset_dict|state|metadata|croissant)\.json$|^\.|\.(?:ya?ml|py|ipynb|toml|bib|lock)$/i;

const describesSet = (name: string): boolean => ABOUT.test(name.slice(name.lastIndexOf('/') + 1));

interface NamedText {
  name: string;
  pieces: (onBytes: (bytes: number) => void) => AsyncIterable<string>;
  size: number;
}

async function importAll(
  sources: readonly NamedText[],
  options: ImportOptions,
  onProgress?: (progress: ImportProgress) => void,
): Promise<ImportResult> {
  const result: ImportResult = { rows: [], report: emptyReport() };
  const { report } = result;
  const total = sources.reduce((sum, { size }) => sum + size, 0);
  let before = 0;
  for (const { name, pieces, size } of sources) {
    if (options.signal?.aborted) {
      report.stopped = true;
      break;
    }
    if (sources.length > 1 && describesSet(name)) {
      report.files.push({ name, kind: 'about the set', rows: 0, skipped: {}, warnings: [] });
      before += size;
      continue;
    }
    const collector = new FileCollector(name, {
      keepGood: options.keepGood ?? true,
      maxExamples: options.maxExamples ?? 3,
    });
    const onBytes = (bytes: number): void => {
      const fraction = total > 0 ? Math.min(1, (before + bytes) / total) : 1;
      onProgress?.({ fraction, file: name, rows: result.rows.length + collector.rows.length });
    };
    try {
      await readFile(pieces(onBytes), collector, options);
      addTo(result, collector);
    } catch (error) {
      if (options.signal?.aborted && error === options.signal.reason) {
        report.stopped = true;
        collector.stop();
        if (collector.rows.length > 0) addTo(result, collector);
        break;
      }
      // With keepGood one unreadable file must not cost the others; without it, all or nothing.
      const said =
        error instanceof UserError ? error.message : `It could not be read (${String(error).slice(0, 200)}).`;
      const message = said.includes(`“${name}”`) ? said : `“${name}”: ${said}`;
      if (options.keepGood === false) throw new UserError(message, { cause: error });
      report.files.push({ name, kind: 'refused', rows: 0, skipped: {}, warnings: [message] });
    }
    before += size;
  }
  for (const file of report.files) {
    for (const warning of file.warnings) {
      report.warnings.push(warning.includes(`“${file.name}”`) ? warning : `“${file.name}”: ${warning}`);
    }
  }
  if (report.kept === 0 && !report.stopped) throw new ImportError(nothingKept(report), report);
  return result;
}

/**
 * Reads files into training rows. The layout of each is recognised by its content; what does not fit is skipped and
 * counted by reason. Files are read piece by piece, with pauses for other work: memory goes with the rows kept.
 *
 * @throws ImportError (a UserError with the report) where nothing could be kept; UserError for broken JSON with
 *   `keepGood: false`.
 */
export function importFiles(
  files: readonly SourceFile[],
  options: ImportOptions = {},
  onProgress?: (progress: ImportProgress) => void,
): Promise<ImportResult> {
  const sources = files.map((file) => ({
    name: file.name,
    size: file.size,
    pieces: (onBytes: (bytes: number) => void) => decodeText(file, options.signal, onBytes),
  }));
  return importAll(sources, options, onProgress);
}

async function* inPieces(text: string): AsyncGenerator<string, void> {
  for (let at = 0; at < text.length; at += HEAD_CHARACTERS * 2) yield text.slice(at, at + HEAD_CHARACTERS * 2);
}

/** Reads pasted text as `importFiles` reads a file of that content. */
export function importPasted(text: string, options: ImportOptions = {}, name = 'pasted text'): Promise<ImportResult> {
  const clean = newlines(text.startsWith('\ufeff') ? text.slice(1) : text);
  return importAll([{ name, size: text.length, pieces: () => inPieces(clean) }], options);
}
