import { describe, expect, it } from 'vitest';
import type { Clip, SoundFile } from '../../../src/datasets/sound/types.ts';
import { clipsOfSongs, closeUp, freeStretch } from '../../../src/state/sound/clip-edges.ts';
import { formatTime } from '../../../src/state/format.ts';
import { mayBegin } from '../../../src/state/sound/stream-playback.ts';
import { soundCard, soundPrompt } from '../../../src/state/sound/card.ts';
import { suggestSoundPrompts } from '../../../src/state/sound/prompts.ts';
import { colourMap } from '../../../src/state/sound/colour-map.ts';
import { newProject, type RunRecord } from '../../../src/storage/records.ts';
import { History } from '../../../src/worker/history.ts';
import {
  applySoundChange,
  withClip,
  type PlainSoundChange,
  type SoundSnapshot,
} from '../../../src/worker/sound/changes.ts';

function file(id: string, fields: Partial<SoundFile> = {}): SoundFile {
  return {
    id,
    name: `${id}.wav`,
    kind: 'wav',
    codec: 'pcm-s16',
    bytes: 10,
    seconds: 60,
    channels: 1,
    sampleRate: 32_000,
    bitrate: 512,
    tags: { genre: 'Folk' },
    loudness: -20,
    peak: 0.5,
    bandwidth: 16_000,
    tempo: 120,
    key: 'A minor',
    gaps: [],
    warnings: [],
    ...fields,
  };
}

function clip(id: string, fileId: string, start: number, end: number, fields: Partial<Clip> = {}): Clip {
  return {
    id,
    fileId,
    file: `${fileId}.wav`,
    start,
    end,
    edgesByHand: false,
    kept: true,
    words: 'Folk, 120 bpm',
    wordsByHand: false,
    tagged: [],
    tempo: 120,
    key: null,
    loudness: -20,
    peak: 0.5,
    gain: 1,
    print: '',
    warnings: [],
    ...fields,
  };
}

const start: SoundSnapshot = {
  files: [file('a'), file('b')],
  clips: [
    clip('1', 'a', 0, 20),
    clip('2', 'a', 20, 40),
    clip('3', 'b', 0, 30, { wordsByHand: true, words: 'by hand' }),
  ],
  words: { triggerWord: '', template: '{trigger}, {genre}, {tempo} bpm' },
};

describe('changes of clips', () => {
  const after = (change: PlainSoundChange): SoundSnapshot => ({ ...start, ...applySoundChange(start, change) });

  it('writes the words of all clips anew but those written by hand', () => {
    const words = { triggerWord: 'zilo', template: '{trigger}, {genre}' };
    expect(after({ kind: 'words', words, label: '' }).clips.map((one) => one.words)).toEqual([
      'zilo, Folk',
      'zilo, Folk',
      'by hand',
    ]);
  });

  it('gives words written by hand up where the template is asked for', () => {
    const [, , third] = after({ kind: 'template', ids: ['3'], label: '' }).clips;
    expect(third).toMatchObject({ words: 'Folk, 120 bpm', wordsByHand: false });
  });

  it('says what a model heard where the template asks for it', () => {
    const words = { triggerWord: '', template: '{tags}, {genre}' };
    const heard = applySoundChange(
      { ...start, words },
      { kind: 'set', changes: [{ id: '1', fields: { tagged: ['fiddle', 'dance'] } }], label: '' },
    );
    expect(heard.clips?.map((one) => one.words)).toEqual(['fiddle, dance, Folk', 'Folk', 'by hand']);
  });

  it('removes a song with its clips, and brings both back', () => {
    const history = new History(start);
    history.apply('Remove a', applySoundChange(start, { kind: 'removeFiles', ids: ['a'], label: '' }));
    expect(history.now.files.map(({ id }) => id)).toEqual(['b']);
    expect(history.now.clips.map(({ id }) => id)).toEqual(['3']);
    history.undo();
    expect(history.now).toBe(start);
  });

  it('keeps clips in order of their songs and of time', () => {
    const ids = (snapshot: SoundSnapshot, one: Clip): string[] => withClip(snapshot, one).map(({ id }) => id);
    expect(ids(start, clip('4', 'a', 10, 15))).toEqual(['1', '4', '2', '3']);
    expect(ids(start, clip('1', 'a', 45, 50))).toEqual(['2', '1', '3']);
  });
});

describe('where clips lie', () => {
  it('sorts clips under their songs', () => {
    const songs = clipsOfSongs(start.files, [clip('late', 'a', 30, 40), clip('early', 'a', 0, 5)]);
    expect(songs.map(({ clips }) => clips.map(({ id }) => id))).toEqual([['early', 'late'], []]);
  });

  it('finds room for another clip', () => {
    expect(freeStretch(100, [])).toEqual({ start: 0, end: 30 });
    expect(freeStretch(100, [clip('1', 'a', 0, 20), clip('2', 'a', 21, 60)])).toEqual({ start: 60, end: 90 });
    expect(freeStretch(100, [clip('1', 'a', 10, 100)])).toEqual({ start: 0, end: 10 });
    expect(freeStretch(100, [clip('1', 'a', 0, 99), clip('2', 'a', 40, 60)])).toBeNull();
  });

  it('shows what lies around a clip, within the song', () => {
    expect(closeUp({ start: 20, end: 30 }, 60)).toEqual({ from: 15, to: 35 });
    expect(closeUp({ start: 1, end: 59 }, 60)).toEqual({ from: 0, to: 60 });
  });

  it('writes places as recordings do', () => {
    expect([formatTime(62), formatTime(62.46, true), formatTime(59.96, true), formatTime(3605)]).toEqual([
      '1:02',
      '1:02.5',
      '1:00.0',
      '1:00:05',
    ]);
  });
});

describe('hearing a sound while it is composed', () => {
  it('begins at once where composing is faster than playing', () => {
    expect(mayBegin(0.3, 8, 0.1)).toBe(false);
    expect(mayBegin(0.5, 8, 0.25)).toBe(true);
  });

  it('waits where it would break off, just as long as needed', () => {
    // At half speed 8 seconds take 16: with half of them there, the other half comes while all are heard, but for the caution.
    expect(mayBegin(3.9, 8, 7.8)).toBe(false);
    expect(mayBegin(4.6, 8, 9.2)).toBe(true);
    expect(mayBegin(8, 8, 100)).toBe(true);
  });
});

describe('what goes out', () => {
  const project = { ...newProject('p', 'sound', 'Village *dances*', 1), prompts: ['', 'a dance on fiddle'] };
  const run = {
    recipe: { learning_rate: 0.0002, seed: 1 },
    adapter: { r: 16, lora_alpha: 16 },
    totalSteps: 100,
    loss: 3.2,
    heldOutLoss: null,
  } as unknown as RunRecord;
  const facts = { project, run, step: 50, clips: 12, seconds: 300, triggerWord: '', baseName: 'musicgen-small' };

  it('writes a card with how it is loaded and what it cannot do', () => {
    const card = soundCard({ ...facts, embedded: false });
    expect(card).toContain('base_model: "musicgen-small"');
    expect(card).toContain('# Village \\*dances\\*');
    expect(card).toContain('processor(text=["a dance on fiddle"]');
    expect(card).toContain('5 minutes of music in 12 clips');
    expect(card).toContain('does not sing');
    expect(card).not.toContain('consent');
    expect(soundCard({ ...facts, project: { ...project, realPerson: true }, embedded: true })).toMatch(
      /athanor-small-sound[\s\S]*works there alone[\s\S]*consent/,
    );
  });

  it('proposes prompts that are said of the clips', () => {
    const clips = [
      { words: 'left out', kept: false },
      { words: 'one', kept: true },
      { words: 'two', kept: true },
    ];
    expect(suggestSoundPrompts(clips, { triggerWord: 'zilo' })).toEqual(['one', 'two', 'zilo, slow and quiet']);
    expect(suggestSoundPrompts([], { triggerWord: '' })).toEqual([]);
    expect(soundPrompt({ project: { ...project, prompts: [] }, triggerWord: '' })).toBe('Village *dances*');
  });

  it('goes from one colour to the other', () => {
    const map = colourMap('#000000', '#ff8000');
    expect(map).toHaveLength(256);
    expect(map[0]).toEqual([0, 0, 0, 1]);
    expect(map[255]).toEqual([1, 128 / 255, 0, 1]);
  });
});
