import { UserError } from '../../common/errors.ts';
import type { WeightSpec } from '../../engine/graph.ts';
import type { WeightPiece } from '../../engine/weight-formats.ts';
import type { Checkpoint } from './checkpoint.ts';
import { DTYPE_BYTES, decodeFloats } from './dtypes.ts';
import { quoteValue } from '../../common/json.ts';
import type { TensorEntry } from './safetensors.ts';
import { STORED } from './precision.ts';
import { encoded } from './precision.ts';

/** Where a model's tensor lies: in a file's tensor, or in a part of one. */
export interface StoredTensor {
  checkpoint: Checkpoint;
  name: string;
  /** The rows [part · n, (part + 1) · n) of `of` times as many. */
  slice?: { part: number; of: number } | undefined;
  /** [columns, rows] in the file. */
  transposed?: boolean | undefined;
}

type Source = WeightSpec['sources'][number];

/** Read and converted at once; nothing larger passes through memory. */
const PIECE_ELEMENTS = 1024 * 1024;

/** Elements by element, whatever they stand for. */
const WORDS = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array } as const;
type Words =
  Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>;

/**
 * The file's entry and the pixels of its kernel. A matrix may be stored as a convolution of 1 by 1 and the other way round.
 * Throws UserError where it is missing or of another shape.
 */
export function requireStored(
  stored: StoredTensor,
  { name, shape, kernel }: Source,
): { entry: TensorEntry; pixels: number } {
  const { checkpoint, slice, transposed } = stored;
  const folder = checkpoint.folder.name;
  const entry = checkpoint.tensors.get(stored.name);
  if (!entry)
    throw new UserError(
      `“${folder}” has no tensor ${quoteValue(stored.name)}, which the model needs. Is a file missing?`,
    );
  const rows = shape[0]! * (slice?.of ?? 1);
  const [columns] = shape.slice(1);
  const area = kernel ? kernel[0] * kernel[1] : 1;
  const expected: (readonly number[])[] = [];
  if (columns === undefined) expected.push([rows]);
  else if (transposed) expected.push([columns, rows]);
  else {
    expected.push([rows, columns / area, ...(kernel ?? [1, 1])]);
    if (area === 1) expected.unshift([rows, columns]);
  }
  if (!expected.some((form) => form.length === entry.shape.length && form.every((dim, i) => dim === entry.shape[i]))) {
    throw new UserError(
      `Tensor ${quoteValue(stored.name)} in ${entry.file} of “${folder}” has the shape [${entry.shape.join(', ')}]; ` +
        `the model's configuration asks for [${expected[0]!.join(', ')}] (${name}). The two do not belong together.`,
    );
  }
  return { entry, pixels: entry.shape.length === 4 ? area : 1 };
}

/** Rows of [channels, pixels] each as rows of [pixels, channels]. */
function pixelsFirst(words: Words, row: number, pixels: number): Words {
  const channels = row / pixels;
  const out = words.slice() as Words;
  for (let start = 0; start < words.length; start += row) {
    for (let c = 0; c < channels; c++) {
      for (let p = 0; p < pixels; p++) out[start + p * channels + c] = words[start + c * pixels + p]!;
    }
  }
  return out;
}

const bytesOf = (words: Words): Uint8Array<ArrayBuffer> =>
  new Uint8Array(words.buffer, words.byteOffset, words.byteLength);

/** Streams a tensor in `dtype` as the device holds it, convolutions with their pixels before their channels. */
export async function* streamStored(
  stored: StoredTensor,
  source: Source,
  dtype: WeightSpec['dtype'],
): AsyncGenerator<WeightPiece> {
  const { checkpoint, name, slice, transposed } = stored;
  const { entry, pixels } = requireStored(stored, source);
  const elements = source.shape.reduce((product, size) => product * size, 1);
  if (elements === 0) return;
  const width = DTYPE_BYTES[entry.dtype];
  const row = elements / source.shape[0]!;
  const convert = (bytes: Uint8Array<ArrayBuffer>): WeightPiece =>
    STORED[entry.dtype] === dtype
      ? bytes
      : encoded(decodeFloats(bytes, entry.dtype, `Tensor ${quoteValue(name)} in ${entry.file}`), dtype);
  if (transposed) {
    // A projection of a few megabytes: read whole.
    const words = new WORDS[width]((await checkpoint.read(name)).slice().buffer);
    yield convert(bytesOf(pixelsFirst(words, elements, source.shape[0]!)));
    return;
  }
  const start = (slice?.part ?? 0) * elements * width;
  // Whole rows, so that each piece can be turned by itself.
  const piece = (pixels > 1 ? Math.max(1, Math.floor(PIECE_ELEMENTS / row)) * row : PIECE_ELEMENTS) * width;
  for await (const { bytes } of checkpoint.chunks(name, start, start + elements * width, piece)) {
    yield convert(pixels > 1 ? bytesOf(pixelsFirst(new WORDS[width](bytes.slice().buffer), row, pixels)) : bytes);
  }
}
