import { UserError } from '../../common/errors.ts';
import { baseName, sidecarKind, stemOf } from '../look/sidecars.ts';
import { EmptyImportError } from '../report.ts';
import { listen, measure, proposeClips } from './analyse.ts';
import type { Analysis } from './analyse.ts';
import { clipOf } from './clips.ts';
import { soundId } from './input.ts';
import { isLowBitrate, isVeryQuiet, leaveOutCopies, settleClips } from './judge.ts';
import { isClipped, silentChannel, waveformOf } from './levels.ts';
import { openSound, SoundRefusal } from './reader.ts';
import type { OpenSound } from './reader.ts';
import { SoundReporter } from './reporter.ts';
import { WordFiles } from './sidecars.ts';
import type {
  Clip,
  SoundFile,
  SoundFileReport,
  SoundInput,
  SoundReport,
  SoundWarning,
  SoundWords,
  Waveform,
} from './types.ts';
import { DEFAULT_SOUND_WORDS } from './words.ts';

export interface SoundImportOptions {
  /** What the words of clips are made from; default DEFAULT_SOUND_WORDS. */
  words?: SoundWords;
  /** What is there already: no file is taken twice, and music that is there is left out. */
  existing?: { files: readonly SoundFile[]; clips: readonly Clip[] };
  /**
   * Given each file as soon as it was heard, one at a time, to keep it; `soFar` gives what the import has come to with it. What
   * this throws ends the import.
   */
  keep?: (sound: SoundFile, input: SoundInput, waveform: Waveform, soFar: () => SoundImport) => void | Promise<void>;
  /** Ends the import; what was heard to its end before is what it gives. */
  signal?: AbortSignal;
}

export interface SoundImportProgress {
  /** Of all bytes, 0 to 1. */
  fraction: number;
  file: string;
  /** Clips found so far. */
  clips: number;
}

export interface SoundImport {
  /** Those that were there and the new ones. */
  files: SoundFile[];
  /** Those that were there and the new ones, settled among each other. */
  clips: Clip[];
  report: SoundReport;
}

/** No file gave a clip. */
export class SoundImportError extends EmptyImportError<SoundReport> {}

/** Seconds that a file must last. */
export const SHORTEST_SOUND = 1;
const MOST_WORDS_BYTES = 16 << 20;
/** Seconds and share by which a file may be shorter than it says: headers are rounded, encoders add a little. */
const MISSING_SECONDS = 0.5;
const MISSING_SHARE = 0.01;

class Importer {
  readonly #options: SoundImportOptions;
  readonly #reporter = new SoundReporter();
  readonly #words = new WordFiles();
  readonly #files: SoundFile[] = [];
  readonly #clips: Clip[] = [];
  /** What is reported of each new clip's file. */
  readonly #reports: SoundFileReport[] = [];
  readonly #known: Map<string, string>;

  constructor(options: SoundImportOptions) {
    this.#options = options;
    this.#known = new Map((options.existing?.files ?? []).map(({ id, name }) => [id, name]));
  }

  async run(inputs: readonly SoundInput[], onProgress?: (at: SoundImportProgress) => void): Promise<SoundImport> {
    if (inputs.length === 0) throw new UserError('There are no files to import.');
    const stems = new Set(inputs.filter(({ name }) => !wordsKind(name)).map(({ name }) => stemOf(name)));
    const sounds = inputs.filter(({ name }) => !wordsKind(name));
    const texts = inputs.filter(({ name }) => wordsKind(name));
    const said = texts.map((input) => ({ input, file: this.#reporter.of(input.name, 'words') }));
    for (const { input, file } of said) await this.#readWords(file, input, stems);
    const total = Math.max(
      1,
      sounds.reduce((sum, { size }) => sum + size, 0),
    );
    let done = 0;
    let stopped = false;
    for (const input of sounds) {
      const tell = (share: number): void =>
        onProgress?.({ fraction: (done + share * input.size) / total, file: input.name, clips: this.#clips.length });
      tell(0);
      stopped = !(await this.#take(input, tell));
      if (stopped) break;
      done += input.size;
    }
    for (const { input, file } of said) {
      if (this.#reporter.isRefused(file) || this.#words.wasUsed(input.name)) continue;
      // Their sound may be one that was not heard any more.
      if (stopped) this.#reporter.forget(file);
      else this.#refuseWords(file);
    }
    const result = this.#result(stopped);
    if (stopped) return result;
    onProgress?.({ fraction: 1, file: '', clips: this.#clips.length });
    if (result.clips.length === 0) throw new SoundImportError(nothingKept(result.report), result.report);
    return result;
  }

  #refuseWords(file: SoundFileReport): void {
    this.#reporter.refuse(
      file,
      'words of no sound',
      'No sound that was taken has its words in this text. Words are named as their sound: song.txt for song.mp3.',
    );
  }

  /** What the import has come to. */
  #result(stopped = false): SoundImport {
    const { files = [], clips = [] } = this.#options.existing ?? {};
    const all = [...files, ...this.#files];
    const settled = settleClips(leaveOutCopies([...clips, ...this.#clips], all, clips.length));
    const seconds = ({ start, end }: Clip): number => end - start;
    const report = this.#reporter.report(
      settled
        .slice(clips.length)
        .map((clip, i) => ({ of: this.#reports[i]!, seconds: seconds(clip), kept: clip.kept })),
      settled.filter(({ kept }) => kept).reduce((sum, clip) => sum + seconds(clip), 0),
      stopped,
    );
    return { files: all, clips: settled, report };
  }

  async #readWords(file: SoundFileReport, input: SoundInput, stems: ReadonlySet<string>): Promise<void> {
    const refuse = (message: string): void => this.#reporter.refuse(file, 'words of no sound', message);
    if (input.size > MOST_WORDS_BYTES) {
      refuse('Words are read from files of up to 16 MB; this one is larger.');
      return;
    }
    const text = new TextDecoder().decode(await input.read(0, input.size));
    try {
      this.#words.add(input.name, wordsKind(input.name)!, text, stems);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      refuse(`Words could not be read. ${error.message}`);
    }
  }

  /** Hears a file to its end; false where it was stopped before: then nothing is said of the file. */
  async #take(input: SoundInput, tell: (share: number) => void): Promise<boolean> {
    const { signal } = this.#options;
    const file = this.#reporter.of(input.name, 'unknown');
    try {
      signal?.throwIfAborted();
      await this.#hear(file, input, tell);
      return true;
    } catch (error) {
      if (!signal?.aborted || error !== signal.reason) throw error;
      this.#reporter.forget(file);
      return false;
    }
  }

  async #hear(file: SoundFileReport, input: SoundInput, tell: (share: number) => void): Promise<void> {
    const reporter = this.#reporter;
    let sound: OpenSound;
    try {
      sound = await openSound(input);
    } catch (error) {
      if (!(error instanceof SoundRefusal)) throw error;
      file.kind = error.refused.kind;
      reporter.refuse(file, error.refused.reason, error.message);
      return;
    }
    try {
      file.kind = sound.kind;
      const id = await soundId(input, this.#options.signal);
      const same = this.#known.get(id);
      if (same !== undefined) {
        reporter.refuse(file, 'the same file twice', `The same file is there already as ${same}.`);
        return;
      }
      const heard = await listen(
        sound.blocks(),
        (seconds) => tell(sound.claimedSeconds ? Math.min(1, seconds / sound.claimedSeconds) : 0.5),
        this.#options.signal,
      );
      if (this.#refuse(file, sound, heard)) return;
      this.#known.set(id, baseName(input.name));
      await this.#add(file, input, id, sound, heard);
    } finally {
      sound.close();
    }
  }

  /** Says why a file that could be heard is no use, if it is none. */
  #refuse(file: SoundFileReport, { broken }: OpenSound, { seconds, levels }: Analysis): boolean {
    const refuse = (
      ...why: Parameters<SoundReporter['refuse']> extends [unknown, ...infer Rest] ? Rest : never
    ): true => {
      this.#reporter.refuse(file, ...why);
      return true;
    };
    if (seconds === 0) {
      return refuse(
        'damaged',
        `Nothing in the file can be decoded; it seems to be damaged or cut off${broken === null ? '' : ` (${broken})`}. Copy it again from where it came from.`,
      );
    }
    if (seconds < SHORTEST_SOUND) {
      return refuse(
        'too short to learn from',
        `The sound lasts ${seconds < 0.1 ? seconds.toFixed(2) : seconds.toFixed(1)} seconds; at least ${SHORTEST_SOUND} second is needed to learn anything.`,
      );
    }
    if (levels.peaks.every((peak) => peak < 1e-4)) {
      return refuse('silent', 'Nothing is heard in the file: it is silent from beginning to end.');
    }
    return false;
  }

  async #add(report: SoundFileReport, input: SoundInput, id: string, sound: OpenSound, heard: Analysis): Promise<void> {
    const { seconds } = heard;
    const { clips, gaps, noise } = proposeClips(heard);
    const whole = measure(heard, 0, seconds);
    const warnings: SoundWarning[] = [];
    const claimed = sound.claimedSeconds ?? 0;
    const short = seconds < claimed - Math.max(MISSING_SECONDS, MISSING_SHARE * claimed);
    if (sound.broken !== null || sound.cutOff || short) warnings.push('breaks off');
    if (sound.channels > 2) warnings.push('more than two channels');
    if (silentChannel(heard.levels, 0, seconds) !== null) warnings.push('one channel silent');
    if (isLowBitrate(heard)) warnings.push('low bitrate');
    if (isClipped(heard.levels, 0, seconds)) warnings.push('clipped');
    if (isVeryQuiet(whole.loudness)) warnings.push('very quiet');
    if (noise) warnings.push('noise');
    const file: SoundFile = {
      id,
      name: baseName(input.name),
      kind: sound.kind,
      codec: sound.codec,
      bytes: input.size,
      seconds,
      channels: sound.channels,
      sampleRate: heard.sampleRate,
      bitrate: Math.round((8 * input.size) / seconds / 1000),
      tags: sound.tags,
      loudness: whole.loudness,
      peak: whole.peak,
      bandwidth: heard.bandwidth,
      tempo: whole.tempo,
      key: whole.key,
      gaps,
      warnings,
    };
    const own = this.#words.of(input.name);
    for (const [i, stretch] of clips.entries()) {
      const clip = clipOf(`${id.slice(0, 16)}-${i}`, file, heard, stretch, this.#options.words ?? DEFAULT_SOUND_WORDS);
      this.#clips.push(own === undefined ? clip : { ...clip, words: own, wordsByHand: true });
      this.#reports.push(report);
    }
    this.#files.push(file);
    this.#reporter.take(report, file);
    await this.#options.keep?.(file, input, waveformOf(heard.levels), () => this.#result());
  }
}

function wordsKind(name: string): 'caption' | 'captions' | null {
  const kind = sidecarKind(name, new Set());
  return kind === 'mask' ? null : kind;
}

function nothingKept(report: SoundReport): string {
  const [first] = report.leftOut;
  if (!first) return 'There is no sound among these files.';
  return report.leftOut.length === 1
    ? `${first.file}: ${first.message}`
    : `None of the ${report.files.length} files is a sound to learn from. ${first.file}: ${first.message}`;
}

/**
 * Hears sounds, one at a time: recognised by their bytes, decoded as a stream, measured, cut at phrases.
 *
 * @param inputs sounds and the words beside them; a name may have folders
 * @throws SoundImportError where no clip could be made; whatever `keep` threw
 */
export function importSounds(
  inputs: readonly SoundInput[],
  options: SoundImportOptions = {},
  onProgress?: (at: SoundImportProgress) => void,
): Promise<SoundImport> {
  return new Importer(options).run(inputs, onProgress);
}

/** A line of clips.jsonl. */
export function clipToLine({ file, start, end, warnings, words, tempo, key, loudness, gain, kept }: Clip): string {
  const round = (value: number, steps: number): number => Math.round(value * steps) / steps;
  return JSON.stringify({
    file,
    start: round(start, 1000),
    end: round(end, 1000),
    warnings,
    ...(words !== '' && { text: words }),
    tempo,
    key,
    loudness: loudness === null ? null : round(loudness, 10),
    gain: round(gain, 1000),
    ...(!kept && { kept }),
  });
}
