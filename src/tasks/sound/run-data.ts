import { RandomStream } from '../../common/random.ts';
import type { MusicgenConfig } from '../../models/musicgen/musicgen-config.ts';
import { delayedLabels, stepsOfFrames } from '../../models/musicgen/delay.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { RunData } from '../../training/training-loop.ts';
import type { Placed } from '../../training/sized-batches.ts';
import { EpochBatches, sizedBatches } from '../../training/sized-batches.ts';
import type { Batch } from '../../training/trainer.ts';
import type { SoundRow, TextState } from './batch.ts';
import { makeBatch } from './batch.ts';

/** A clip as codes. */
export interface SoundExample {
  /** [K, frames], K of all channels */
  codes: Int32Array;
  frames: number;
  text: TextState;
}

export interface SoundExamples {
  training: readonly SoundExample[];
  heldOut: readonly SoundExample[];
  /** Tokens that texts are filled up to. */
  textLength: number;
}

interface Settings {
  config: MusicgenConfig;
  recipe: Recipe;
  /** Codes a second. */
  frameRate: number;
}

/** Different lengths that a run's batches may have: each needs a program of its own, fewer fill up more. */
const MOST_LENGTHS = 6;

/** Frames that a clip is cut to. */
export const mostFrames = ({ recipe, frameRate }: Pick<Settings, 'recipe' | 'frameRate'>): number =>
  Math.max(1, Math.floor(recipe.max_duration_in_seconds * frameRate));

/** Frames that a clip is filled up to: the next of a few equal steps up to the longest clip's. */
export function paddedFrames(frames: number, longest: number): number {
  const step = Math.ceil(longest / MOST_LENGTHS);
  return Math.min(longest, Math.ceil(frames / step) * step);
}

/** A stretch of a clip's codes, from `offset` on. */
function cropped({ codes, frames }: SoundExample, codebooks: number, offset: number, length: number): Int32Array {
  if (offset === 0 && length === frames) return codes;
  const part = new Int32Array(codebooks * length);
  for (let k = 0; k < codebooks; k++) {
    part.set(codes.subarray(k * frames + offset, k * frames + offset + length), k * length);
  }
  return part;
}

/** Steps of the decoder for clips of so many frames, filled up. */
export const paddedSteps = (config: MusicgenConfig, frames: number, longest: number): number =>
  stepsOfFrames(config.decoder, paddedFrames(frames, longest));

/**
 * Batches of clips with offset and left-out captions drawn from the seed and the example's place in the run alone, so that a
 * run that goes on hears what one that never stopped would have heard.
 */
export function soundRunData(examples: SoundExamples, settings: Settings): RunData {
  const { config, recipe } = settings;
  const { codebooks, padId } = config.decoder;
  const { textLength } = examples;
  const most = mostFrames(settings);
  const all = [...examples.training, ...examples.heldOut];
  const longest = Math.min(most, Math.max(...all.map(({ frames }) => frames)));
  const lengthOf = ({ frames }: SoundExample): number => paddedSteps(config, Math.min(frames, most), longest);
  const rowOf = (example: SoundExample, offset: number, text: TextState | null): SoundRow => ({
    labels: delayedLabels(config.decoder, cropped(example, codebooks, offset, Math.min(example.frames, most)), padId),
    text,
  });
  const drawn = ({ example, position }: Placed<SoundExample>): SoundRow => {
    const random = new RandomStream(recipe.seed, `example ${position}`);
    const isSilent = random.uniform() < recipe.caption_dropout_rate;
    const spare = example.frames - Math.min(example.frames, most);
    const offset = recipe.random_crop && spare > 0 ? random.integer(spare + 1) : 0;
    return rowOf(example, offset, isSilent ? null : example.text);
  };
  const toBatch = (rows: SoundRow[], length: number): Batch => makeBatch(config, rows, { length, textLength });
  const epochs = new EpochBatches((epoch) =>
    sizedBatches(examples.training, (example) => String(lengthOf(example)), recipe, epoch),
  );
  return {
    count: epochs.perEpoch * recipe.per_device_train_batch_size,
    batches: (index) =>
      Array.from({ length: recipe.gradient_accumulation_steps }, (_, micro) => {
        const batch = epochs.at(index * recipe.gradient_accumulation_steps + micro);
        return toBatch(batch.map(drawn), lengthOf(batch[0]!.example));
      }),
    // The same stretch with its words whenever it is measured.
    heldOut: sizedBatches(
      examples.heldOut,
      (example) => String(lengthOf(example)),
      { ...recipe, shuffle: false },
      0,
    ).map((batch) =>
      toBatch(
        batch.map(({ example }) => rowOf(example, 0, example.text)),
        lengthOf(batch[0]!.example),
      ),
    ),
  };
}
