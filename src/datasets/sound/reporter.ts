import { Reporter } from '../report.ts';
import { amountAdvice } from './quality.ts';
import type { SoundFile, SoundFileReport, SoundKind, SoundReport, SoundSkipReason } from './types.ts';
import { warningSentence } from './warnings.ts';

/** Writes down what became of each sound, and of the words beside it. */
export class SoundReporter extends Reporter<SoundKind, SoundSkipReason, SoundFileReport> {
  of(name: string, kind: SoundKind): SoundFileReport {
    return this.begin({ name, kind, clips: 0, skipped: {}, warnings: [] });
  }

  take(file: SoundFileReport, sound: SoundFile): void {
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

  /**
   * What became of everything so far.
   * @param clips the new ones, with their file; @param total seconds of all kept clips of the set
   */
  report(
    clips: readonly { of: SoundFileReport; seconds: number; kept: boolean }[],
    total: number,
    stopped: boolean,
  ): SoundReport {
    const kept = clips.filter((clip) => clip.kept);
    const warnings: string[] = [];
    const copies = clips.length - kept.length;
    if (copies > 0) {
      warnings.push(
        `${copies === 1 ? '1 clip is' : `${copies} clips are`} of music that is there already in another file, and ${copies === 1 ? 'was' : 'were'} left out.`,
      );
    }
    const advice = amountAdvice(total);
    if (advice !== null && total > 0) warnings.push(advice);
    const { files, kept: count, ...rest } = this.summary(kept.length, warnings, stopped);
    return {
      files: files.map((file) => ({ ...file, clips: kept.filter(({ of }) => of === file).length })),
      kept: count,
      seconds: round(kept.reduce((sum, { seconds }) => sum + seconds, 0)),
      ...rest,
    };
  }
}

const round = (seconds: number): number => Math.round(seconds * 1000) / 1000;
