import { amountAdvice } from './quality.ts';
import type { SoundFile, SoundFileReport, SoundKind, SoundReport, SoundSkipReason } from './types.ts';
import { warningSentence } from './warnings.ts';

/** Writes down what became of each file. */
export class SoundReporter {
  readonly #files: SoundFileReport[] = [];
  readonly #byName = new Map<string, SoundFileReport>();
  readonly #report: SoundReport = { files: this.#files, kept: 0, seconds: 0, skipped: {}, leftOut: [], warnings: [] };

  /** Begins a file. Two of one name are told apart by being the latest. */
  of(name: string, kind: SoundKind): SoundFileReport {
    const file: SoundFileReport = { name, kind, clips: 0, skipped: {}, warnings: [] };
    this.#files.push(file);
    this.#byName.set(name, file);
    return file;
  }

  warn(name: string, message: string): void {
    this.#byName.get(name)!.warnings.push(message);
  }

  refuse(name: string, reason: SoundSkipReason, message: string): void {
    const file = this.#byName.get(name)!;
    file.skipped[reason] = (file.skipped[reason] ?? 0) + 1;
    file.warnings.push(message);
    this.#report.skipped[reason] = (this.#report.skipped[reason] ?? 0) + 1;
    this.#report.leftOut.push({ file: name, reason, message });
  }

  isRefused(name: string): boolean {
    return Object.keys(this.#byName.get(name)!.skipped).length > 0;
  }

  take(name: string, sound: SoundFile): void {
    const file = this.#byName.get(name)!;
    const { kind, seconds, channels, sampleRate, codec, tags, tempo, key, loudness } = sound;
    Object.assign(file, { kind, seconds: round(seconds), channels, sampleRate, codec, tags, tempo, key });
    file.loudness = loudness === null ? null : Math.round(loudness * 10) / 10;
    for (const warning of sound.warnings) file.warnings.push(warningSentence(warning));
    const left = (reason: string): number =>
      sound.gaps.filter((gap) => gap.reason === reason).reduce((sum, { start, end }) => sum + end - start, 0);
    const [silence, noise] = [left('silence'), left('noise')];
    if (silence >= 1) file.warnings.push(`${silence.toFixed(0)} seconds of silence are in no clip.`);
    if (noise >= 1) file.warnings.push(`${noise.toFixed(0)} seconds of noise or applause are in no clip.`);
  }

  /** @param clips the new ones, with the name of their file's report; @param total seconds of all kept clips of the set */
  finish(clips: readonly { name: string; seconds: number; kept: boolean }[], total: number): SoundReport {
    for (const { name, seconds, kept } of clips) {
      if (!kept) continue;
      this.#byName.get(name)!.clips++;
      this.#report.kept++;
      this.#report.seconds += seconds;
    }
    this.#report.seconds = round(this.#report.seconds);
    const copies = clips.filter(({ kept }) => !kept).length;
    if (copies > 0) {
      this.#report.warnings.push(
        `${copies === 1 ? '1 clip is' : `${copies} clips are`} of music that is there already in another file, and ${copies === 1 ? 'was' : 'were'} left out.`,
      );
    }
    const advice = amountAdvice(total);
    if (advice !== null && total > 0) this.#report.warnings.push(advice);
    return this.#report;
  }
}

const round = (seconds: number): number => Math.round(seconds * 1000) / 1000;
