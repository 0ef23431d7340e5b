import { UserError } from '../common/errors.ts';

export type SkipCountsOf<Reason extends string> = Partial<Record<Reason, number>>;

/** What an import understood of one file. */
export interface BaseFileReport<Kind extends string, Reason extends string> {
  name: string;
  kind: Kind;
  skipped: SkipCountsOf<Reason>;
  warnings: string[];
}

/** What an import understood; the same object is the headless import's report.json. */
export interface BaseReport<File, Reason extends string> {
  files: File[];
  /** What was kept of all files. */
  kept: number;
  /** Counts by reason, over all files. */
  skipped: SkipCountsOf<Reason>;
  /** About the whole set. */
  warnings: string[];
  /** Present where it was stopped before everything was read: what was read by then is kept. */
  stopped?: true;
}

/** The report of an import in which whole files are left out. */
export interface FilesReport<File, Reason extends string> extends BaseReport<File, Reason> {
  /** Everything left out, with the sentence that says why. */
  leftOut: { file: string; reason: Reason; message: string }[];
}

/** Nothing could be used; `report` says what was found in each file. */
export class EmptyImportError<Report> extends UserError {
  readonly report: Report;

  constructor(message: string, report: Report, options?: ErrorOptions) {
    super(message, options);
    this.report = report;
  }
}

/** Two counts by reason as one. */
export function addCounts<Reason extends string>(
  a: SkipCountsOf<Reason>,
  b: SkipCountsOf<Reason>,
): SkipCountsOf<Reason> {
  const sum = { ...a };
  for (const [reason, count] of Object.entries(b) as [Reason, number][]) sum[reason] = (sum[reason] ?? 0) + count;
  return sum;
}

/** The reports of two imports into one set as one; about the whole set and its end the later one speaks. */
export function joinReports<Report extends FilesReport<unknown, string>>(a: Report | undefined, b: Report): Report {
  if (!a) return b;
  return {
    ...b,
    files: [...a.files, ...b.files],
    kept: a.kept + b.kept,
    skipped: addCounts(a.skipped, b.skipped),
    leftOut: [...a.leftOut, ...b.leftOut],
  };
}

/** Writes down what became of each file. */
export class Reporter<Kind extends string, Reason extends string, File extends BaseFileReport<Kind, Reason>> {
  protected files: File[] = [];
  readonly #leftOut: FilesReport<File, Reason>['leftOut'] = [];

  protected begin(file: File): File {
    this.files.push(file);
    return file;
  }

  /** As if it had never begun. */
  forget(file: File): void {
    this.files = this.files.filter((other) => other !== file);
  }

  refuse(file: File, reason: Reason, message: string): void {
    file.skipped[reason] = (file.skipped[reason] ?? 0) + 1;
    file.warnings.push(message);
    this.#leftOut.push({ file: file.name, reason, message });
  }

  isRefused(file: File): boolean {
    return Object.keys(file.skipped).length > 0;
  }

  /** What became of everything so far. */
  protected summary(kept: number, warnings: string[], stopped: boolean): FilesReport<File, Reason> {
    const skipped: SkipCountsOf<Reason> = {};
    for (const { reason } of this.#leftOut) skipped[reason] = (skipped[reason] ?? 0) + 1;
    return {
      files: [...this.files],
      kept,
      skipped,
      leftOut: [...this.#leftOut],
      warnings,
      ...(stopped && { stopped }),
    };
  }
}
