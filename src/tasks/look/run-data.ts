import { RandomStream } from '../../common/random.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { RunData } from '../../training/training-loop.ts';
import type { Placed } from '../../training/sized-batches.ts';
import { EpochBatches, sizedBatches } from '../../training/sized-batches.ts';
import type { Batch } from '../../training/trainer.ts';
import type { BatchContext, LatentSize, NoisyRow } from './batch.ts';
import { makeBatch, programName } from './batch.ts';
import type { TextState } from './text.ts';

/** Scaled latents of a picture as the encoder gives them: a normal distribution for each value. Arrays are [C, h, w]. */
export interface Moments {
  mean: Float32Array;
  deviation: Float32Array;
}

/** One picture ready to be learnt from. */
export interface LookExample {
  size: LatentSize;
  /** As it is, and mirrored where the recipe asks for that. */
  views: readonly { moments: Moments; mask?: Float32Array | undefined }[];
  /** Ways to say its caption; one of them is drawn each time. */
  texts: readonly TextState[];
  /** SDXL: original height and width, crop's top and left, target height and width. */
  timeIds?: readonly number[] | undefined;
  /** 1, or prior preservation's weight of a class picture. */
  weight: number;
  /** Times it is seen an epoch. */
  repeats: number;
}

export interface LookExamples {
  training: readonly LookExample[];
  /** Class pictures of prior preservation: as many an epoch as there are others. */
  priors: readonly LookExample[];
  heldOut: readonly LookExample[];
  /** What is said without a caption. */
  empty: TextState;
}

interface Settings {
  context: BatchContext;
  recipe: Recipe;
}

/** Timesteps at which held-out pictures are measured: the same ones each time, spread evenly. */
const HELD_OUT_TIMESTEPS = 4;

function normals(random: RandomStream, count: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = random.normal();
  return values;
}

/** Draws latents, noise and, where none is given, the timestep of one example. */
function noisyRow(
  example: LookExample,
  random: RandomStream,
  { context: { config, schedule }, recipe }: Settings,
  choice: { view: number; text: TextState; timestep?: number },
): NoisyRow {
  const { moments, mask } = example.views[choice.view]!;
  const { mean, deviation } = moments;
  const drawn = normals(random, mean.length);
  const latents = Float32Array.from(mean, (value, i) => value + deviation[i]! * drawn[i]!);
  const noise = normals(random, mean.length);
  if (recipe.noise_offset > 0) {
    const pixels = example.size.height * example.size.width;
    for (let c = 0; c < config.inChannels; c++) {
      const offset = recipe.noise_offset * random.normal();
      for (let i = 0; i < pixels; i++) noise[c * pixels + i]! += offset;
    }
  }
  return {
    latents,
    noise,
    timestep: choice.timestep ?? random.integer(schedule.timesteps),
    text: choice.text,
    timeIds: example.timeIds,
    mask: recipe.masked_loss ? mask : undefined,
    weight: example.weight,
  };
}

/** The batches of one epoch; class pictures are mixed in, as many as there are others. */
function epochBatches(examples: LookExamples, recipe: Recipe, epoch: number): Placed<LookExample>[][] {
  const own = examples.training.flatMap((example) => Array.from({ length: example.repeats }, () => example));
  const { priors } = examples;
  const ordinary = priors.length > 0 ? own.map((_, i) => priors[(epoch * own.length + i) % priors.length]!) : [];
  return sizedBatches([...own, ...ordinary], ({ size }) => programName(size), recipe, epoch);
}

/** Batches of an epoch: the same number in every one. */
export function batchesPerEpoch(examples: LookExamples, recipe: Recipe): number {
  return epochBatches(examples, recipe, 0).length;
}

/**
 * Batches of pictures with everything that is random drawn from the seed and the example's place in the run alone, so that
 * a run that goes on sees what one that never stopped would have seen.
 */
export function lookRunData(examples: LookExamples, settings: Settings): RunData {
  const { context, recipe } = settings;
  const epochs = new EpochBatches((epoch) => epochBatches(examples, recipe, epoch));
  const toBatch = (rows: NoisyRow[], size: LatentSize): Batch => makeBatch(context, rows, size, recipe.snr_gamma);
  const drawRow = ({ example, position }: Placed<LookExample>): NoisyRow => {
    const random = new RandomStream(recipe.seed, `example ${position}`);
    const view = random.integer(example.views.length);
    const isSilent = random.uniform() < recipe.caption_dropout_rate;
    const text = isSilent ? examples.empty : example.texts[random.integer(example.texts.length)]!;
    return noisyRow(example, random, settings, { view, text });
  };
  return {
    count: epochs.perEpoch * recipe.per_device_train_batch_size,
    batches: (index) =>
      Array.from({ length: recipe.gradient_accumulation_steps }, (_, micro) => {
        const batch = epochs.at(index * recipe.gradient_accumulation_steps + micro);
        return toBatch(batch.map(drawRow), batch[0]!.example.size);
      }),
    heldOut: heldOutBatches(examples.heldOut, settings, toBatch),
  };
}

/** Each held-out picture at the same timesteps with the same noise whenever it is measured. */
function heldOutBatches(
  examples: readonly LookExample[],
  settings: Settings,
  toBatch: (rows: NoisyRow[], size: LatentSize) => Batch,
): Batch[] {
  const {
    context: { schedule },
    recipe,
  } = settings;
  const size = recipe.per_device_train_batch_size;
  const bySize = new Map<string, { rows: NoisyRow[]; size: LatentSize }>();
  examples.forEach((example, i) => {
    const group = bySize.get(programName(example.size)) ?? { rows: [], size: example.size };
    bySize.set(programName(example.size), group);
    for (let k = 0; k < HELD_OUT_TIMESTEPS; k++) {
      const random = new RandomStream(recipe.seed, `held out ${i} ${k}`);
      const timestep = Math.floor(((k + 0.5) / HELD_OUT_TIMESTEPS) * schedule.timesteps);
      group.rows.push(noisyRow(example, random, settings, { view: 0, text: example.texts[0]!, timestep }));
    }
  });
  return [...bySize.values()].flatMap(({ rows, size: latent }) => {
    const batches: Batch[] = [];
    for (let first = 0; first < rows.length; first += size) {
      const part = rows.slice(first, first + size);
      for (let i = 0; part.length < size; i++) part.push(rows[i % rows.length]!);
      batches.push(toBatch(part, latent));
    }
    return batches;
  });
}
