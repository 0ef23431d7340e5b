import { RandomStream } from '../../common/random.ts';
import type { Conditions, Denoiser, ExampleShape, LatentDistribution } from '../../models/diffusion/denoiser.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { RunData } from '../../training/training-loop.ts';
import type { Placed } from '../../training/sized-batches.ts';
import { EpochBatches, sizedBatches } from '../../training/sized-batches.ts';
import type { Batch } from '../../training/trainer.ts';
import type { BatchContext, EncodedPrompt, NoisyRow } from './batch.ts';
import { makeBatch, programName } from './batch.ts';

/** One thing ready to be learnt from: a picture, a stretch of sound. */
export interface Example {
  shape: ExampleShape;
  /** As it is, and otherwise seen (mirrored) where the recipe asks for that; one of them is drawn each time. */
  views: readonly { latents: LatentDistribution; mask?: Float32Array | undefined }[];
  /** Ways to say its caption; one of them is drawn each time. */
  prompts: readonly EncodedPrompt[];
  /** What is told beside the words. */
  conditions?: Conditions | undefined;
  /** 1, or prior preservation's weight of the base's own. */
  weight: number;
  /** Times it is seen an epoch. */
  repeats: number;
}

export interface Examples {
  training: readonly Example[];
  /** The base's own, for prior preservation: as many an epoch as there are others. */
  priors: readonly Example[];
  heldOut: readonly Example[];
  /** What is said without a caption. */
  empty: EncodedPrompt;
}

interface Settings {
  context: BatchContext;
  recipe: Recipe;
}

/** Timesteps at which held-out examples are measured: the same ones each time, spread evenly. */
const HELD_OUT_TIMESTEPS = 4;

function normals(random: RandomStream, count: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = random.normal();
  return values;
}

/** One draw of a distribution; the mean where it has no deviations. */
function drawLatents({ mean, deviation }: LatentDistribution, random: RandomStream): Float32Array {
  if (!deviation) return mean;
  const drawn = normals(random, mean.length);
  return Float32Array.from(mean, (value, i) => value + deviation[i]! * drawn[i]!);
}

/** Adds a normal number for each channel, the same at all its positions (noise offset). */
function shiftChannels(
  noise: Float32Array,
  denoiser: Denoiser,
  { sample }: ExampleShape,
  random: RandomStream,
  amount: number,
): void {
  const { channels } = denoiser;
  const offsets = Array.from({ length: channels }, () => amount * random.normal());
  // Where each number of a sample lies among the channels, whatever its layout.
  const channelOf = denoiser.fromRows(
    Float32Array.from({ length: noise.length }, (_, i) => i % channels),
    sample,
  );
  for (let i = 0; i < noise.length; i++) noise[i]! += offsets[channelOf[i]!]!;
}

/** Draws latents, noise and, where none is given, the timestep of one example. */
function noisyRow(
  example: Example,
  random: RandomStream,
  { context: { denoiser, process }, recipe }: Settings,
  choice: { view: number; prompt: EncodedPrompt; timestep?: number },
): NoisyRow {
  const { latents: distribution, mask } = example.views[choice.view]!;
  const latents = drawLatents(distribution, random);
  const noise = normals(random, latents.length);
  if (recipe.noise_offset > 0) shiftChannels(noise, denoiser, example.shape, random, recipe.noise_offset);
  return {
    latents,
    noise,
    timestep: choice.timestep ?? process.drawTimestep(random, recipe),
    prompt: choice.prompt,
    conditions: example.conditions,
    mask: recipe.masked_loss ? mask : undefined,
    weight: example.weight,
  };
}

/** The batches of one epoch; the base's own are mixed in, as many as there are others. */
function epochBatches(examples: Examples, recipe: Recipe, epoch: number): Placed<Example>[][] {
  const own = examples.training.flatMap((example) => Array.from({ length: example.repeats }, () => example));
  const { priors } = examples;
  const ordinary = priors.length > 0 ? own.map((_, i) => priors[(epoch * own.length + i) % priors.length]!) : [];
  return sizedBatches([...own, ...ordinary], ({ shape }) => programName(shape), recipe, epoch);
}

/** Batches of an epoch: the same number in every one. */
export function batchesPerEpoch(examples: Examples, recipe: Recipe): number {
  return epochBatches(examples, recipe, 0).length;
}

/**
 * Batches of examples with everything that is random drawn from the seed and the example's place in the run alone, so that
 * a run that goes on sees what one that never stopped would have seen.
 */
export function exampleRunData(examples: Examples, settings: Settings): RunData {
  const { context, recipe } = settings;
  const epochs = new EpochBatches((epoch) => epochBatches(examples, recipe, epoch));
  const toBatch = (rows: NoisyRow[], shape: ExampleShape): Batch => makeBatch(context, rows, shape, recipe);
  const drawRow = ({ example, position }: Placed<Example>): NoisyRow => {
    const random = new RandomStream(recipe.seed, `example ${position}`);
    const view = random.integer(example.views.length);
    const isSilent = random.uniform() < recipe.caption_dropout_rate;
    const prompt = isSilent ? examples.empty : example.prompts[random.integer(example.prompts.length)]!;
    return noisyRow(example, random, settings, { view, prompt });
  };
  return {
    count: epochs.perEpoch * recipe.per_device_train_batch_size,
    batches: (index) =>
      Array.from({ length: recipe.gradient_accumulation_steps }, (_, micro) => {
        const batch = epochs.at(index * recipe.gradient_accumulation_steps + micro);
        return toBatch(batch.map(drawRow), batch[0]!.example.shape);
      }),
    heldOut: heldOutBatches(examples.heldOut, settings, toBatch),
  };
}

/** Each held-out example at the same timesteps with the same noise whenever it is measured. */
function heldOutBatches(
  examples: readonly Example[],
  settings: Settings,
  toBatch: (rows: NoisyRow[], shape: ExampleShape) => Batch,
): Batch[] {
  const {
    context: { process },
    recipe,
  } = settings;
  const size = recipe.per_device_train_batch_size;
  const byShape = new Map<string, { rows: NoisyRow[]; shape: ExampleShape }>();
  examples.forEach((example, i) => {
    const name = programName(example.shape);
    const group = byShape.get(name) ?? { rows: [], shape: example.shape };
    byShape.set(name, group);
    for (let k = 0; k < HELD_OUT_TIMESTEPS; k++) {
      const random = new RandomStream(recipe.seed, `held out ${i} ${k}`);
      const timestep = process.timestepAt((k + 0.5) / HELD_OUT_TIMESTEPS, recipe);
      group.rows.push(noisyRow(example, random, settings, { view: 0, prompt: example.prompts[0]!, timestep }));
    }
  });
  return [...byShape.values()].flatMap(({ rows, shape }) => {
    const batches: Batch[] = [];
    for (let first = 0; first < rows.length; first += size) {
      const part = rows.slice(first, first + size);
      for (let i = 0; part.length < size; i++) part.push(rows[i % rows.length]!);
      batches.push(toBatch(part, shape));
    }
    return batches;
  });
}
