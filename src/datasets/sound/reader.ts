/** Opens sound files with mediabunny and streams their samples: a second or so in memory at a time, whatever their length. */
import {
  ADTS,
  AudioSampleSink,
  CustomSource,
  FLAC,
  Input,
  LogLevel,
  Logging,
  MATROSKA,
  MP3,
  MP4,
  MPEG_TS,
  OGG,
  QTFF,
  UnsupportedInputFormatError,
  WAVE,
  WEBM,
} from 'mediabunny';
import type { AudioSample, InputAudioTrack } from 'mediabunny';
import { UserError } from '../../common/errors.ts';
import { chooseDecoder } from './decoders.ts';
import { joinedChannels, toStereo } from './mix.ts';
import { wavLengths } from './riff.ts';
import { protectedFile, SNIFF_BYTES, sniffSound } from './sniff.ts';
import type { SoundRefused } from './sniff.ts';
import { readTags } from './tags.ts';
import type { SoundBlock, SoundInput, SoundKind, SoundTags } from './types.ts';

/** A file that gives no sound; `refused` says what it is and why, `message` is its sentence. */
export class SoundRefusal extends UserError {
  override name = 'SoundRefusal';
  readonly refused: SoundRefused;

  constructor(refused: SoundRefused, options?: ErrorOptions) {
    super(refused.message, options);
    this.refused = refused;
  }
}

/** All but playlists, which would be fetched from elsewhere. */
const FORMATS = [MP4, QTFF, MATROSKA, WEBM, OGG, MP3, WAVE, ADTS, FLAC, MPEG_TS];

/** Seconds decoded before a place in the middle: MP3 and Opus need what came before to sound right. */
const PREROLL = 0.3;
/** Samples gathered before they are handed on. */
const BLOCK = 1 << 15;
const CACHE_BYTES = 8 << 20;

export interface OpenSound {
  kind: SoundKind;
  codec: string;
  /** As stored. */
  channels: number;
  sampleRate: number;
  tags: SoundTags;
  /** What the header claims, of a WAV as much of it as there is; null where it says nothing. */
  claimedSeconds: number | null;
  /** Whether the header declares more bytes than there are. Only a WAV's does declare them. */
  cutOff: boolean;
  /**
   * Samples of [start, end) seconds, mixed down to two channels where there are more, in blocks of about a second.
   * A file that is damaged in the middle gives what lies before; `broken` is then set.
   */
  blocks(start?: number, end?: number): AsyncGenerator<SoundBlock>;
  /** Why decoding ended before the file did; null where it did not. */
  readonly broken: string | null;
  close(): void;
}

const whyOf = (error: unknown): string => (error instanceof Error ? error.message.split('\n')[0]! : String(error));

function damaged(kind: SoundKind, error: unknown): SoundRefusal {
  return new SoundRefusal(
    {
      kind,
      reason: 'damaged',
      message: `The file cannot be opened; it seems to be damaged or cut off (${whyOf(error)}). Copy it again from where it came from.`,
    },
    { cause: error },
  );
}

const NAMES: Record<string, string> = {
  aac: 'AAC',
  ac3: 'Dolby Digital',
  eac3: 'Dolby Digital Plus',
  dts: 'DTS',
  alac: 'Apple Lossless',
  opus: 'Opus',
};

function undecodable(kind: SoundKind, codec: string): SoundRefusal {
  const name = NAMES[codec] ?? `the form “${codec}”`;
  const other =
    codec === 'aac' || codec.includes('ac3')
      ? ' Another browser may open it (Safari, Chrome or Edge), or save'
      : ' Save';
  return new SoundRefusal({
    kind,
    reason: 'not readable here',
    message: `The sound is stored as ${name}, which cannot be decoded here.${other} it as FLAC, WAV or MP3 and drop that.`,
  });
}

/** Apple's names for what is locked, and the ISO's. */
const LOCKED = ['drms', 'enca'];

async function openTrack(input: Input, kind: SoundKind): Promise<InputAudioTrack> {
  let track: InputAudioTrack | null;
  try {
    track = await input.getPrimaryAudioTrack();
  } catch (error) {
    if (error instanceof UnsupportedInputFormatError) {
      throw damaged(kind, new Error('its form is not recognised past the first bytes'));
    }
    throw damaged(kind, error);
  }
  if (!track && (await input.getTracks()).length === 0)
    throw damaged(kind, new Error('the list of what is in it is missing'));
  if (!track) {
    throw new SoundRefusal({
      kind,
      reason: 'not a sound',
      message: 'There is no sound in this file, only pictures or nothing.',
    });
  }
  return track;
}

/**
 * Opens a file.
 * @throws SoundRefusal where there is no sound in it that can be decoded here.
 */
export async function openSound(raw: SoundInput): Promise<OpenSound> {
  const head = await raw.read(0, Math.min(raw.size, SNIFF_BYTES));
  const sniffed = sniffSound(head);
  if (sniffed.refused) throw new SoundRefusal(sniffed.refused);
  let { kind } = sniffed;
  const { input: file, cutOff } = kind === 'wav' ? await wavLengths(raw) : { input: raw, cutOff: false };
  Logging.level = LogLevel.Silent;
  const input = new Input({
    formats: FORMATS,
    source: new CustomSource({
      getSize: () => file.size,
      read: (start, end) => file.read(start, end),
      maxCacheSize: CACHE_BYTES,
      prefetchProfile: 'fileSystem',
    }),
  });
  try {
    const track = await openTrack(input, kind);
    if (kind === 'video' && (await input.getVideoTracks()).length === 0) {
      kind = [MATROSKA, WEBM].includes(await input.getFormat()) ? 'webm' : 'm4a';
    }
    const internal = await track.getInternalCodecId();
    if (typeof internal === 'string' && LOCKED.includes(internal)) throw new SoundRefusal(protectedFile(kind));
    const codec = await track.getCodec();
    const config = await track.getDecoderConfig();
    if (codec === null || !config) throw undecodable(kind, String(internal ?? 'unknown'));
    await chooseDecoder(codec, config);
    if (!(await track.canDecode())) throw undecodable(kind, codec);
    const [channels, sampleRate, first, claimedSeconds] = [
      await track.getNumberOfChannels(),
      await track.getSampleRate(),
      await track.getFirstTimestamp(),
      await track.getDurationFromMetadata(),
    ];
    const stream = new Stream(track, Math.max(0, first), codec === 'vorbis' || codec === 'opus');
    return {
      kind,
      codec,
      channels,
      sampleRate,
      tags: await readTags(input),
      claimedSeconds: claimedSeconds === null ? null : claimedSeconds - Math.max(0, first),
      cutOff,
      blocks: (start, end) => stream.blocks(start, end),
      get broken() {
        return stream.broken;
      },
      close: () => input.dispose(),
    };
  } catch (error) {
    input.dispose();
    throw error instanceof SoundRefusal ? error : damaged(kind, error);
  }
}

class Stream {
  readonly #track: InputAudioTrack;
  /** Where the track begins, seconds. */
  readonly #zero: number;
  readonly #xiph: boolean;
  broken: string | null = null;

  constructor(track: InputAudioTrack, zero: number, xiph: boolean) {
    this.#track = track;
    this.#zero = zero;
    this.#xiph = xiph;
  }

  async *blocks(start = 0, end = Infinity): AsyncGenerator<SoundBlock> {
    const samples = new AudioSampleSink(this.#track).samples(
      start === 0 ? undefined : Math.max(0, this.#zero + start - PREROLL),
      end === Infinity ? undefined : this.#zero + end,
    );
    const gather = new Gatherer(this.#xiph);
    let rate = 0;
    /** Samples still to be left out at the beginning, and still wanted. */
    let skip = 0;
    let wanted = Infinity;
    try {
      for await (const sample of samples) {
        try {
          if (rate === 0) {
            rate = sample.sampleRate;
            const from = Math.round(start * rate);
            skip = from - Math.round((sample.timestamp - this.#zero) * rate);
            if (end !== Infinity) wanted = Math.round(end * rate) - from;
          }
          if (sample.sampleRate !== rate) throw new Error(`the sampling rate changes to ${sample.sampleRate} Hz`);
          const frames = sample.numberOfFrames;
          const left = Math.min(frames, Math.max(0, skip));
          skip -= left;
          const count = Math.min(frames - left, wanted);
          if (count > 0) {
            gather.add(sample, left, count);
            wanted -= count;
          }
        } finally {
          sample.close();
        }
        if (gather.length >= BLOCK) yield { channels: gather.take(), sampleRate: rate };
        if (wanted <= 0) break;
      }
    } catch (error) {
      this.broken = whyOf(error);
    }
    if (gather.length > 0) yield { channels: gather.take(), sampleRate: rate };
  }
}

/** Joins small pieces. */
class Gatherer {
  readonly #xiph: boolean;
  #pieces: Float32Array<ArrayBuffer>[][] = [];
  length = 0;

  constructor(xiph: boolean) {
    this.#xiph = xiph;
  }

  add(sample: AudioSample, frameOffset: number, frameCount: number): void {
    const channels = Array.from({ length: sample.numberOfChannels }, (_, planeIndex) => {
      const plane = new Float32Array(frameCount);
      sample.copyTo(plane, { planeIndex, format: 'f32-planar', frameOffset, frameCount });
      return plane;
    });
    const two = toStereo(channels, this.#xiph);
    // A stream that changes between one and two channels goes on as it began.
    const count = this.#pieces[0]?.length ?? two.length;
    this.#pieces.push(Array.from({ length: count }, (_, i) => two[i] ?? two[0]!));
    this.length += frameCount;
  }

  take(): Float32Array<ArrayBuffer>[] {
    const channels = joinedChannels(this.#pieces);
    this.#pieces = [];
    this.length = 0;
    return channels;
  }
}
