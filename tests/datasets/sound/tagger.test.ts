import { afterEach, describe, expect, it, vi } from 'vitest';
import { openTagger, pickTags, TAG_GROUPS } from '../../../src/datasets/sound/tagger.ts';
import type { OnnxFolder } from '../../../src/datasets/transformers-js.ts';
import { UserError } from '../../../src/common/errors.ts';
import { diskFolder, fixture, FIXTURES } from '../../support/disk-folder.ts';
import { nodeRuntime as runtime } from '../../support/onnx.ts';

describe('tags', () => {
  const scores = (values: readonly number[]) => values.map((score, i) => ({ label: `word ${i}`, score }));

  it('are those that stand out, best first, as many as a group allows', () => {
    // Ten words: by chance each is a tenth.
    const clear = scores([0.02, 0.5, 0.01, 0.3, 0.02, 0.03, 0.05, 0.03, 0.02, 0.02]);
    expect(pickTags(clear, 3)).toEqual(['word 1', 'word 3']);
    expect(pickTags(clear, 1)).toEqual(['word 1']);
    expect(pickTags(scores(new Array<number>(10).fill(0.1)), 3)).toEqual([]);
  });

  it('are offered in groups whose sentences take them', () => {
    const all = TAG_GROUPS.flatMap(({ words }) => words);
    expect(new Set(all).size).toBe(all.length);
    for (const { sentence, most, words } of TAG_GROUPS) {
      expect(sentence).toContain('{}');
      expect(most).toBeLessThan(words.length);
    }
  });

  it('need a folder of such a model', async () => {
    const folder: OnnxFolder = { files: ['config.json', 'readme.md'], read: () => expect.fail() };
    const opening = openTagger({ model: { folder }, runtime });
    await expect(opening).rejects.toBeInstanceOf(UserError);
    await expect(opening).rejects.toThrow(
      /tokenizer\.json, tokenizer_config\.json, preprocessor_config\.json, onnx\/\*\.onnx are missing.*CLAP/,
    );
  });
});

const clap = diskFolder(`${FIXTURES}sound-tagger`);
const expected = fixture<{
  sampleRate: number;
  sentence: string;
  labels: string[];
  clips: { seed: number; samples: number; padding: string; scores: number[] }[];
}>('sound-tagger/expected.json');

/** As sound_tagger.py makes them. */
function sound(seed: number, samples: number): Float32Array {
  return Float32Array.from({ length: samples }, (_, n) => {
    const time = n / expected.sampleRate;
    const tone = Math.sin(2 * Math.PI * (150 * (seed + 1) * time + 300 * time ** 2));
    const noise = ((31 * (seed + 1) * n * n) % 1009) / 1009 - 0.5;
    return 0.4 * tone + 0.1 * noise;
  });
}

/** The fixture with other words in its preprocessor_config.json. */
const saying = (from: string, to: string): OnnxFolder => ({
  files: clap.files,
  read: async (path) => {
    const bytes = await clap.read(path);
    if (path !== 'preprocessor_config.json') return bytes;
    const text = new TextDecoder().decode(bytes);
    expect(text).toContain(from);
    return new TextEncoder().encode(text.replace(from, to));
  },
});

afterEach(() => {
  vi.unstubAllGlobals();
});

describe('a model that hears', () => {
  // Spectra come from another Fourier transform, and the model runs in float32 where the reference has float64: together 9e-7 of
  // a score. What is heard at another place, or after other padding, is 0.2 and more away.
  it.each(['repeatpad', 'repeat', 'pad'])(
    'scores as transformers does, with %s, and fetches nothing',
    async (padding) => {
      const fetched = vi.fn(() => Promise.reject(new Error('the network was asked')));
      vi.stubGlobal('fetch', fetched);
      const progress: number[] = [];
      const folder = saying('"repeatpad"', `"${padding}"`);
      const tagger = await openTagger({ model: { folder }, runtime, onProgress: (at) => progress.push(at) });
      expect(tagger.sampleRate).toBe(expected.sampleRate);
      const clips = expected.clips.filter((clip) => clip.padding === padding);
      expect(clips).not.toEqual([]);
      for (const { seed, samples, scores } of clips) {
        const heard = await tagger.scores(sound(seed, samples), expected.labels, expected.sentence);
        expect(heard.map(({ label }) => label)).toEqual(expected.labels);
        const errors = heard.map(({ score }, i) => Math.abs(score - scores[i]!));
        expect(Math.max(...errors), `${samples} samples`).toBeLessThan(5e-6);
      }
      await tagger.close();
      expect(fetched).not.toHaveBeenCalled();
      expect(progress.at(-1)).toBe(1);
    },
  );

  it('tells the tags that stand out in each group, the same of the same sound', async () => {
    const tagger = await openTagger({ model: { folder: clap }, runtime });
    const music = sound(3, 20_001);
    const wanted: string[] = [];
    for (const { words, sentence, most } of TAG_GROUPS) {
      wanted.push(...pickTags(await tagger.scores(music, words, sentence), most));
    }
    expect(wanted.length).toBeGreaterThan(1);
    expect(await tagger.tags(music)).toEqual(wanted);
    await tagger.close();
  });
});

describe('a model that cannot be asked', () => {
  it.each([
    ['writes captions', diskFolder(`${FIXTURES}look-captioner`), /in this folder is none that hears.*CLAP/],
    [
      'hears words',
      saying('ClapFeatureExtractor', 'WhisperFeatureExtractor'),
      /in this folder is none that hears.*CLAP/,
    ],
    ['hears parts', saying('rand_trunc', 'fusion'), /in this folder hears several parts of a sound at once.*CLAP/],
  ])('is refused in words as it is opened: one that %s', async (_, folder, words) => {
    const opening = openTagger({ model: { folder }, runtime });
    await expect(opening).rejects.toBeInstanceOf(UserError);
    await expect(opening).rejects.toThrow(words);
  });
});
