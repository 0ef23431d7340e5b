import { shuffledOrder } from '../common/order.ts';
import type { Recipe } from './recipe.ts';
import type { RunData } from './training-loop.ts';
import type { Batch } from './trainer.ts';

/** Rows in their order or shuffled by the seed; a batch that reaches the end goes on with the first row. */
export function rowBatches<R>(rows: readonly R[], recipe: Recipe, toBatch: (rows: R[]) => Batch): RunData {
  const batch = recipe.per_device_train_batch_size;
  const rowAt = (position: number): R => {
    const epoch = Math.floor(position / rows.length);
    const within = position % rows.length;
    return rows[recipe.shuffle ? shuffledOrder(rows.length, recipe.seed, epoch)[within]! : within]!;
  };
  return {
    count: rows.length,
    batches: (index) =>
      Array.from({ length: recipe.gradient_accumulation_steps }, (_, micro) => {
        const first = (index * recipe.gradient_accumulation_steps + micro) * batch;
        return toBatch(Array.from({ length: batch }, (__, i) => rowAt(first + i)));
      }),
    heldOut: [],
  };
}
