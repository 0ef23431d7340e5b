import { UserError } from '../../common/errors.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import type { Recipe } from '../../training/recipe.ts';
import { rowBatches } from '../../training/row-batches.ts';
import type { RunData } from '../../training/training-loop.ts';
import { TensorFile } from '../tensor-file.ts';
import type { SoundBase } from './base.ts';
import type { SoundRow, TextState } from './batch.ts';
import { makeBatch } from './batch.ts';
import { TextEncoder, paddedLength } from './text-encoder.ts';

/** Rows of a prepared batch file, all of one length. */
export interface PreparedRows {
  rows: SoundRow[];
  /** Steps of each, and tokens that texts are filled up to. */
  length: number;
  textLength: number;
}

/** The tokens of a row that count. Throws UserError where the mask has gaps. */
export function maskedTokens(ids: Int32Array, mask: Int32Array, row: number): Int32Array {
  const from = mask.indexOf(1);
  const to = mask.lastIndexOf(1) + 1;
  if (mask.some((value, i) => value !== (i >= from && i < to ? 1 : 0))) {
    throw new UserError(
      `attention_mask of row ${row} has gaps or values other than 0 and 1; padding may only lie at the ends.`,
    );
  }
  return from < 0 ? ids.subarray(0, 0) : ids.subarray(from, to);
}

/**
 * Reads input_ids and attention_mask I64 [N,S] and labels I64 [N,T,K], as MusicgenForConditionalGeneration takes them: codes
 * already delayed, pad token and -100 without loss. Throws UserError naming what does not fit.
 */
export async function readPreparedRows(base: SoundBase, folder: ModelFolder, name: string): Promise<PreparedRows> {
  const file = await TensorFile.open(folder, name);
  const { codebooks } = base.config.decoder;
  const labels = await file.integers('labels', [undefined, undefined, codebooks]);
  const [count, length] = labels.shape as [number, number];
  if (count === 0 || length === 0) throw new UserError(`There is nothing to learn from in ${name}: it has no rows.`);
  const ids = await file.integers('input_ids', [count, undefined]);
  const tokens = ids.shape[1]!;
  const mask = await file.integers('attention_mask', [count, tokens]);
  const encoder = new TextEncoder(base);
  try {
    const rows: SoundRow[] = [];
    for (let i = 0; i < count; i++) {
      const range = [i * tokens, (i + 1) * tokens] as const;
      const counted = maskedTokens(ids.values.subarray(...range), mask.values.subarray(...range), i);
      const text: TextState | null = counted.length > 0 ? await encoder.encodeIds(counted) : null;
      rows.push({ labels: labels.values.subarray(i * length * codebooks, (i + 1) * length * codebooks), text });
    }
    return { rows, length, textLength: paddedLength(Math.max(...rows.map(({ text }) => text?.tokens ?? 0))) };
  } finally {
    encoder.release();
  }
}

/** Batches of a prepared file's rows, as rowBatches. */
export function preparedRunData(base: SoundBase, { rows, ...shape }: PreparedRows, recipe: Recipe): RunData {
  return rowBatches(rows, recipe, (picked) => makeBatch(base.config, picked, shape));
}
