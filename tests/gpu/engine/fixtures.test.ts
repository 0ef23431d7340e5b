import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loraTensorData, readPeftFolder } from '../../../src/adapters/peft.ts';
import type { Adapter } from '../../../src/adapters/peft.ts';
import type { KernelFamily } from '../../../src/engine/kernels/kernel.ts';
import { runComponent } from '../../../src/tasks/voice/component.ts';
import { readPreparedBatch } from '../../../src/tasks/voice/examples.ts';
import type { Examples } from '../../../src/tasks/voice/examples.ts';
import { TextGenerator } from '../../../src/tasks/voice/text-generator.ts';
import { packRows } from '../../../src/tasks/voice/packing.ts';
import { greedy } from '../../../src/tasks/sampling.ts';
import { VoiceModel } from '../../../src/tasks/voice/model.ts';
import { parseRecipe } from '../../../src/training/recipe.ts';
import type { Recipe } from '../../../src/training/recipe.ts';
import { FIXTURES, diskFolder } from '../../support/disk-folder.ts';
import type { ExpectedTensors } from '../../support/reference.ts';
import { ErrorNorm, readExpected } from '../../support/reference.ts';
import type { TrainingErrors } from '../../support/training.ts';
import { checkTraining, fixtureHas, fixtureJson, trainingCases } from '../../support/training.ts';
import { FAMILIES, familyDevice } from './support.ts';

/** Errors as norm of the difference over norm of the reference; tests/fixtures/README.md. */
const LIMITS = { logits: 2e-5, gradient: 2e-4, gradients: 5e-5, change: 3e-4, loss: 1e-5, gradNorm: 2e-4 };

const cases = trainingCases(/^(?!look-|sound-)/);

interface Job {
  recipe: Record<string, unknown>;
}
interface Generation {
  prompt_ids: number[];
  prompt?: string;
  max_new_tokens: number;
  base: number[];
  adapter: number[];
  base_text?: string;
  adapter_text?: string;
}
interface Packed {
  rows: { input_ids: number[]; labels: number[] }[];
}

function rowsOf(logits: ArrayLike<number>, positions: Float64Array, vocabulary: number): Float64Array {
  const rows = new Float64Array(positions.length * vocabulary);
  positions.forEach((position, i) => {
    for (let v = 0; v < vocabulary; v++) rows[i * vocabulary + v] = logits[position * vocabulary + v]!;
  });
  return rows;
}

describe.each(FAMILIES)('reference fixtures, %s family', (family) => {
  test.each(cases)('%s', async (name) => {
    const folder = diskFolder(join(FIXTURES, name));
    const expected = await readExpected(folder);
    const of = (tensor: string): Float64Array => expected.get(tensor)!.values;
    const vocabulary = expected.get('logits.base')!.shape[1]!;
    const model = await VoiceModel.load(await familyDevice(family), diskFolder(join(FIXTURES, name, 'base')));
    try {
      const init = await readPeftFolder(diskFolder(join(FIXTURES, name, 'adapter-init')));
      for (const which of ['base', 'adapter'] as const) {
        await model.useAdapter(which === 'base' ? null : init);
        const [logits] = await runComponent(model, 'model', folder, 'batch.safetensors');
        const rows = rowsOf(logits!.data as Float32Array, of('logits.positions'), vocabulary);
        expect(new ErrorNorm().add(rows, of(`logits.${which}`)), `logits ${which}`).toBeLessThan(LIMITS.logits);
      }
      const recipe = parseRecipe({
        ...fixtureJson<Job>(name, 'job.json').recipe,
        warmup_ratio: 0,
        eval_share: 0,
        early_stopping_patience: 0,
        load_best_model_at_end: false,
      });
      const examples = await readPreparedBatch(folder, 'batch.safetensors', vocabulary);
      await checkCase(family, model, init, recipe, examples, expected);
    } finally {
      model.destroy();
    }
  });
});

/**
 * Steps that are compared. The cards' kernels are slow on a software adapter, and what a step does after the gradients is
 * the same for both families: two steps show that they are right.
 */
const stepsOf = (family: KernelFamily, all: number): number => (family === 'gpu' ? Math.min(2, all) : all);

const checkCase = (
  family: KernelFamily,
  model: VoiceModel,
  from: Adapter,
  recipe: Recipe,
  examples: Examples,
  expected: ExpectedTensors,
): Promise<TrainingErrors> =>
  checkTraining({
    expected,
    limits: LIMITS,
    steps: stepsOf(family, expected.get('loss')!.values.length),
    model,
    from,
    train: (options) => model.train({ recipe, examples, ...options }),
    named: loraTensorData,
  });

const talking = cases.filter((name) => fixtureHas(name, 'generation.json'));

describe.each(FAMILIES)('greedy generation, %s family', (family) => {
  test.each(talking)('%s says the same token by token, base and adapter', async (name) => {
    const wanted = fixtureJson<Generation>(name, 'generation.json');
    const model = await VoiceModel.load(await familyDevice(family), diskFolder(join(FIXTURES, name, 'base')));
    try {
      for (const which of family === 'gpu' ? (['adapter'] as const) : (['base', 'adapter'] as const)) {
        await model.useAdapter(
          which === 'base' ? null : await readPeftFolder(diskFolder(join(FIXTURES, name, 'adapter-init'))),
        );
        const generator = new TextGenerator(model.base, model.adapter);
        try {
          await generator.reserve(wanted.prompt_ids.length + wanted.max_new_tokens);
          const ids: number[] = [];
          let next = wanted.prompt_ids;
          for (let position = 0; ids.length < wanted[which].length; position += next.length, next = [ids.at(-1)!]) {
            ids.push(greedy(await generator.read(next, position, 1)));
          }
          expect(ids, which).toEqual(wanted[which]);
        } finally {
          generator.destroy();
        }
        if (wanted.prompt === undefined || family === 'gpu') continue;
        // The same through the tokenizer, as text.
        let text = '';
        const tokens: number[] = [];
        for await (const chunk of model.generate({
          prompt: wanted.prompt,
          max_new_tokens: wanted.max_new_tokens,
          do_sample: false,
        })) {
          text += chunk.text;
          tokens.push(...chunk.tokenIds);
        }
        expect(tokens, which).toEqual(wanted[which]);
        expect(text, which).toBe(wanted[`${which}_text`]);
      }
    } finally {
      model.destroy();
    }
  });
});

const packing = cases.filter((name) => fixtureHas(name, 'packed.json'));

describe.each(FAMILIES)('rows laid end to end, %s family', (family) => {
  let model: VoiceModel;
  const [name] = packing;
  beforeAll(async () => {
    model = await VoiceModel.load(await familyDevice(family), diskFolder(join(FIXTURES, name!, 'base')));
  });
  afterAll(() => model.destroy());

  test('train as the rows by themselves do: the reference’s loss, gradients and adapter', async () => {
    const { rows } = fixtureJson<Packed>(name!, 'packed.json');
    const expected = await readExpected(diskFolder(join(FIXTURES, name!)));
    const recipe = parseRecipe({
      ...fixtureJson<Job>(name!, 'job.json').recipe,
      warmup_ratio: 0,
      eval_share: 0,
      early_stopping_patience: 0,
      load_best_model_at_end: false,
      // Everything that was one step's rows is now one step's sequences.
      per_device_train_batch_size: 1,
      gradient_accumulation_steps: 2,
    });
    const tokens = rows.reduce((sum, { input_ids }) => sum + input_ids.length, 0);
    // Two sequences hold all rows, if they are packed well.
    const length = Math.ceil(tokens / 2) + 4;
    const { sequences, report } = packRows(
      rows.map(({ input_ids, labels }) => ({ inputIds: input_ids, labels })),
      { maxLength: length },
    );
    expect(sequences).toHaveLength(2);
    expect(report.truncated + report.split).toBe(0);
    expect(Math.max(...sequences.map(({ segments }) => segments.length))).toBeGreaterThan(1);
    const examples: Examples = { length, training: sequences, heldOut: [], report, prepared: true };
    const init = await readPeftFolder(diskFolder(join(FIXTURES, name!, 'adapter-init')));
    await checkCase(family, model, init, recipe, examples, expected);
  });
});

test('the fixtures are all there', () => {
  expect(cases.length).toBeGreaterThanOrEqual(11);
  expect(talking.length).toBeGreaterThanOrEqual(2);
  expect(packing).toHaveLength(1);
});
