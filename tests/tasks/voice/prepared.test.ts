import { describe, expect, test } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import { MemoryFolder } from '../../../src/models/files/folder.ts';
import { writeSafetensors } from '../../../src/models/files/safetensors.ts';
import { makeBatch, readPreparedBatch, stepBatches } from '../../../src/tasks/voice/examples.ts';
import { IGNORED_LABEL } from '../../../src/common/ignored-label.ts';
import { parseRecipe } from '../../../src/training/recipe.ts';

type Rows = number[][];
const FILE = 'batch.safetensors';

function batchFile(tensors: Record<string, Rows>): MemoryFolder {
  const data = Object.entries(tensors).map(([name, rows]) => ({
    name,
    dtype: 'I64' as const,
    shape: [rows.length, rows[0]!.length],
    data: BigInt64Array.from(rows.flat(), BigInt),
  }));
  return new MemoryFolder('data', new Map([[FILE, writeSafetensors(data)]]));
}

const GOOD = {
  input_ids: [
    [5, 6, 7, 0],
    [8, 9, 1, 2],
  ],
  attention_mask: [
    [1, 1, 1, 0],
    [1, 1, 1, 1],
  ],
  labels: [
    [5, -100, 7, -100],
    [8, 9, 1, 2],
  ],
};

describe('prepared batch files', () => {
  test('rows as they stand: labels move to the token before, padding sees nothing of the row', async () => {
    const { training, heldOut, length, prepared } = await readPreparedBatch(batchFile(GOOD), FILE, 10);
    expect([training.length, heldOut.length, length, prepared]).toEqual([2, 0, 4, true]);
    // The label at position 0 predicts nothing; the last position predicts nothing.
    expect([...training[0]!.labels]).toEqual([IGNORED_LABEL, 7, IGNORED_LABEL, IGNORED_LABEL]);
    expect([...training[1]!.labels]).toEqual([9, 1, 2, IGNORED_LABEL]);
    expect(training.map(({ labelTokens }) => labelTokens)).toEqual([1, 3]);
    const { inputs, labelTokens } = makeBatch(training, 2, 4);
    expect(labelTokens).toBe(4);
    expect([...(inputs['positions'] as Uint32Array)]).toEqual([0, 1, 2, 0, 0, 1, 2, 3]);
    expect([...(inputs['keyRanges'] as Uint32Array)]).toEqual([0, 1, 0, 2, 0, 3, 3, 4, 4, 5, 4, 6, 4, 7, 4, 8]);
    expect([...(inputs['queryRanges'] as Uint32Array)]).toEqual([0, 3, 1, 3, 2, 3, 3, 4, 4, 8, 5, 8, 6, 8, 7, 8]);
  });

  test('steps take rows in order and go on with the first at the end', async () => {
    const examples = await readPreparedBatch(batchFile(GOOD), FILE, 10);
    const recipe = parseRecipe({ shuffle: false, per_device_train_batch_size: 1, gradient_accumulation_steps: 3 });
    const first = (index: number) =>
      stepBatches(examples, recipe, index).map(({ inputs }) => (inputs['ids'] as Uint32Array)[0]);
    expect(first(0)).toEqual([5, 8, 5]);
    expect(first(1)).toEqual([8, 5, 8]);
  });

  test('shuffled, every row comes once an epoch', async () => {
    const rows = Array.from({ length: 7 }, (_, i) => [i, i]);
    const examples = await readPreparedBatch(
      batchFile({ input_ids: rows, attention_mask: rows.map(() => [1, 1]), labels: rows }),
      FILE,
      10,
    );
    const recipe = parseRecipe({
      shuffle: true,
      per_device_train_batch_size: 1,
      gradient_accumulation_steps: 1,
      seed: 3,
    });
    const order = (epoch: number) =>
      Array.from(
        { length: 7 },
        (_, i) => (stepBatches(examples, recipe, 7 * epoch + i)[0]!.inputs['ids'] as Uint32Array)[0]!,
      );
    for (const epoch of [0, 1]) expect(order(epoch).sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(order(0)).not.toEqual(order(1));
  });

  const { labels: _, ...unlabelled } = GOOD;
  const { attention_mask: __, ...unmasked } = GOOD;
  const wrong: [string, Record<string, Rows>, RegExp][] = [
    ['no labels', unlabelled, /no tensor labels\. A prepared batch file holds input_ids, attention_mask and labels/],
    ['no mask', unmasked, /no tensor attention_mask/],
    [
      'another shape',
      {
        ...GOOD,
        labels: [
          [1, 2, 3],
          [1, 2, 3],
        ],
      },
      /labels in batch\.safetensors has the shape \[2, 3\]; \[2, 4\]/,
    ],
    [
      'an id beyond the vocabulary',
      {
        ...GOOD,
        input_ids: [
          [5, 6, 7, 0],
          [8, 10, 1, 2],
        ],
      },
      /token id 10; the base knows 0 to 9/,
    ],
    [
      'a negative id',
      {
        ...GOOD,
        input_ids: [
          [5, -1, 7, 0],
          [8, 9, 1, 2],
        ],
      },
      /token id -1/,
    ],
    [
      'a label beyond the vocabulary',
      {
        ...GOOD,
        labels: [
          [5, 6, 7, 11],
          [8, 9, 1, 2],
        ],
      },
      /label 11; the base knows 0 to 9, and -100/,
    ],
    [
      'another ignored value',
      {
        ...GOOD,
        labels: [
          [5, 6, 7, -1],
          [8, 9, 1, 2],
        ],
      },
      /label -1/,
    ],
    [
      'left padding',
      {
        ...GOOD,
        attention_mask: [
          [0, 1, 1, 1],
          [1, 1, 1, 1],
        ],
      },
      /Row 0 of batch\.safetensors is not padded on the right/,
    ],
    [
      'a hole',
      {
        ...GOOD,
        attention_mask: [
          [1, 1, 1, 0],
          [1, 0, 1, 1],
        ],
      },
      /Row 1 of batch\.safetensors is not padded on the right/,
    ],
    [
      'nothing that carries loss',
      {
        ...GOOD,
        labels: [
          [5, -100, -100, -100],
          [8, -100, -100, -100],
        ],
      },
      /nothing to learn from/i,
    ],
  ];
  test.each(wrong)('%s is named', async (_name, tensors, message) => {
    const reading = readPreparedBatch(batchFile(tensors), FILE, 10);
    await expect(reading).rejects.toThrow(UserError);
    await expect(reading).rejects.toThrow(message);
  });

  test('floats are no token ids', async () => {
    const floats = writeSafetensors([{ name: 'input_ids', dtype: 'F32', shape: [1, 2], data: Float32Array.of(1, 2) }]);
    await expect(readPreparedBatch(new MemoryFolder('data', new Map([[FILE, floats]])), FILE, 10)).rejects.toThrow(
      /input_ids/,
    );
  });
});
