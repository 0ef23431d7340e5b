import { splitHeldOut } from '../../common/order.ts';
import type { SoundSource } from '../../datasets/sound/types.ts';
import { UserError } from '../../common/errors.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { TextState } from './batch.ts';
import type { SoundExample, SoundExamples } from './run-data.ts';
import { paddedLength } from './text-encoder.ts';
import type { SoundCache, SoundPrepareEvent } from './types.ts';

/** Codes of one clip, [K, frames], K of all channels. */
export interface Codes {
  codes: Int32Array<ArrayBuffer>;
  frames: number;
}

/** What sounds and words are turned into, by the base's own encoders. */
export interface SoundEncoders {
  sampleRate: number;
  channels: 1 | 2;
  /** Codes of a sound's samples, an array for each channel. */
  encodeSound(channels: readonly Float32Array[]): Promise<Codes>;
  encodeText(words: string): Promise<TextState>;
}

/** Codes are small whole numbers, which float32 holds exactly; the cache keeps floats. */
async function codesOf(source: SoundSource, encoders: SoundEncoders, cache: SoundCache | undefined): Promise<Codes> {
  const key = `codes ${source.id}`;
  const known = await cache?.read(key);
  if (known && known.length > 1) {
    const codes = Int32Array.from(known.subarray(1));
    return { codes, frames: known[0]! };
  }
  const made = await encoders.encodeSound(await source.read(encoders.sampleRate, encoders.channels));
  await cache?.write(key, Float32Array.from([made.frames, ...made.codes]));
  return made;
}

async function textOf(words: string, encoders: SoundEncoders, cache: SoundCache | undefined): Promise<TextState> {
  const key = `words ${words}`;
  const known = await cache?.read(key);
  if (known && known.length > 1) return { states: known.slice(1), tokens: known[0]! };
  const text = await encoders.encodeText(words);
  const kept = new Float32Array(1 + text.states.length);
  kept[0] = text.tokens;
  kept.set(text.states, 1);
  await cache?.write(key, kept);
  return text;
}

/**
 * Clips and their words as examples, each step of the way an event. What was computed before comes from the cache; samples are
 * held for one clip at a time.
 */
export async function* makeSoundExamples(
  clips: readonly SoundSource[],
  recipe: Recipe,
  encoders: SoundEncoders,
  { cache, signal }: { cache?: SoundCache | undefined; signal?: AbortSignal | undefined } = {},
): AsyncGenerator<SoundPrepareEvent, SoundExamples> {
  if (clips.length === 0) throw new UserError('There is nothing to learn from yet. Add music under Data.');
  const words = [...new Set(clips.map((clip) => clip.words))];
  const texts = new Map<string, TextState>();
  for (const [i, each] of words.entries()) {
    signal?.throwIfAborted();
    yield { type: 'prepare', what: 'captions', done: i, total: words.length };
    texts.set(each, await textOf(each, encoders, cache));
  }
  const examples: SoundExample[] = [];
  for (const [i, clip] of clips.entries()) {
    signal?.throwIfAborted();
    yield { type: 'prepare', what: 'codes', done: i, total: clips.length };
    examples.push({ ...(await codesOf(clip, encoders, cache)), text: texts.get(clip.words)! });
  }
  await cache?.trim();
  yield { type: 'prepare', what: 'codes', done: clips.length, total: clips.length };
  const { train, heldOut } = splitHeldOut(examples.length, recipe.eval_share, recipe.seed);
  return {
    training: train.map((i) => examples[i]!),
    heldOut: heldOut.map((i) => examples[i]!),
    textLength: paddedLength(Math.max(...[...texts.values()].map(({ tokens }) => tokens))),
  };
}
