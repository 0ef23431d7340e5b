import { countAdvice } from './quality.ts';
import type {
  PictureFileReport,
  PictureInfo,
  PictureKind,
  PictureReport,
  PictureRow,
  PictureSkipReason,
} from './types.ts';

/** Writes down what became of each file. */
export class PictureReporter {
  readonly #files: PictureFileReport[] = [];
  readonly #byName = new Map<string, PictureFileReport>();
  readonly #report: PictureReport = { files: this.#files, kept: 0, skipped: {}, leftOut: [], warnings: [] };

  /** Begins a file. Two of one name are told apart by being the latest. */
  of(name: string, kind: PictureKind): void {
    const file: PictureFileReport = { name, kind, rows: 0, skipped: {}, warnings: [] };
    this.#files.push(file);
    this.#byName.set(name, file);
  }

  size(name: string, [width, height]: readonly [number, number]): void {
    Object.assign(this.#byName.get(name)!, { width, height });
  }

  warn(name: string, message: string): void {
    this.#byName.get(name)!.warnings.push(message);
  }

  refuse(name: string, reason: PictureSkipReason, message: string): void {
    const file = this.#byName.get(name)!;
    file.skipped[reason] = (file.skipped[reason] ?? 0) + 1;
    file.warnings.push(message);
    this.#report.skipped[reason] = (this.#report.skipped[reason] ?? 0) + 1;
    this.#report.leftOut.push({ file: name, reason, message });
  }

  isRefused(name: string): boolean {
    return Object.keys(this.#byName.get(name)!.skipped).length > 0;
  }

  take(name: string, info: PictureInfo): void {
    const file = this.#byName.get(name)!;
    file.rows = 1;
    this.#report.kept++;
    if (info.animated) file.warnings.push('The picture moves; only its first frame was taken.');
    if (info.cmyk) {
      file.warnings.push(
        'The picture is stored in printing colours (CMYK) and was converted, so its colours may look a little different.',
      );
    }
  }

  /** @param rows the new ones as settled; @param total pictures of the set with them */
  finish(rows: readonly PictureRow[], total: number): PictureReport {
    const long = rows.filter(({ warnings }) => warnings.includes('very long or wide'));
    for (const { file, crop } of long) {
      this.#files
        .find(({ name, rows: kept }) => kept === 1 && (name === file || name.endsWith(`/${file}`)))
        ?.warnings.push(
          `The picture is very long or wide; only ${crop.width} by ${crop.height} pixels of it are used at a time. Move the crop, or cut it into several pictures.`,
        );
    }
    const advice = countAdvice(total);
    if (advice !== null && total > 0) this.#report.warnings.push(advice);
    return this.#report;
  }
}
