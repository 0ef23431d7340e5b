import { describe, expect, it } from 'vitest';
import { listen, measure, proposeClips } from '../../../src/datasets/sound/analyse.ts';
import type { Analysis } from '../../../src/datasets/sound/analyse.ts';
import { BandwidthMeter } from '../../../src/datasets/sound/bandwidth.ts';
import { PowerSpectrum } from '../../../src/datasets/sound/fft.ts';
import { concatFloats } from '../../../src/common/floats.ts';
import { keyOf } from '../../../src/datasets/sound/key.ts';
import { isClipped, LevelMeter, silentChannel } from '../../../src/datasets/sound/levels.ts';
import {
  eveningGain,
  integratedLoudness,
  kWeighting,
  LoudnessMeter,
  TARGET_LUFS,
} from '../../../src/datasets/sound/loudness.ts';
import { decodePrint, encodePrint, samePrints } from '../../../src/datasets/sound/prints.ts';
import { BEST, FAST, resampleAll, Resampler } from '../../../src/datasets/sound/resampler.ts';
import type { SoundBlock } from '../../../src/datasets/sound/types.ts';
import { A_MINOR, applause, C_MAJOR, difference, make, powerAt, random, sine, song } from './material.ts';
import type { Samples } from './material.ts';

async function* inBlocks(channels: readonly Samples[], sampleRate: number, size = 20_000): AsyncGenerator<SoundBlock> {
  for (let at = 0; at < channels[0]!.length; at += size) {
    yield { channels: channels.map((channel) => channel.slice(at, at + size)), sampleRate };
    await Promise.resolve();
  }
}

const hear = (channels: readonly Samples[], rate: number): Promise<Analysis> => listen(inBlocks(channels, rate));

describe('spectra', () => {
  it('are those of the definition', () => {
    const size = 64;
    const noise = random(1);
    const samples = make(1, size + 3, () => noise());
    const out = new Float32Array(size / 2 + 1);
    new PowerSpectrum(size).of(samples, 3, out);
    for (let bin = 0; bin <= size / 2; bin++) {
      let [re, im] = [0, 0];
      for (let n = 0; n < size; n++) {
        const value = (samples[n + 3]! * (2 - 2 * Math.cos((2 * Math.PI * n) / size))) / size;
        re += value * Math.cos((2 * Math.PI * bin * n) / size);
        im -= value * Math.sin((2 * Math.PI * bin * n) / size);
      }
      expect(Math.abs(out[bin]! - (re * re + im * im))).toBeLessThan(1e-6);
    }
    expect(() => new PowerSpectrum(48)).toThrow(/power of two/);
  });
});

describe('resampling', () => {
  it.each([
    [44_100, 32_000],
    [48_000, 32_000],
    [16_000, 48_000],
    [44_101, 8000],
  ])('from %i to %i Hz keeps a tone and its place', (from, to) => {
    const hertz = 1234.5;
    const tone = make(0.5, from, sine(hertz));
    const out = resampleAll(tone, from, to);
    expect(out.length).toBe(Math.ceil((tone.length * to) / from));
    const inner = (samples: Samples): Samples => samples.slice(0.05 * to, 0.45 * to);
    expect(difference(inner(out), inner(make(0.5, to, sine(hertz))))).toBeLessThan(2e-5);
  });

  it('lets nothing fold back', () => {
    const out = resampleAll(make(0.5, 48_000, sine(9_500)), 48_000, 16_000);
    expect(Math.max(...out.slice(800, 7200).map(Math.abs))).toBeLessThan(2e-5);
    const fast = resampleAll(make(0.5, 48_000, sine(9_500)), 48_000, 16_000, FAST);
    expect(Math.max(...fast.slice(800, 7200).map(Math.abs))).toBeLessThan(2e-3);
  });

  it('gives the same whatever the blocks are', () => {
    const noise = random(4);
    const samples = make(0.2, 44_100, () => noise());
    const whole = resampleAll(samples, 44_100, 32_000);
    for (const size of [1, 37, 1152, 5000]) {
      const resampler = new Resampler(44_100, 32_000, BEST);
      const parts: Samples[] = [];
      for (let at = 0; at < samples.length; at += size) parts.push(resampler.push(samples.slice(at, at + size)));
      parts.push(resampler.end());
      expect(concatFloats(parts)).toEqual(whole);
    }
  });
});

describe('loudness', () => {
  const integrated = (channels: readonly Samples[], rate: number): number | null => {
    const meter = new LoudnessMeter(rate);
    meter.push(channels);
    return integratedLoudness(meter.energies());
  };

  it('filters as the table of BS.1770 says for 48 kHz', () => {
    const [shelf, pass] = kWeighting(48_000);
    const table = [1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585];
    shelf.forEach((value, i) => expect(value).toBeCloseTo(table[i]!, 7));
    expect(pass.slice(0, 3)).toEqual([1, -2, 1]);
    expect(pass[3]).toBeCloseTo(-1.99004745483398, 7);
    expect(pass[4]).toBeCloseTo(0.99007225036621, 7);
  });

  it.each([44_100, 48_000, 96_000])('is -3.01 LUFS for a full-scale tone of 997 Hz in one channel at %i Hz', (rate) => {
    const tone = make(3, rate, sine(997, 1));
    expect(integrated([tone], rate)).toBeCloseTo(-3.01, 1);
    expect(integrated([tone, tone], rate)).toBeCloseTo(0, 1);
  });

  it('leaves silence and what is far below out of the mean, as EBU Tech 3341 tests it', () => {
    // Its third case: 10 s at -36, 60 s at -23, 10 s at -36 LUFS, shortened to a fifth.
    const at = (lufs: number, seconds: number): Samples => make(seconds, 48_000, sine(1000, 10 ** (lufs / 20)));
    const stereo = concatFloats([at(-36, 2), at(-23, 12), at(-36, 2), at(-90, 4)]);
    // It allows a tenth.
    expect(Math.abs(integrated([stereo, stereo], 48_000)! + 23)).toBeLessThan(0.1);
    expect(integrated([new Float32Array(48_000)], 48_000)).toBeNull();
  });

  it('evens clips out without letting them clip', () => {
    expect(20 * Math.log10(eveningGain(-26, 0.1))).toBeCloseTo(TARGET_LUFS + 26, 6);
    expect(eveningGain(-26, 0.8) * 0.8).toBeCloseTo(10 ** (-1 / 20), 6);
    expect(eveningGain(-8, 1)).toBeCloseTo(10 ** (-8 / 20), 6);
    expect(20 * Math.log10(eveningGain(-60, 0.001))).toBeCloseTo(20, 6);
    expect(eveningGain(null, 0)).toBe(1);
  });
});

describe('levels', () => {
  const levels = (channels: readonly Samples[], rate: number) => {
    const meter = new LevelMeter(rate);
    meter.push(channels);
    return meter.levels();
  };

  it('notice clipping, and not loud music that is whole', () => {
    const rate = 22_050;
    const loud = make(2, rate, sine(220, 0.995));
    const cut = make(2, rate, (time) => Math.max(-1, Math.min(1, 1.4 * Math.sin(2 * Math.PI * 220 * time))));
    expect(isClipped(levels([loud], rate), 0, 2)).toBe(false);
    expect(isClipped(levels([cut], rate), 0, 2)).toBe(true);
    const half = levels([concatFloats([loud, cut])], rate);
    expect([isClipped(half, 0, 2), isClipped(half, 2, 4)]).toEqual([false, true]);
  });

  it('notice a channel that is silent beside the other', () => {
    const tone = make(1, 8000, sine(300));
    const hum = make(1, 8000, sine(50, 0.001));
    const quiet = make(1, 8000, sine(300, 0.05));
    expect(silentChannel(levels([tone, hum], 8000), 0, 1)).toBe(1);
    expect(silentChannel(levels([new Float32Array(8000), tone], 8000), 0, 1)).toBe(0);
    expect(silentChannel(levels([tone, quiet], 8000), 0, 1)).toBeNull();
    expect(silentChannel(levels([tone], 8000), 0, 1)).toBeNull();
  });
});

describe('bandwidth', () => {
  const rate = 44_100;
  const wall = (samples: Samples): [number, number | null] => {
    const meter = new BandwidthMeter(rate);
    meter.push(samples);
    return [meter.bandwidth(), meter.wall()];
  };
  const hiss = (): Samples => {
    const noise = random(9);
    return make(4, rate, () => 0.3 * noise());
  };

  it('finds where an encoder has cut, and no wall in what fades by itself', () => {
    expect(wall(hiss())).toEqual([22_050, null]);
    // Down to 16 kHz and up again: nothing is left above 8 kHz.
    const [, cut] = wall(resampleAll(resampleAll(hiss(), rate, 16_000), 16_000, rate));
    expect(cut).toBeGreaterThanOrEqual(7000);
    expect(cut).toBeLessThanOrEqual(8500);
    let kept = 0;
    const dark = hiss().map((value) => (kept += 0.1 * (value - kept)));
    expect(wall(dark as Samples)[1]).toBeNull();
  });
});

describe('keys', () => {
  it('are those of scales and cadences', () => {
    const scale = (tonic: number, steps: readonly number[]): number[] =>
      Array.from({ length: 12 }, (_, i) => {
        const step = (i - tonic + 12) % 12;
        return steps.includes(step) ? (step === 0 ? 2 : step === 7 ? 1.5 : 1) : 0;
      });
    expect(keyOf(scale(0, [0, 2, 4, 5, 7, 9, 11]))).toBe('C major');
    expect(keyOf(scale(6, [0, 2, 4, 5, 7, 9, 11]))).toBe('F# major');
    expect(keyOf(scale(9, [0, 2, 3, 5, 7, 8, 11]))).toBe('A minor');
    expect(keyOf(new Array<number>(12).fill(1))).toBeNull();
  });
});

describe('music', () => {
  const rate = 22_050;

  it.each([
    [92, 'C major', C_MAJOR],
    [120, 'A minor', A_MINOR],
    [140, 'C major', C_MAJOR],
  ])('of %i beats a minute in %s', async (tempo, key, chords) => {
    const heard = await hear([song(20, rate, tempo, chords)], rate);
    const measured = measure(heard, 0, 20);
    expect(Math.abs(measured.tempo! / tempo - 1)).toBeLessThan(0.01);
    expect(measured.key).toBe(key);
    // A clip of it alone says the same.
    expect(Math.abs(measure(heard, 6, 14, measured.tempo).tempo! / tempo - 1)).toBeLessThan(0.02);
  });

  it('is in its own tuning', async () => {
    const flat = C_MAJOR.map((chord) => chord.map((note) => note - 0.4));
    expect(measure(await hear([song(12, rate, 100, flat)], rate), 0, 12).key).toBe('C major');
  });

  it('has no tempo where there is no beat, and no key in noise', async () => {
    const pad = make(12, rate, (time) => 0.2 * Math.sin(2 * Math.PI * 220 * time));
    expect(measure(await hear([pad], rate), 0, 12).tempo).toBeNull();
    expect(measure(await hear([applause(12, rate)], rate), 0, 12)).toMatchObject({ tempo: null, key: null });
  });

  it('is cut where it changes, on beats, in clips of up to 30 seconds; silence and applause are left out', async () => {
    const tempo = 120;
    // Twelve bars each: 24 seconds.
    const first = song(24, rate, tempo, C_MAJOR);
    const second = song(24, rate, tempo, [[42, 54, 61, 66]]).map((value) => 0.5 * value) as Samples;
    const silence = new Float32Array(3 * rate);
    const heard = await hear([concatFloats([silence, first, second, silence, applause(8, rate)])], rate);
    const { clips, gaps, noise } = proposeClips(heard);
    expect(noise).toBe(false);
    expect(clips.length).toBe(2);
    expect(clips[0]!.start).toBeGreaterThan(2.2);
    expect(clips[0]!.start).toBeLessThan(3.3);
    expect(Math.abs(clips[0]!.end - 27)).toBeLessThan(0.6);
    expect(clips[1]!.start).toBe(clips[0]!.end);
    expect(clips[1]!.end).toBeLessThan(52);
    expect(gaps.map(({ reason }) => reason)).toEqual(['silence', 'silence', 'noise']);
    for (const { start, end } of clips) expect(end - start).toBeLessThanOrEqual(30);
  });

  it('covers long pieces without a rest too short to be of use', async () => {
    const heard = await hear([song(100, rate, 97, A_MINOR)], rate);
    const { clips } = proposeClips(heard);
    expect(clips[0]!.start).toBeLessThan(0.3);
    for (const [i, { start, end }] of clips.entries()) {
      expect(end - start).toBeLessThanOrEqual(30);
      expect(end - start).toBeGreaterThan(8);
      if (i > 0) expect(start).toBe(clips[i - 1]!.end);
    }
    expect(clips.at(-1)!.end).toBeGreaterThan(99);
  });

  it('that is noise throughout is still cut, and said to be', async () => {
    const { clips, noise } = proposeClips(await hear([applause(40, rate)], rate));
    expect(noise).toBe(true);
    expect(clips.length).toBe(2);
  });

  it('is found again louder, at another rate, cut elsewhere and with noise over it; other music is not', async () => {
    const piece = song(16, 44_100, 111, A_MINOR);
    const noise = random(8);
    const copy = resampleAll(piece.slice(3 * 44_100), 44_100, 32_000).map((v) => 0.4 * v + 0.004 * noise()) as Samples;
    const other = song(16, 44_100, 111, C_MAJOR);
    const prints = await Promise.all(
      (
        [
          [piece, 44_100],
          [copy, 32_000],
          [other, 44_100],
        ] as const
      ).map(async ([samples, at]) => {
        const heard = await hear([samples], at);
        return measure(heard, 0, heard.seconds).print;
      }),
    );
    const words = prints.map(decodePrint);
    expect(samePrints(words)).toEqual([[0, 1]]);
    expect(samePrints(words, 1)).toEqual([[0, 1]]);
    expect(samePrints(words, 2)).toEqual([]);
    expect(encodePrint(decodePrint(prints[0]!))).toBe(prints[0]);
  });

  it('is told in passing: what is measured does not depend on the blocks', async () => {
    const samples = song(8, rate, 100, C_MAJOR);
    const [a, b] = await Promise.all([
      listen(inBlocks([samples], rate, 999)),
      listen(inBlocks([samples], rate, 50_000)),
    ]);
    expect(measure(a, 0, 8)).toEqual(measure(b, 0, 8));
    expect(a.features.onsets).toEqual(b.features.onsets);
    expect(powerAt(samples, rate, 5000)).toBeLessThan(1);
  });
});
