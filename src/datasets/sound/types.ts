import type { BaseFileReport, FilesReport } from '../report.ts';

/**
 * Songs and clips of a sound: what importing produces, what curation edits and what training reads. The samples lie apart: a
 * clip says which stretch of which file is heard, and what is said of it.
 */

/** What a file is, by its bytes. */
export type SoundKind =
  | 'mp3'
  | 'wav'
  | 'flac'
  | 'ogg vorbis'
  | 'ogg opus'
  | 'm4a'
  | 'webm'
  | 'aac'
  | 'video'
  | 'other sound'
  | 'picture'
  | 'words'
  | 'text'
  | 'unknown';

/** Why a file did not become clips. The phrases are shown and written into reports as they stand. */
export type SoundSkipReason =
  | 'not a sound'
  | 'not readable here'
  | 'protected'
  | 'damaged'
  | 'silent'
  | 'too short to learn from'
  | 'the same file twice'
  | 'empty'
  | 'words of no sound';

/** What is told by the file about itself (ID3, Vorbis comments, MP4 atoms); shown, never sent anywhere. */
export interface SoundTags {
  title?: string;
  artist?: string;
  album?: string;
  genre?: string;
  year?: string;
  comment?: string;
}

/** Why a file or a clip is shown with a mark; each has a sentence of its own: see warnings.ts. */
export type SoundWarning =
  | 'clipped'
  | 'one channel silent'
  | 'low bitrate'
  | 'nearly the same'
  | 'breaks off'
  | 'more than two channels'
  | 'very quiet'
  | 'noise'
  | 'short';

/** Sounds as files hold them: they can be read in any place, as a Blob can. Files of a disk and of the page are both that. */
export interface SoundInput {
  /** A name, or a path from the folder's own name on; shown. */
  name: string;
  /** Bytes. */
  size: number;
  /** Bytes [start, end). */
  read(start: number, end: number): Promise<Uint8Array>;
}

/** Why a stretch of a file is in no clip. */
export type GapReason = 'silence' | 'noise' | 'too short';

export interface Gap {
  start: number;
  end: number;
  reason: GapReason;
}

/** A key as a person reads it: `F# minor`. */
export type Key = string;

export interface SoundFile {
  /** Hex; depends on all bytes of the file: the key of its bytes and of whatever is cached for it. See `soundId`. */
  id: string;
  /** Name of the file it came from; shown, never a path. */
  name: string;
  kind: SoundKind;
  /** As the format calls it: mp3, vorbis, opus, flac, aac, pcm-s16 … */
  codec: string;
  bytes: number;
  /** Decoded, not what the header claims. */
  seconds: number;
  /** As stored; more than two are mixed down to two. */
  channels: number;
  /** As stored, in hertz. */
  sampleRate: number;
  /** Kilobits a second over the whole file. */
  bitrate: number;
  tags: SoundTags;
  /** Of the whole, LUFS (ITU-R BS.1770, gated); null where all is silent. */
  loudness: number | null;
  /** Largest absolute sample, 1 is full scale. */
  peak: number;
  /** Hertz above which next to nothing sounds. */
  bandwidth: number;
  tempo: number | null;
  key: Key | null;
  /** Stretches that no clip was proposed for. */
  gaps: Gap[];
  warnings: SoundWarning[];
}

export interface Clip {
  /** Unique in a data set. */
  id: string;
  /** The SoundFile's id. */
  fileId: string;
  /** The SoundFile's name; shown. */
  file: string;
  /** Seconds in the file, [start, end). */
  start: number;
  end: number;
  /** Whether a person moved the edges: importing again does not move them then. */
  edgesByHand: boolean;
  /** Whether it is learnt from. */
  kept: boolean;
  words: string;
  wordsByHand: boolean;
  /** What a tagger heard, best first; empty where none was asked. */
  tagged: string[];
  /** Beats a minute, or null where no beat was found. */
  tempo: number | null;
  key: Key | null;
  /** LUFS, null where silent. */
  loudness: number | null;
  /** Largest absolute sample. */
  peak: number;
  /** What the samples are multiplied by for training, so that all clips are about as loud and none clips. */
  gain: number;
  /** Words of 32 bits, base64: near clips have near prints, wherever they were cut. See `prints.ts`. */
  print: string;
  warnings: SoundWarning[];
}

/** What a person says once for all clips. */
export interface SoundWords {
  /** A word of its own for what is learnt; may be empty. */
  triggerWord: string;
  /** With {trigger}, {tags}, {tempo}, {key}, {genre}, {title}, {artist}, {file}: see `fillSoundTemplate`. */
  template: string;
}

/** The shape of a file for drawing: largest absolute sample of each of `perSecond` parts of a second, 0 to 255. */
export interface Waveform {
  perSecond: number;
  peaks: Uint8Array<ArrayBuffer>;
}

export interface SoundFileReport extends BaseFileReport<SoundKind, SoundSkipReason> {
  /** Clips kept of this file. */
  clips: number;
  seconds?: number;
  channels?: number;
  sampleRate?: number;
  codec?: string;
  tags?: SoundTags;
  tempo?: number | null;
  key?: Key | null;
  loudness?: number | null;
}

/** What an import of sounds understood; clips are what is kept. */
export interface SoundReport extends FilesReport<SoundFileReport, SoundSkipReason> {
  /** Of all clips. */
  seconds: number;
}

/** Samples of one or more channels, each of the same length, -1 to 1 (may go beyond where the format holds floats). */
export interface SoundBlock {
  channels: Float32Array<ArrayBuffer>[];
  sampleRate: number;
}

/** A clip as training wants it. */
export interface SoundSource {
  /** The clip's key in caches: depends on the file's bytes and the edges. */
  id: string;
  name: string;
  seconds: number;
  words: string;
  /**
   * All samples of the clip, its gain applied, resampled: `channels` arrays of round(seconds · rate) samples.
   * A mono clip read with two channels gives the same twice; a stereo one read with one gives the mean.
   */
  read(rate: number, channels: 1 | 2): Promise<Float32Array<ArrayBuffer>[]>;
}
