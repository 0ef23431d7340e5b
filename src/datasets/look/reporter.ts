import { Reporter } from '../report.ts';
import { countAdvice } from './quality.ts';
import type {
  PictureFileReport,
  PictureInfo,
  PictureKind,
  PictureReport,
  PictureRow,
  PictureSkipReason,
} from './types.ts';

/** Writes down what became of each picture, and of the captions and masks beside it. */
export class PictureReporter extends Reporter<PictureKind, PictureSkipReason, PictureFileReport> {
  of(name: string, kind: PictureKind): PictureFileReport {
    return this.begin({ name, kind, rows: 0, skipped: {}, warnings: [] });
  }

  take(file: PictureFileReport, info: PictureInfo): void {
    file.rows = 1;
    if (info.animated) file.warnings.push('The picture moves; only its first frame was taken.');
    if (info.cmyk) {
      file.warnings.push(
        'The picture is stored in printing colours (CMYK) and was converted, so its colours may look a little different.',
      );
    }
  }

  /** @param rows the new ones as settled; @param total pictures of the set with them */
  report(rows: readonly PictureRow[], total: number, stopped: boolean): PictureReport {
    const long = rows.filter(({ warnings }) => warnings.includes('very long or wide'));
    for (const { file, crop } of long) {
      this.files
        .find(({ name, rows: kept }) => kept === 1 && (name === file || name.endsWith(`/${file}`)))
        ?.warnings.push(
          `The picture is very long or wide; only ${crop.width} by ${crop.height} pixels of it are used at a time. Move the crop, or cut it into several pictures.`,
        );
    }
    const advice = countAdvice(total);
    return this.summary(rows.length, advice !== null && total > 0 ? [advice] : [], stopped);
  }
}
