import { UserError } from '../../common/errors.ts';
import type { PromptTokens } from '../../models/diffusion/conditioner.ts';
import type { Conditions, ConditionSpec, ExampleShape } from '../../models/diffusion/denoiser.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import type { Recipe } from '../../training/recipe.ts';
import { rowBatches } from '../../training/row-batches.ts';
import type { RunData } from '../../training/training-loop.ts';
import type { BatchContext, EncodedPrompt, NoisyRow } from '../denoising/batch.ts';
import { lengthsOf, makeBatch } from '../denoising/batch.ts';
import { TensorFile } from '../tensor-file.ts';
import type { LookBase } from './base.ts';
import { LookCodec } from './encoders.ts';

/** Row i of values whose rows have so many numbers. */
export const rowOf = (values: Float32Array, i: number, length: number): Float32Array<ArrayBuffer> =>
  Float32Array.from(values.subarray(i * length, (i + 1) * length));

/** Rows of a prepared batch file with everything drawn, all of one shape. */
export interface PreparedRows {
  rows: NoisyRow[];
  shape: ExampleShape;
}

/** Conditions of each row out of a file's tensors, whose names may begin with a prefix. */
export async function readConditions(
  file: TensorFile,
  rows: number,
  specs: Readonly<Record<string, ConditionSpec>>,
  { names, prefix = '' }: { names: readonly string[]; prefix?: string },
): Promise<Conditions[]> {
  const read: [string, Float32Array][] = [];
  for (const name of names) {
    const { width, isSequence } = specs[name]!;
    const values = isSequence
      ? (await file.floats(prefix + name, [rows, undefined, width])).values
      : Float32Array.from(await file.numbers(prefix + name, [rows, width]));
    read.push([name, values]);
  }
  return Array.from({ length: rows }, (_, i) =>
    Object.fromEntries(read.map(([name, values]) => [name, rowOf(values, i, values.length / rows)])),
  );
}

/** Token ids of each row, a list for each input of the text encoders. */
export async function readTokens(base: LookBase, file: TensorFile, rows?: number): Promise<PromptTokens[]> {
  const read: { values: Int32Array; shape: readonly number[] }[] = [];
  for (const name of base.conditioner.tokenInputs) read.push(await file.integers(name, [rows, undefined]));
  return Array.from({ length: read[0]!.shape[0]! }, (_, i) =>
    read.map(({ values, shape }) => Uint32Array.from(values.subarray(i * shape[1]!, (i + 1) * shape[1]!))),
  );
}

/** What each row is told by words: given, or from token ids by the base's own encoders. */
async function promptsOf(
  base: LookBase,
  codec: LookCodec,
  file: TensorFile,
  rows: number,
  trainText: boolean,
): Promise<EncodedPrompt[]> {
  const { conditioner, denoiser } = base;
  const names = conditioner.conditions;
  if (file.has(names[0]!) && !trainText) {
    const given = await readConditions(file, rows, denoiser.conditions, { names });
    return given.map((conditions) => ({ conditions, tokens: [] }));
  }
  const tokens = await readTokens(base, file, rows);
  await base.load('text_encoder');
  const prompts: EncodedPrompt[] = [];
  for (const each of tokens) prompts.push(await codec.encodeTokens(each));
  return prompts;
}

async function latentsOf(
  base: LookBase,
  codec: LookCodec,
  file: TensorFile,
): Promise<{ latents: Float32Array[]; sample: readonly number[] }> {
  const { channels } = base.denoiser;
  if (file.has('latents')) {
    const { values, shape } = await file.floats('latents', [undefined, channels, undefined, undefined]);
    const each = values.length / shape[0]!;
    return { latents: Array.from({ length: shape[0]! }, (_, i) => rowOf(values, i, each)), sample: shape.slice(1) };
  }
  const pixels = await file.floats('pixel_values', [undefined, 3, undefined, undefined]);
  const [rows, , height, width] = pixels.shape as [number, number, number, number];
  const sample = base.autoencoder.sampleShape({ height, width });
  await base.load('vae');
  let noise: Float32Array | undefined;
  const latents: Float32Array[] = [];
  for (let i = 0; i < rows; i++) {
    const picture = rowOf(pixels.values, i, 3 * height * width);
    const { mean, deviation } = await codec.encodePicture(picture, { height, width });
    if (deviation) noise ??= (await file.floats('vae_noise', [rows, ...sample])).values;
    const drawn = noise && rowOf(noise, i, mean.length);
    latents.push(deviation && drawn ? mean.map((value, at) => value + deviation[at]! * drawn[at]!) : mean);
  }
  return { latents, sample };
}

/**
 * Reads latents F32 [N,C,h,w] (scaled) or pixel_values F32 [N,3,H,W] with vae_noise; noise; timesteps; the text encoders'
 * token ids, or their states and whatever else the denoiser is told; loss_mask F32 [N,1,h,w] where there is one.
 */
export async function readPreparedRows(
  base: LookBase,
  folder: ModelFolder,
  name: string,
  recipe: Recipe,
): Promise<PreparedRows> {
  const file = await TensorFile.open(folder, name);
  const codec = new LookCodec(base);
  try {
    return await readRows(base, codec, file, name, recipe);
  } finally {
    codec.release();
  }
}

async function readRows(
  base: LookBase,
  codec: LookCodec,
  file: TensorFile,
  name: string,
  recipe: Recipe,
): Promise<PreparedRows> {
  const { denoiser, conditioner, process } = base;
  const { latents, sample } = await latentsOf(base, codec, file);
  const rows = latents.length;
  if (rows === 0) throw new UserError(`There is nothing to learn from in ${name}: it has no rows.`);
  const count = latents[0]!.length;
  const noise = await file.floats('noise', [rows, ...sample]);
  const timesteps = await file.numbers('timesteps', [rows]);
  process.requireTimesteps(timesteps, name);
  const prompts = await promptsOf(base, codec, file, rows, recipe.train_text_encoder);
  const beside = Object.keys(denoiser.conditions).filter((each) => !conditioner.conditions.includes(each));
  const conditions = await readConditions(file, rows, denoiser.conditions, { names: beside });
  const mask = file.has('loss_mask') ? await file.floats('loss_mask', [rows, 1, ...sample.slice(1)]) : undefined;
  return {
    shape: { sample, lengths: lengthsOf(denoiser, { ...prompts[0]!.conditions, ...conditions[0] }) },
    rows: latents.map((each, i) => ({
      latents: each,
      noise: rowOf(noise.values, i, count),
      timestep: timesteps[i]!,
      prompt: prompts[i]!,
      conditions: conditions[i],
      mask: mask && rowOf(mask.values, i, mask.values.length / rows),
      weight: 1,
    })),
  };
}

/** Batches of a prepared file's rows, as rowBatches. */
export function preparedRunData(context: BatchContext, { rows, shape }: PreparedRows, recipe: Recipe): RunData {
  return rowBatches(rows, recipe, (picked) => makeBatch(context, picked, shape, recipe));
}
