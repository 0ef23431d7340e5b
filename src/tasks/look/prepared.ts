import { UserError } from '../../common/errors.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import type { Recipe } from '../../training/recipe.ts';
import { rowBatches } from '../../training/row-batches.ts';
import type { RunData } from '../../training/training-loop.ts';
import { TensorFile } from '../tensor-file.ts';
import type { LookBase } from './base.ts';
import type { BatchContext, LatentSize, NoisyRow } from './batch.ts';
import { makeBatch } from './batch.ts';
import { LookCodec } from './encoders.ts';
import type { TextState } from './text.ts';

const part = (values: Float32Array, i: number, length: number): Float32Array<ArrayBuffer> =>
  Float32Array.from(values.subarray(i * length, (i + 1) * length));

/** Rows of a prepared batch file with everything drawn, all of one size. */
export interface PreparedRows {
  rows: NoisyRow[];
  size: LatentSize;
}

/** Text states of each row: given, or from token ids by the base's own encoders. */
async function textsOf(
  base: LookBase,
  codec: LookCodec,
  file: TensorFile,
  rows: number,
  trainText: boolean,
): Promise<TextState[]> {
  const { hasAddedConditions } = base;
  if (file.has('encoder_hidden_states') && !trainText) {
    const { values, shape } = await file.floats('encoder_hidden_states', [rows, undefined, base.unetConfig.contextDim]);
    const [, contextLength, width] = shape as [number, number, number];
    const pooled = hasAddedConditions ? await file.floats('text_embeds', [rows, undefined]) : undefined;
    return Array.from({ length: rows }, (_, i) => ({
      states: part(values, i, contextLength * width),
      contextLength,
      ids: [],
      ...(pooled && { pooled: part(pooled.values, i, pooled.shape[1]!) }),
    }));
  }
  const first = await file.integers('input_ids', [rows, undefined]);
  const hasTwo = base.folder.textEncoders.length > 1;
  const second = hasTwo ? await file.integers('input_ids_2', [rows, undefined]) : undefined;
  await base.load('text');
  const texts: TextState[] = [];
  for (let i = 0; i < rows; i++) {
    const idsOf = ({ values, shape }: { values: Int32Array; shape: readonly number[] }): Uint32Array<ArrayBuffer> =>
      Uint32Array.from(values.subarray(i * shape[1]!, (i + 1) * shape[1]!));
    texts.push(await codec.encodeIds(second ? [idsOf(first), idsOf(second)] : [idsOf(first)]));
  }
  return texts;
}

async function latentsOf(
  base: LookBase,
  codec: LookCodec,
  file: TensorFile,
): Promise<{ values: Float32Array; size: LatentSize; rows: number }> {
  const channels = base.unetConfig.inChannels;
  if (file.has('latents')) {
    const { values, shape } = await file.floats('latents', [undefined, channels, undefined, undefined]);
    return { values, rows: shape[0]!, size: { height: shape[2]!, width: shape[3]! } };
  }
  const pixels = await file.floats('pixel_values', [undefined, 3, undefined, undefined]);
  const [rows, , height, width] = pixels.shape as [number, number, number, number];
  const size = { height: height / base.latentFactor, width: width / base.latentFactor };
  const noise = await file.floats('vae_noise', [rows, channels, size.height, size.width]);
  const each = channels * size.height * size.width;
  const values = new Float32Array(rows * each);
  await base.load('vae');
  for (let i = 0; i < rows; i++) {
    const { mean, deviation } = await codec.encodePicture(part(pixels.values, i, 3 * height * width), height, width);
    for (let at = 0; at < each; at++) values[i * each + at] = mean[at]! + deviation[at]! * noise.values[i * each + at]!;
  }
  return { values, rows, size };
}

/**
 * Reads latents F32 [N,4,h,w] (scaled) or pixel_values F32 [N,3,H,W] with vae_noise; noise; timesteps; input_ids (SDXL also
 * input_ids_2) or encoder_hidden_states; SDXL's text_embeds and time_ids; loss_mask F32 [N,1,h,w] where there is one.
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
  const { values, rows, size } = await latentsOf(base, codec, file);
  if (rows === 0) throw new UserError(`There is nothing to learn from in ${name}: it has no rows.`);
  const channels = base.unetConfig.inChannels;
  const pixels = size.height * size.width;
  const noise = await file.floats('noise', [rows, channels, size.height, size.width]);
  const timesteps = await file.numbers('timesteps', [rows]);
  const last = base.schedule.timesteps - 1;
  const outside = timesteps.find((timestep) => !Number.isInteger(timestep) || timestep < 0 || timestep > last);
  if (outside !== undefined)
    throw new UserError(`${name} holds the timestep ${outside}; whole numbers from 0 to ${last} are needed.`);
  const texts = await textsOf(base, codec, file, rows, recipe.train_text_encoder);
  const timeIds = base.hasAddedConditions ? await file.floats('time_ids', [rows, 6]) : undefined;
  const mask = file.has('loss_mask') ? await file.floats('loss_mask', [rows, 1, size.height, size.width]) : undefined;
  return {
    size,
    rows: Array.from({ length: rows }, (_, i) => ({
      latents: part(values, i, channels * pixels),
      noise: part(noise.values, i, channels * pixels),
      timestep: timesteps[i]!,
      text: texts[i]!,
      timeIds: timeIds && Array.from(part(timeIds.values, i, 6)),
      mask: mask && part(mask.values, i, pixels),
      weight: 1,
    })),
  };
}

/** Batches of a prepared file's rows, as rowBatches. */
export function preparedRunData(context: BatchContext, { rows, size }: PreparedRows, recipe: Recipe): RunData {
  return rowBatches(rows, recipe, (picked) => makeBatch(context, picked, size, recipe.snr_gamma));
}
