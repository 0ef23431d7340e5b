import type { TrainingRow } from '../../datasets/voice/rows.ts';
import { UserError } from '../../common/errors.ts';
import { IGNORED_LABEL } from '../../common/ignored-label.ts';
import { decodeIntegers } from '../../models/files/dtypes.ts';
import type { ModelFolder } from '../../models/files/folder.ts';
import { parseSafetensors } from '../../models/files/safetensors.ts';
import type { KeyRange } from '../../models/causal-lm/key-ranges.ts';
import { distinctRanges, rangeName } from '../../models/causal-lm/key-ranges.ts';
import type { Tokenizer } from '../../models/causal-lm/tokenizer.ts';
import type { Recipe } from '../../training/recipe.ts';
import type { RunData } from '../../training/training-loop.ts';
import type { Batch } from '../../training/trainer.ts';
import type { FitReport, PackedSequence, TokenRow } from './packing.ts';
import { packRows, padRow, padRows, shuffledOrder, splitHeldOut, tokenRanges } from './packing.ts';

/** Sequences of one length, ready to be put into batches. */
export interface Examples {
  /** Tokens of every sequence. */
  length: number;
  training: PackedSequence[];
  heldOut: PackedSequence[];
  report: FitReport | undefined;
  /** A prepared batch file: taken as it is, nothing held out. */
  prepared: boolean;
}

const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

/** Token ids and labels of each row, by the chat template where there are turns. */
export function tokenRows(rows: readonly TrainingRow[], tokenizer: Tokenizer): TokenRow[] {
  return rows.map((row) => {
    const { inputIds, labels } = tokenizer.encodeRow(row);
    return { inputIds, labels, continuous: row.kind === 'text' };
  });
}

/** Splits off the held-out share, packs or pads, and finds the shortest length that holds everything. */
export function makeExamples(
  rows: readonly TokenRow[],
  recipe: Recipe,
  contextLength: number,
  padId: number,
): Examples {
  if (rows.length === 0) throw new UserError('There is nothing to learn from yet. Add some data first.');
  const longest = rows.reduce((most, row) => Math.max(most, row.inputIds.length), 2);
  const total = rows.reduce((sum, row) => sum + row.inputIds.length, 0);
  const limit = Math.min(recipe.max_length, contextLength);
  const maxLength = Math.min(limit, Math.max(2, roundUp(recipe.packing ? total : longest, 32)));
  const { train, heldOut } = splitHeldOut(rows.length, recipe.eval_share, recipe.seed);
  const layOut = recipe.packing ? packRows : padRows;
  const pick = (indices: readonly number[]) =>
    layOut(
      indices.map((i) => rows[i]!),
      { maxLength, padId },
    );
  const learnt = pick(train);
  if (learnt.sequences.length === 0) {
    throw new UserError('No row has anything to learn from: every reply is empty or longer than the maximum length.');
  }
  return {
    length: maxLength,
    training: learnt.sequences,
    heldOut: heldOut.length > 0 ? pick(heldOut).sequences : [],
    report: learnt.report,
    prepared: false,
  };
}

/** Reads input_ids, attention_mask (right padding) and, where they are needed, labels: I64 [N,T], as transformers is called with. */
export async function readTokenRows(
  folder: ModelFolder,
  file: string,
  vocabSize: number,
  needLabels = false,
): Promise<{ sequences: PackedSequence[]; length: number }> {
  const { tensors } = await parseSafetensors(folder, file);
  const read = async (
    name: string,
    shape?: readonly number[],
  ): Promise<{ values: Int32Array; shape: readonly number[] }> => {
    const entry = tensors.get(name);
    if (!entry)
      throw new UserError(
        `${file} has no tensor ${name}. A prepared batch file holds input_ids, attention_mask and labels.`,
      );
    if (entry.shape.length !== 2 || (shape && shape.join() !== entry.shape.join())) {
      throw new UserError(
        `${name} in ${file} has the shape [${entry.shape.join(', ')}]; ${shape ? `[${shape.join(', ')}] as input_ids` : '[rows, tokens]'} is needed.`,
      );
    }
    return {
      values: decodeIntegers(await folder.read(file, entry.begin, entry.end), entry.dtype, name),
      shape: entry.shape,
    };
  };
  const ids = await read('input_ids');
  const mask = await read('attention_mask', ids.shape);
  const labels = needLabels ? await read('labels', ids.shape) : undefined;
  const [rows, length] = ids.shape as [number, number];
  const outside = ids.values.find((id) => id < 0 || id >= vocabSize);
  if (outside !== undefined)
    throw new UserError(`${file} holds the token id ${outside}; the base knows 0 to ${vocabSize - 1}.`);
  const badLabel = labels?.values.find((id) => (id < 0 && id !== IGNORED_LABEL) || id >= vocabSize);
  if (badLabel !== undefined)
    throw new UserError(`${file} holds the label ${badLabel}; the base knows 0 to ${vocabSize - 1}, and -100.`);
  const sequences = Array.from({ length: rows }, (_, row) => {
    const start = row * length;
    let used = 0;
    while (used < length && mask.values[start + used] === 1) used++;
    if (mask.values.subarray(start + used, start + length).some((value) => value !== 0)) {
      throw new UserError(`Row ${row} of ${file} is not padded on the right.`);
    }
    const inputIds = ids.values.subarray(start, start + used);
    const rowLabels = labels?.values.subarray(start, start + used) ?? new Int32Array(used).fill(IGNORED_LABEL);
    return padRow({ inputIds, labels: rowLabels }, { maxLength: length });
  });
  return { sequences, length };
}

/** A prepared batch file as examples: rows as they stand, nothing held out. */
export async function readPreparedBatch(folder: ModelFolder, file: string, vocabSize: number): Promise<Examples> {
  const { sequences, length } = await readTokenRows(folder, file, vocabSize, true);
  if (!sequences.some(({ labelTokens }) => labelTokens > 0)) {
    throw new UserError(`There is nothing to learn from in ${file}: no token after the first of a row has a label.`);
  }
  return { length, training: sequences, heldOut: [], report: undefined, prepared: true };
}

/** Two u32 arrays as the rows (begin, end) of one, moved by `by`. */
function paired(begin: Uint32Array, end: Uint32Array, into: Uint32Array, by: number): void {
  for (let t = 0; t < begin.length; t++) {
    into[2 * (by + t)] = begin[t]! + by;
    into[2 * (by + t) + 1] = end[t]! + by;
  }
}

/** What the layers of most models see. */
const CAUSAL: readonly KeyRange[] = ['causal'];

/**
 * Inputs of the loss graph for sequences laid side by side; missing ones are padding that nothing learns from.
 * @param keyRanges those of the model's layers
 */
export function makeBatch(
  sequences: readonly PackedSequence[],
  size: number,
  length: number,
  keyRanges: readonly KeyRange[] = CAUSAL,
): Batch {
  const tokens = size * length;
  const inputs = {
    ids: new Uint32Array(tokens),
    labels: new Int32Array(tokens).fill(IGNORED_LABEL),
    positions: new Uint32Array(tokens),
  };
  const visible = distinctRanges(keyRanges).map((range) => ({
    range,
    keys: new Uint32Array(2 * tokens),
    queries: new Uint32Array(2 * tokens),
  }));
  let labelTokens = 0;
  for (let i = 0; i < size; i++) {
    const sequence = sequences[i];
    const at = i * length;
    for (const { range, keys, queries } of visible) {
      const ranges = tokenRanges(sequence?.segments ?? [], length, range);
      paired(ranges.kBegin, ranges.kEnd, keys, at);
      paired(ranges.qBegin, ranges.qEnd, queries, at);
    }
    if (!sequence) continue;
    inputs.ids.set(sequence.inputIds, at);
    inputs.labels.set(sequence.labels, at);
    inputs.positions.set(sequence.positions, at);
    labelTokens += sequence.labelTokens;
  }
  const named = visible.flatMap(({ range, keys, queries }) => [
    [`keyRanges${rangeName(range)}`, keys],
    [`queryRanges${rangeName(range)}`, queries],
  ]);
  return { inputs: { ...inputs, ...Object.fromEntries(named) }, labelTokens };
}

/** The batches of one optimiser step, `index` from 0: sequences in the epoch's order, wrapping around at its end. */
export function stepBatches(
  examples: Examples,
  recipe: Recipe,
  index: number,
  keyRanges: readonly KeyRange[] = CAUSAL,
): Batch[] {
  const { training, length } = examples;
  const size = recipe.per_device_train_batch_size;
  const orders = new Map<number, ArrayLike<number>>();
  const sequenceAt = (position: number): PackedSequence => {
    const epoch = Math.floor(position / training.length);
    const within = position % training.length;
    if (!recipe.shuffle) return training[within]!;
    let order = orders.get(epoch);
    if (!order) orders.set(epoch, (order = shuffledOrder(training.length, recipe.seed, epoch)));
    return training[order[within]!]!;
  };
  return Array.from({ length: recipe.gradient_accumulation_steps }, (_, micro) => {
    const first = (index * recipe.gradient_accumulation_steps + micro) * size;
    return makeBatch(
      Array.from({ length: size }, (__, i) => sequenceAt(first + i)),
      size,
      length,
      keyRanges,
    );
  });
}

function heldOutBatches(examples: Examples, recipe: Recipe, keyRanges: readonly KeyRange[]): Batch[] {
  const size = recipe.per_device_train_batch_size;
  const batches: Batch[] = [];
  for (let first = 0; first < examples.heldOut.length; first += size) {
    batches.push(makeBatch(examples.heldOut.slice(first, first + size), size, examples.length, keyRanges));
  }
  return batches;
}

/** @param keyRanges those of the model's layers */
export function runData(examples: Examples, recipe: Recipe, keyRanges: readonly KeyRange[]): RunData {
  return {
    count: examples.training.length,
    batches: (index) => stepBatches(examples, recipe, index, keyRanges),
    heldOut: heldOutBatches(examples, recipe, keyRanges),
  };
}
