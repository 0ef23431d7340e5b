import { UserError } from '../../common/errors.ts';
import type { WeightSpec } from '../../engine/graph.ts';
import type { DType } from '../../engine/tensor.ts';
import type { WeightPiece } from '../../engine/weight-formats.ts';
import { isWeightType, weightFormat } from '../../engine/weight-formats.ts';
import type { Checkpoint } from './checkpoint.ts';

/** How the frozen base is kept on the device; `stored` is as in the file. */
export const PRECISIONS = ['stored', 'f32', 'bf16', 'f16'] as const;
export type Precision = (typeof PRECISIONS)[number];

export function parsePrecision(value: unknown): Precision {
  const found = PRECISIONS.find((precision) => precision === (value ?? 'stored'));
  if (!found)
    throw new UserError(`The precision “${String(value)}” is not supported. Choose one of ${PRECISIONS.join(', ')}.`);
  return found;
}

/** Device dtypes that are bit for bit what files hold. */
export const STORED: Readonly<Record<string, DType>> = { F32: 'f32', BF16: 'bf16', F16: 'f16' };

/** The dtype that a checkpoint's matrix has on the device. f64 is rounded to f32. */
export function deviceDtype(checkpoint: Checkpoint, precision: Precision, name: string): DType {
  if (precision !== 'stored') return precision;
  const entry = checkpoint.tensors.get(name);
  if (!entry)
    throw new UserError(
      `“${checkpoint.folder.name}” has no tensor ${name}, which its config.json asks for. Is a file missing?`,
    );
  return STORED[entry.dtype] ?? 'f32';
}

/** Values in a weight's storage format. */
export function encoded(values: Float32Array<ArrayBuffer>, dtype: WeightSpec['dtype']): WeightPiece {
  if (!isWeightType(dtype)) throw new Error(`${dtype} is no format of weights`);
  return weightFormat(dtype).encode(values);
}
