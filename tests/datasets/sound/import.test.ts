import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hearClip, moveEdges, readClip, soundSource } from '../../../src/datasets/sound/clips.ts';
import { clipToLine, importSounds, SoundImportError } from '../../../src/datasets/sound/import-sounds.ts';
import type { SoundImport, SoundImportOptions } from '../../../src/datasets/sound/import-sounds.ts';
import { soundId } from '../../../src/datasets/sound/input.ts';
import { settleClips } from '../../../src/datasets/sound/judge.ts';
import { soundQuality } from '../../../src/datasets/sound/quality.ts';
import type { SoundInput } from '../../../src/datasets/sound/types.ts';
import { clipWords, DEFAULT_SOUND_WORDS, fillSoundTemplate } from '../../../src/datasets/sound/words.ts';
import { UserError } from '../../../src/common/errors.ts';
import { importInto } from '../../../src/headless/import.ts';
import { soundInputs, soundsOf } from '../../../src/headless/sound/sounds.ts';
import { A_MINOR, C_MAJOR, endlessWav, fixture, fixtureBytes, make, sine, song, soundInput, wav } from './material.ts';
import type { Samples } from './material.ts';

const SHARED = resolve(
  process.env['ATHANOR_SHARED'] ?? resolve(import.meta.dirname, '../../../../shared'),
  'data/audio/audiocraft',
);
const rate = 22_050;
const words = (text: string): Uint8Array => new TextEncoder().encode(text);

async function alone(input: SoundInput, options: SoundImportOptions = {}) {
  const { files, clips, report } = await importSounds([input], options).catch((error: unknown) => {
    if (!(error instanceof SoundImportError)) throw error;
    return { files: [], clips: [], report: error.report } satisfies SoundImport;
  });
  return { sound: files[0], clips, file: report.files[0]!, leftOut: report.leftOut[0], report };
}

describe('odd files have a clear outcome', () => {
  it('a silent file', async () => {
    const { leftOut } = await alone(soundInput('hush.wav', wav([new Float32Array(3 * rate)], rate)));
    expect(leftOut).toEqual({
      file: 'hush.wav',
      reason: 'silent',
      message: 'Nothing is heard in the file: it is silent from beginning to end.',
    });
  });

  it('a tenth of a second', async () => {
    const { leftOut } = await alone(soundInput('blip.wav', wav([make(0.1, rate, sine(440))], rate)));
    expect(leftOut?.reason).toBe('too short to learn from');
    expect(leftOut?.message).toMatch(/lasts 0\.1 seconds; at least 1 second/);
  });

  it('an MP3 that breaks off: what is there is taken, and it is said', async () => {
    const bytes = fixtureBytes('two.mp3');
    const { sound, clips, file } = await alone(soundInput('half.mp3', bytes.subarray(0, 0.65 * bytes.length)));
    expect(sound!.seconds).toBeGreaterThan(1);
    expect(sound!.seconds).toBeLessThan(1.5);
    expect(sound!.warnings).toContain('breaks off');
    expect(clips[0]!.warnings).toContain('breaks off');
    expect(file.warnings.join(' ')).toMatch(/cut off or damaged; what could be read of it was taken/);
  });

  it('a FLAC that breaks off, and a WAV', async () => {
    const flac = fixtureBytes('two.flac');
    expect((await alone(soundInput('a.flac', flac.subarray(0, 0.7 * flac.length)))).sound?.warnings).toContain(
      'breaks off',
    );
    const whole = wav([make(4, rate, sine(440))], rate);
    const { sound } = await alone(soundInput('a.wav', whole.subarray(0, whole.length / 2)));
    expect(sound?.seconds).toBeCloseTo(2, 1);
    expect(sound?.warnings).toContain('breaks off');
  });

  it('a WAV of which only the last tenth of a second is missing', async () => {
    const whole = wav([song(30, rate, 120, C_MAJOR)], rate);
    const { sound, clips, file } = await alone(soundInput('a.wav', whole.subarray(0, whole.length - 0.2 * rate)));
    expect(sound?.warnings).toEqual(['breaks off']);
    expect(clips.map(({ warnings }) => warnings.includes('breaks off'))).toEqual(
      clips.map((_, i) => i === clips.length - 1),
    );
    expect(file.warnings).toContain('The file is cut off or damaged; what could be read of it was taken.');
  });

  it('a text renamed', async () => {
    const { leftOut, file } = await alone(soundInput('poem.wav', words('roses are red\n'.repeat(99))));
    expect(leftOut?.reason).toBe('not a sound');
    expect(file).toMatchObject({ kind: 'text', clips: 0, skipped: { 'not a sound': 1 } });
  });

  it('192 kHz in eight channels', async () => {
    const tones = Array.from({ length: 8 }, (_, i) => make(1.2, 192_000, sine(200 + 150 * i)));
    const { sound, file } = await alone(soundInput('film.wav', wav(tones, 192_000)));
    expect(sound).toMatchObject({ channels: 8, sampleRate: 192_000 });
    expect(sound!.warnings).toContain('more than two channels');
    expect(file.warnings.join(' ')).toMatch(/mixed down to two/);
  });

  it('sound in one channel alone is taken for both', async () => {
    const tone = song(4, rate, 120, C_MAJOR);
    const input = soundInput('left.wav', wav([tone, new Float32Array(tone.length)], rate));
    const { sound, clips } = await alone(input);
    expect(sound!.warnings).toContain('one channel silent');
    const [clip] = clips;
    const [mono] = await readClip(input, clip!, rate, 1);
    const [left, right] = await readClip(input, clip!, rate, 2);
    expect(right).toEqual(left);
    expect(mono).toEqual(left);
    const loudest = tone.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
    expect(mono!.reduce((top, value) => Math.max(top, Math.abs(value)), 0)).toBeCloseTo(loudest * clip!.gain, 2);
  });

  it('a long recording is heard in a stream: no more than a little of it is ever in memory', async () => {
    const loop = song(12, 8000, 120, C_MAJOR);
    const long = endlessWav('long.wav', [loop], 300, 8000);
    let asked = 0;
    let largest = 0;
    const watched: SoundInput = {
      ...long,
      read: (start, end) => {
        asked += end - start;
        largest = Math.max(largest, end - start);
        return long.read(start, end);
      },
    };
    const progress: number[] = [];
    const { clips, files } = await importSounds([watched], {}, ({ fraction }) => progress.push(fraction));
    expect(files[0]!.seconds).toBeCloseTo(300, 1);
    expect(clips.length).toBeGreaterThan(9);
    expect(clips.every(({ start, end }) => end - start <= 30)).toBe(true);
    expect(clips.at(-1)!.end).toBeGreaterThan(298);
    // Once for its name, once for its sound.
    expect(asked).toBeLessThan(2.5 * long.size);
    expect(largest).toBeLessThanOrEqual(4 << 20);
    expect(progress.length).toBeGreaterThan(50);
    expect([...progress].sort((a, b) => a - b)).toEqual(progress);
  }, 60_000);

  it('nothing at all', async () => {
    await expect(importSounds([])).rejects.toThrow(UserError);
    const failed = importSounds([soundInput('a.txt', words('x')), soundInput('b.mp3', words('more words'))]);
    await expect(failed).rejects.toBeInstanceOf(SoundImportError);
    await expect(failed).rejects.toThrow(/^None of the 2 files is a sound to learn from\. b\.mp3: This holds text/);
  });
});

describe('an import that ends early', () => {
  const tune = [song(4, 8000, 120, C_MAJOR)];
  const other = [song(5, 8000, 90, A_MINOR)];
  const inputs = [
    soundInput('one.wav', wav(tune, 8000)),
    soundInput('hush.wav', wav([new Float32Array(16_000)], 8000)),
    soundInput('two.wav', wav(other, 8000)),
    endlessWav('long.wav', tune, 3600, 8000),
    soundInput('three.wav', wav([song(6, 8000, 140, A_MINOR)], 8000)),
    soundInput('one.txt', words('a lute')),
    soundInput('long.txt', words('a very long lute')),
  ];

  it('where it is stopped: keeps what was heard until then, and says nothing of the others', async () => {
    const abort = new AbortController();
    const kept: [name: string, files: string[], clips: number, ofReport: number][] = [];
    const result = await importSounds(
      inputs,
      {
        signal: abort.signal,
        keep(file, _, __, soFar) {
          const { files, clips, report } = soFar();
          expect(report.stopped).toBeUndefined();
          kept.push([file.name, files.map(({ name }) => name), clips.length, report.kept]);
        },
      },
      ({ file, fraction }) => {
        if (file === 'long.wav' && fraction > 0.02) abort.abort(new Error('enough'));
      },
    );
    expect(kept).toEqual([
      ['one.wav', ['one.wav'], 1, 1],
      ['two.wav', ['one.wav', 'two.wav'], 2, 2],
    ]);
    expect(result.report.stopped).toBe(true);
    expect(result.files.map(({ name }) => name)).toEqual(['one.wav', 'two.wav']);
    expect(result.clips.map(({ file }) => file)).toEqual(['one.wav', 'two.wav']);
    expect(result.clips[0]!.words).toBe('a lute');
    expect(result.report).toMatchObject({ kept: 2, seconds: 9, skipped: { silent: 1 } });
    expect(result.report.files.map(({ name, clips }) => [name, clips])).toEqual([
      ['one.txt', 0],
      ['one.wav', 1],
      ['hush.wav', 0],
      ['two.wav', 1],
    ]);
    // What was not heard can be dropped again, with what was.
    const rest = await importSounds([inputs[0]!, inputs[4]!], { existing: result });
    expect(rest.files.map(({ name }) => name)).toEqual(['one.wav', 'two.wav', 'three.wav']);
  });

  it('before anything was heard: there is nothing, and nothing is wrong', async () => {
    const abort = new AbortController();
    const long = inputs[3]!;
    let asked = 0;
    const stopping: SoundInput = {
      ...long,
      read(start, end) {
        asked += end - start;
        // In the middle of it.
        if (asked > long.size / 20) abort.abort();
        return long.read(start, end);
      },
    };
    const stopped = await importSounds([stopping, inputs[0]!], { signal: abort.signal });
    expect(asked).toBeLessThan(long.size / 2);
    expect(stopped).toMatchObject({ files: [], clips: [], report: { files: [], kept: 0, leftOut: [], stopped: true } });
    expect((await importSounds(inputs, { signal: AbortSignal.abort() })).report.files).toEqual([]);
  });

  it('where a song cannot be kept: it was told what was kept before, and why it ended', async () => {
    const kept: SoundImport[] = [];
    const importing = importSounds([inputs[0]!, inputs[2]!, inputs[4]!], {
      keep(file, _, __, soFar) {
        if (file.name === 'two.wav') throw new UserError('The disk is full.');
        kept.push(soFar());
      },
    });
    await expect(importing).rejects.toThrow('The disk is full.');
    expect(kept.map(({ files }) => files.map(({ name }) => name))).toEqual([['one.wav']]);
  });
});

describe('a set of sounds', () => {
  const one = song(20, 44_100, 124, C_MAJOR);
  const other = song(15, 44_100, 90, A_MINOR);
  let set: SoundImport;
  const inputs = [
    soundInput('songs/one.wav', wav([one], 44_100)),
    soundInput('songs/one again.wav', wav([one.map((v) => 0.3 * v) as Samples], 44_100)),
    soundInput('songs/same bytes.wav', wav([one], 44_100)),
    soundInput('songs/other.wav', wav([other, other], 44_100)),
    soundInput('songs/other.txt', words('slow strings,\n in the evening ')),
    soundInput('songs/notes.txt', words('hello')),
    fixture('two.ogg'),
  ];
  const shapes = new Map<string, number>();
  /** What the import had come to with its last sound. */
  let last: SoundImport;

  beforeAll(async () => {
    set = await importSounds(inputs, {
      words: { triggerWord: 'zorb', template: DEFAULT_SOUND_WORDS.template },
      keep(file, _, { peaks, perSecond }, soFar) {
        shapes.set(file.name, peaks.length / perSecond);
        last = soFar();
      },
    });
  }, 60_000);

  it('is measured, worded, and freed of copies', () => {
    expect(set.files.map(({ name }) => name)).toEqual(['one.wav', 'one again.wav', 'other.wav', 'two.ogg']);
    expect(set.clips.map(({ file, kept, wordsByHand }) => [file, kept, wordsByHand])).toEqual([
      ['one.wav', true, false],
      ['one again.wav', false, false],
      ['other.wav', true, true],
      ['two.ogg', true, false],
    ]);
    const [first, copy, slow, tones] = set.clips;
    expect(first).toMatchObject({ words: 'zorb, 124 bpm, C major', warnings: [], key: 'C major' });
    expect(copy!.warnings).toContain('nearly the same');
    // Evened: what was made quieter is made louder again.
    expect(copy!.gain / first!.gain).toBeCloseTo(1 / 0.3, 1);
    expect(slow).toMatchObject({ words: 'slow strings, in the evening', key: 'A minor' });
    expect(tones!.words).toMatch(/^zorb, Test/);
    expect(shapes.get('one.wav')).toBeCloseTo(20, 1);
  });

  it('is reported', () => {
    const { report } = set;
    expect(report).toMatchObject({ kept: 3, skipped: { 'the same file twice': 1, 'words of no sound': 1 } });
    expect(report.leftOut.map(({ file, message }) => [file, message])).toEqual([
      ['songs/same bytes.wav', 'The same file is there already as one.wav.'],
      ['songs/notes.txt', expect.stringMatching(/Words are named as their sound/)],
    ]);
    expect(report.warnings[0]).toMatch(/^1 clip is of music that is there already in another file/);
    expect(report.warnings[1]).toMatch(/^There are 37 seconds of music; 5 to 60 minutes are usual/);
    expect(report.files.find(({ name }) => name === 'two.ogg')).toMatchObject({
      kind: 'ogg vorbis',
      clips: 1,
      channels: 2,
      tags: { title: 'Two tones' },
    });
  });

  it('is settled with each of them as it is at the end', () => {
    expect(last.files).toEqual(set.files);
    expect(last.clips).toEqual(set.clips);
    expect(last.report).toMatchObject({ kept: 3, seconds: set.report.seconds, warnings: set.report.warnings });
  });

  it('tells two files of one name apart in its report', async () => {
    const { report } = await importSounds([
      soundInput('a.wav', wav([song(8, rate, 100, C_MAJOR)], rate)),
      soundInput('a.wav', wav([new Float32Array(2 * rate)], rate)),
    ]);
    expect(report.files.map(({ clips, skipped }) => [clips, skipped])).toEqual([
      [1, {}],
      [0, { silent: 1 }],
    ]);
  });

  it('is judged in words', () => {
    const quality = soundQuality(set.files, set.clips);
    expect(quality).toMatchObject({ files: 4, clips: 4, kept: 3, worded: 3 });
    expect(quality.advice[0]).toMatch(/^Add 4 minutes or more of the same manner/);
    expect(soundQuality([], []).amount).toBe('No music yet; 5 to 60 minutes are usual.');
  });

  it('grows: what is there is not taken again', async () => {
    const more = await importSounds([inputs[1]!, soundInput('new.wav', wav([song(8, rate, 100, A_MINOR)], rate))], {
      existing: set,
    });
    expect(more.files.length).toBe(5);
    expect(more.clips.slice(0, 4).map(({ id, kept }) => [id, kept])).toEqual(
      set.clips.map(({ id, kept }) => [id, kept]),
    );
    expect(more.report.leftOut[0]?.message).toBe('The same file is there already as one again.wav.');
  });

  it('marks copies only beside what stays', () => {
    const [first, copy, ...rest] = set.clips;
    expect(settleClips([{ ...first!, kept: true }, { ...copy!, kept: true }, ...rest])[0]!.warnings).toContain(
      'nearly the same',
    );
    expect(settleClips(set.clips)[0]!.warnings).not.toContain('nearly the same');
  });

  it('has clips whose edges move: they are heard again, and words by hand stay', async () => {
    const [clip] = set.clips;
    const file = set.files[0]!;
    const moved = await moveEdges(inputs[0]!, file, clip!, { start: 4, end: 12 }, DEFAULT_SOUND_WORDS);
    expect(moved).toMatchObject({ id: clip!.id, start: 4, end: 12, edgesByHand: true, key: 'C major' });
    expect(Math.abs(moved.tempo! / 124 - 1)).toBeLessThan(0.02);
    const byHand = { ...clip!, words: 'mine', wordsByHand: true };
    expect((await moveEdges(inputs[0]!, file, byHand, { start: 1, end: 4 }, DEFAULT_SOUND_WORDS)).words).toBe('mine');
    const drawn = await hearClip(inputs[0]!, file, 'new', { start: 15, end: 99 }, DEFAULT_SOUND_WORDS);
    expect(drawn.end).toBe(file.seconds);
    for (const [start, end] of [
      [3, 3.1],
      [-1, 4],
      [21, 25],
    ] as const) {
      await expect(hearClip(inputs[0]!, file, 'x', { start, end }, DEFAULT_SOUND_WORDS)).rejects.toThrow(UserError);
    }
  });

  it('is read for training: evened, resampled, known by what it is', async () => {
    const [clip] = set.clips;
    const source = await soundSource(clip!, () => inputs[0]!);
    expect(source).toMatchObject({ seconds: clip!.end - clip!.start, words: 'zorb, 124 bpm, C major' });
    const [mono] = await source.read(32_000, 1);
    expect(mono!.length).toBe(Math.round(source.seconds * 32_000));
    const peak = (samples: Float32Array): number => samples.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
    expect(peak(mono!) / (clip!.gain * clip!.peak)).toBeGreaterThan(0.8);
    // Drawn at fewer places, the same curve may reach higher between them.
    expect(peak(mono!) / (clip!.gain * clip!.peak)).toBeLessThan(1.25);
    const moved = await soundSource({ ...clip!, start: 1 }, () => inputs[0]!);
    expect(moved.id).not.toBe(source.id);
    expect(await soundId(inputs[0]!)).toBe(set.files[0]!.id);
  });
});

describe('words', () => {
  const none = { trigger: '', tags: '', tempo: '', key: '', genre: '', title: '', artist: '', file: '' };

  it('leave out what is not known', () => {
    const { template } = DEFAULT_SOUND_WORDS;
    expect(fillSoundTemplate(template, none)).toBe('');
    expect(fillSoundTemplate(template, { ...none, tempo: '90' })).toBe('90 bpm');
    expect(fillSoundTemplate(template, { ...none, trigger: 'zorb', key: 'D minor' })).toBe('zorb, D minor');
    expect(fillSoundTemplate('{tags} in {key}. bpm: {tempo}.', { ...none, key: 'C major' })).toBe('in C major.');
    expect(fillSoundTemplate('quiet music. {unknown} {genre}', { ...none, genre: 'Jazz' })).toBe(
      'quiet music. {unknown} Jazz',
    );
  });

  it('take what is measured and what the file says', () => {
    const clip = { tempo: 119.6, key: 'E minor', tagged: ['piano', 'calm'], file: 'my song.mp3' };
    const say = (template: string): string =>
      clipWords(clip, { tags: { title: 'Blue', artist: 'Ann' } }, { triggerWord: 'zorb', template });
    expect(say(DEFAULT_SOUND_WORDS.template)).toBe('zorb, piano, calm, 120 bpm, E minor');
    expect(say('{title} by {artist} ({file})')).toBe('Blue by Ann (my song)');
  });
});

describe('the headless import', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'athanor-sounds-'));
    mkdirSync(join(folder, 'deep'));
    writeFileSync(join(folder, 'deep', 'a.wav'), wav([song(10, rate, 100, C_MAJOR)], rate));
    writeFileSync(join(folder, 'deep', 'a.json'), JSON.stringify({ description: 'A test.', keywords: 'bright' }));
    writeFileSync(join(folder, 'b.mp3'), 'words');
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('reads folders in folders and writes what is kept', async () => {
    expect(soundInputs([folder]).map(({ name }) => name)).toEqual(
      ['b.mp3', 'deep/a.json', 'deep/a.wav'].map((name) => `${basename(folder)}/${name}`),
    );
    const out = join(folder, 'out');
    const report = await importInto('sound', [folder], out);
    expect(JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(report)));
    const lines = readFileSync(join(out, 'clips.jsonl'), 'utf8').trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      expect.objectContaining({
        file: 'a.wav',
        start: 0,
        end: 10,
        warnings: [],
        text: 'A test, bright',
        key: 'C major',
      }),
    ]);
    const [source] = await soundsOf([join(folder, 'deep')]);
    expect((await source!.read(16_000, 1))[0]!.length).toBe(160_000);
    expect(() => soundInputs([join(folder, 'nowhere')])).toThrow(/There is no file/);
  });
});

if (existsSync(SHARED))
  describe('real recordings', () => {
    it.each([
      ['electro_1.mp3', 125, 'bright'],
      ['electro_2.mp3', 113, 'electronic song'],
    ])('%s', async (name, tempo, said) => {
      const stem = name.replace('.mp3', '.json');
      const { clips } = await importSounds(soundInputs([join(SHARED, name), join(SHARED, stem)]));
      expect(clips.length).toBe(1);
      expect(Math.abs(clips[0]!.tempo! / tempo - 1)).toBeLessThan(0.01);
      expect(clips[0]!.words).toContain(said);
      expect(clipToLine(clips[0]!)).toContain('"start":0,');
    });
  });
