/** One pass over a file's samples, a block at a time, and what is told from it afterwards. */
import { Pacer } from '../pacer.ts';
import { BandwidthMeter } from './bandwidth.ts';
import { ANALYSIS_RATE, FAST_RATE, FeatureExtractor, PRINT_RATE } from './features.ts';
import type { Features } from './features.ts';
import { keyBetween } from './key.ts';
import { LevelMeter, peakOf } from './levels.ts';
import type { Levels } from './levels.ts';
import { ENERGIES_A_SECOND, integratedLoudness, LoudnessMeter } from './loudness.ts';
import { toMono } from './mix.ts';
import { cutAtPhrases, LONGEST_CLIP, novelty } from './phrases.ts';
import { encodePrint } from './prints.ts';
import { FAST, Resampler } from './resampler.ts';
import { beatsOf, tempoOf } from './rhythm.ts';
import { musicStretches } from './stretches.ts';
import type { Stretch } from './stretches.ts';
import type { Gap, Key, SoundBlock } from './types.ts';

/** Everything that was measured of one file. Of an hour, about 10 MB. */
export interface Analysis {
  seconds: number;
  sampleRate: number;
  levels: Levels;
  /** Weighted energies, ENERGIES_A_SECOND: see loudness.ts. */
  energies: Float32Array<ArrayBuffer>;
  features: Features;
  bandwidth: number;
  /** Hertz from which on an encoder has cut everything off; null where none has. */
  wall: number | null;
}

/**
 * Listens to a file once. Memory does not grow with anything but what is measured.
 *
 * @param onSeconds hears how many seconds are done
 * @throws the signal's reason where it was aborted.
 */
export async function listen(
  blocks: AsyncIterable<SoundBlock>,
  onSeconds?: (seconds: number) => void,
  signal?: AbortSignal,
): Promise<Analysis> {
  let rate = 0;
  let samples = 0;
  let parts: Parts | null = null;
  const pacer = new Pacer(signal);
  for await (const { channels, sampleRate } of blocks) {
    signal?.throwIfAborted();
    if (!parts) {
      rate = sampleRate;
      parts = new Parts(rate);
    }
    parts.push(channels);
    samples += channels[0]!.length;
    onSeconds?.(samples / rate);
    await pacer.pause();
  }
  parts ??= new Parts(ANALYSIS_RATE);
  return parts.end(rate === 0 ? 0 : samples / rate, rate);
}

class Parts {
  readonly #levels: LevelMeter;
  readonly #loudness: LoudnessMeter;
  readonly #bandwidth: BandwidthMeter;
  readonly #resampler: Resampler;
  readonly #features = new FeatureExtractor();

  constructor(rate: number) {
    this.#levels = new LevelMeter(rate);
    this.#loudness = new LoudnessMeter(rate);
    this.#bandwidth = new BandwidthMeter(rate);
    this.#resampler = new Resampler(rate, ANALYSIS_RATE, FAST);
  }

  push(channels: Float32Array<ArrayBuffer>[]): void {
    this.#levels.push(channels);
    this.#loudness.push(channels);
    const mono = toMono(channels);
    this.#bandwidth.push(mono);
    this.#features.push(this.#resampler.push(mono));
  }

  end(seconds: number, sampleRate: number): Analysis {
    this.#features.push(this.#resampler.end());
    return {
      seconds,
      sampleRate,
      levels: this.#levels.levels(),
      energies: this.#loudness.energies(),
      features: this.#features.features(),
      bandwidth: this.#bandwidth.bandwidth(),
      wall: this.#bandwidth.wall(),
    };
  }
}

/** What is measured of any stretch of a file, in no time: for clips whose edges were moved too. */
export interface Measured {
  tempo: number | null;
  key: Key | null;
  loudness: number | null;
  peak: number;
  print: string;
}

export function measure(
  { features, levels, energies }: Analysis,
  start: number,
  end: number,
  usualTempo: number | null = null,
): Measured {
  const frames = (rate: number): [number, number] => [Math.round(start * rate), Math.round(end * rate)];
  return {
    tempo: tempoOf(features.onsets, ...frames(FAST_RATE), usualTempo),
    key: keyBetween(features, start, end),
    loudness: integratedLoudness(
      energies,
      Math.min(energies.length, Math.floor(start * ENERGIES_A_SECOND)),
      Math.min(energies.length, Math.ceil(end * ENERGIES_A_SECOND)),
    ),
    peak: peakOf(levels, start, end),
    print: encodePrint(features.prints.subarray(...frames(PRINT_RATE))),
  };
}

/** Seconds of music that are worth a clip, where a file has more. */
const SHORTEST = 3;

/** Where a file is cut, and what is left out. What is noise throughout is cut as if it were music; `noise` says so. */
export function proposeClips(analysis: Analysis): { clips: Stretch[]; gaps: Gap[]; noise: boolean } {
  const { features, seconds } = analysis;
  // A file that is short as a whole is one clip.
  let { music, gaps } = musicStretches(features, seconds, Math.min(SHORTEST, seconds / 2));
  const noise = music.length === 0;
  if (noise) [music, gaps] = [[{ start: 0, end: seconds }], []];
  const change = novelty(features);
  const clips = music.flatMap((stretch) => {
    if (stretch.end - stretch.start <= LONGEST_CLIP) return [stretch];
    const [from, to] = [Math.floor(stretch.start * FAST_RATE), Math.ceil(stretch.end * FAST_RATE)];
    const onsets = features.onsets.subarray(from, to);
    const tempo = tempoOf(onsets);
    const beats = tempo === null ? new Float64Array() : beatsOf(onsets, tempo).map((beat) => beat + from / FAST_RATE);
    return cutAtPhrases(stretch, features, change, beats);
  });
  return { clips, gaps, noise };
}
