import { describe, expect, test } from 'vitest';
import { RandomStream } from '../../../src/common/random.ts';
import type { SoundSource } from '../../../src/datasets/sound/types.ts';
import { parseMusicgenConfig } from '../../../src/models/musicgen/musicgen-config.ts';
import { parseSoundLora } from '../../../src/tasks/sound/adapter.ts';
import type { TextState } from '../../../src/tasks/sound/batch.ts';
import { makeSoundExamples } from '../../../src/tasks/sound/examples.ts';
import type { SoundEncoders } from '../../../src/tasks/sound/examples.ts';
import type { SoundExample, SoundExamples } from '../../../src/tasks/sound/run-data.ts';
import { paddedFrames, soundRunData } from '../../../src/tasks/sound/run-data.ts';
import type { SoundCache } from '../../../src/tasks/sound/types.ts';
import { parseRecipe } from '../../../src/training/recipe.ts';
import { seeded } from '../../support/seeds.ts';

const PAD = 32;
const START = 31;
const K = 2;
const config = parseMusicgenConfig(
  {
    model_type: 'musicgen',
    text_encoder: { model_type: 't5', vocab_size: 50, d_model: 4, d_kv: 4, d_ff: 8, num_layers: 1, num_heads: 1 },
    audio_encoder: {
      model_type: 'encodec',
      sampling_rate: 1000,
      upsampling_ratios: [10, 10],
      num_filters: 4,
      hidden_size: 4,
      codebook_size: 32,
      target_bandwidths: [0.1],
    },
    decoder: {
      model_type: 'musicgen_decoder',
      vocab_size: 32,
      hidden_size: 8,
      ffn_dim: 8,
      num_hidden_layers: 1,
      num_attention_heads: 1,
      num_codebooks: K,
      pad_token_id: PAD,
      bos_token_id: START,
    },
  },
  undefined,
);
/** Codes a second. */
const frameRate = 10;

const text = (value: number, tokens = 2): TextState => ({ states: new Float32Array(4 * tokens).fill(value), tokens });

/** Codes that say which clip and which frame they are of: 16 clips of frames that count on in both codebooks. */
const example = (frames: number, words = text(1)): SoundExample => ({
  codes: Int32Array.from({ length: K * frames }, (_, i) => (i % frames) % 31),
  frames,
  text: words,
});

const examplesOf = (training: SoundExample[], heldOut: SoundExample[] = []): SoundExamples => ({
  training,
  heldOut,
  textLength: 16,
});

const recipeOf = (fields: object = {}) =>
  parseRecipe({ caption_dropout_rate: 0, gradient_accumulation_steps: 1, shuffle: false, seed: 7, ...fields }, 'sound');

const dataOf = (examples: SoundExamples, fields: object = {}) =>
  soundRunData(examples, { config, recipe: recipeOf(fields), frameRate });

const values = (batch: { inputs: Readonly<Record<string, ArrayLike<number>>> }, name: string): number[] =>
  Array.from(batch.inputs[name]!);

describe('a batch of a sound', () => {
  test('is codes in the delay pattern behind the start token, each codebook’s loss its own mean', () => {
    const [batch] = dataOf(examplesOf([example(4)])).batches(0);
    expect(batch!.program).toBe('5+16');
    // Codebook 1 begins a step later and ends with it; the decoder is told what came a step before.
    expect(values(batch!, 'labels.0')).toEqual([0, 1, 2, 3, -100]);
    expect(values(batch!, 'labels.1')).toEqual([-100, 0, 1, 2, 3]);
    expect(values(batch!, 'ids.0')).toEqual([START, 0, 1, 2, 3]);
    expect(values(batch!, 'ids.1')).toEqual([START, PAD, 0, 1, 2]);
    for (const k of [0, 1]) {
      const weights = values(batch!, `weights.${k}`);
      expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1 / K, 6);
      expect(weights.map((weight) => weight > 0)).toEqual(values(batch!, `labels.${k}`).map((label) => label >= 0));
    }
    expect(batch!.labelTokens).toBe(1);
  });

  test('fills clips up to a few lengths with what carries no loss', () => {
    expect([1, 5, 6, 59, 60].map((frames) => paddedFrames(frames, 60))).toEqual([10, 10, 10, 60, 60]);
    expect(paddedFrames(7, 7)).toBe(7);
    const data = dataOf(examplesOf([example(58), example(60), example(13)]), { per_device_train_batch_size: 2 });
    const [long] = data.batches(0);
    expect(long!.program).toBe('61+16');
    const labels = values(long!, 'labels.0');
    expect(labels.slice(0, 58).every((label) => label >= 0)).toBe(true);
    expect(labels.slice(58, 61)).toEqual([-100, -100, -100]);
    // The third clip is alone of its length: it fills its own batch.
    const [short] = data.batches(1);
    expect(short!.program).toBe('21+16');
    expect(values(short!, 'labels.0').filter((label) => label >= 0)).toHaveLength(2 * 13);
    expect(data.count).toBe(4);
  });

  test('cuts long clips at places drawn from the seed and the place in the run alone', () => {
    const clips = examplesOf([example(28), example(28)]);
    const settings = { max_duration_in_seconds: 1, max_steps: 50 };
    const first = (index: number, fields: object = {}): number =>
      values(dataOf(clips, { ...settings, ...fields }).batches(index)[0]!, 'labels.0')[0]!;
    const starts = Array.from({ length: 50 }, (_, i) => first(i));
    expect(new Set(starts).size).toBeGreaterThan(8);
    expect(Math.max(...starts)).toBeLessThanOrEqual(18);
    expect(Array.from({ length: 50 }, (_, i) => first(49 - i)).reverse()).toEqual(starts);
    expect(Array.from({ length: 50 }, (_, i) => first(i, { seed: 8 }))).not.toEqual(starts);
    expect(new Set(Array.from({ length: 10 }, (_, i) => first(i, { random_crop: false })))).toEqual(new Set([0]));
    const [batch] = dataOf(clips, settings).batches(0);
    expect(values(batch!, 'labels.1')).toHaveLength(11);
  });

  test('leaves words out at their rate: no token is seen then', () => {
    const clips = examplesOf(Array.from({ length: 10 }, () => example(4)));
    const seen = (rate: number): number => {
      const data = dataOf(clips, { caption_dropout_rate: rate });
      const ranges = Array.from({ length: 400 }, (_, i) => values(data.batches(i)[0]!, 'textRanges'));
      return ranges.filter(([from, to]) => to! > from!).length;
    };
    expect(seen(0)).toBe(400);
    expect(seen(1)).toBe(0);
    // Six standard deviations to either side.
    expect(Math.abs(seen(0.25) - 300)).toBeLessThan(52);
  });

  test('held-out clips are measured from their beginning, with their words', () => {
    const data = dataOf(examplesOf([example(28)], [example(28, text(3, 5))]), {
      max_duration_in_seconds: 1,
      caption_dropout_rate: 1,
    });
    expect(data.heldOut).toHaveLength(1);
    const [batch] = data.heldOut;
    expect(values(batch!, 'labels.0').slice(0, 3)).toEqual([0, 1, 2]);
    expect(values(batch!, 'textRanges').slice(0, 2)).toEqual([0, 5]);
    expect(values(batch!, 'textStates').slice(0, 24)).toEqual([...new Array<number>(20).fill(3), 0, 0, 0, 0]);
  });
});

describe('clips become examples', () => {
  const clip = (id: string, words: string): SoundSource => ({
    id,
    name: id,
    seconds: 1,
    words,
    read: (rate, channels) => Promise.resolve(Array.from({ length: channels }, () => new Float32Array(rate))),
  });

  seeded('once: codes and words come from the cache the second time', async ({ seed }) => {
    const random = new RandomStream(seed, 'codes');
    const kept = new Map<string, Float32Array<ArrayBuffer>>();
    const cache: SoundCache = {
      read: (key) => Promise.resolve(kept.get(key)),
      write: (key, written) => Promise.resolve(void kept.set(key, written)),
      trim: () => Promise.resolve(),
    };
    let encoded = 0;
    const encoders: SoundEncoders = {
      sampleRate: 1000,
      channels: 1,
      encodeSound([samples]) {
        encoded += 1;
        expect(samples).toHaveLength(1000);
        return Promise.resolve({ codes: Int32Array.from({ length: 20 }, () => random.integer(2048)), frames: 10 });
      },
      encodeText(words) {
        encoded += 1;
        return Promise.resolve(text(words.length, 3));
      },
    };
    const clips = [clip('a', 'slow'), clip('b', 'fast piano'), clip('c', 'slow')];
    const run = async () => {
      const told: string[] = [];
      const making = makeSoundExamples(clips, recipeOf({ eval_share: 0 }), encoders, { cache });
      for (;;) {
        const next = await making.next();
        if (next.done) return { told, examples: next.value };
        told.push(`${next.value.what} ${next.value.done}/${next.value.total}`);
      }
    };
    const first = await run();
    expect(encoded).toBe(5);
    expect(first.told).toEqual(['captions 0/2', 'captions 1/2', 'codes 0/3', 'codes 1/3', 'codes 2/3', 'codes 3/3']);
    expect(first.examples.training.map(({ text: words }) => words.states[0])).toEqual([4, 10, 4]);
    expect(first.examples.textLength).toBe(16);
    const second = await run();
    expect(encoded).toBe(5);
    expect(second.examples).toEqual(first.examples);
  });

  test('none is nothing to learn from', async () => {
    await expect(makeSoundExamples([], recipeOf(), {} as SoundEncoders).next()).rejects.toThrow('Add music');
  });
});

test('a sound’s adapter is the decoder’s layers by name; all-linear would reach too far', () => {
  expect(parseSoundLora({}).target_modules).toContain('out_proj');
  expect(parseSoundLora({ r: 4 })).toMatchObject({ r: 4, lora_alpha: 16 });
  expect(() => parseSoundLora({ target_modules: 'all-linear' })).toThrow('audio codec');
});
