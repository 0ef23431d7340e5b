import { describe, expect, test } from 'vitest';
import { UserError } from '../../src/common/errors.ts';
import { parseRecipe, recipeFields, recipeToJSON, totalSteps, warmupSteps } from '../../src/training/recipe.ts';
import { TASKS } from '../../src/common/task.ts';
import { learningRate } from '../../src/training/schedule.ts';
import type { ScheduleOptions } from '../../src/training/schedule.ts';
import { fixture } from '../support/disk-folder.ts';

test('learning rates are those of transformers', () => {
  const cases = fixture<(ScheduleOptions & { rates: number[] })[]>('formats/schedules.json');
  expect(cases).toHaveLength(24);
  for (const { rates, ...options } of cases) {
    rates.forEach((rate, step) => {
      expect(Math.abs(learningRate(step, options) - rate), `${JSON.stringify(options)} step ${step}`).toBeLessThan(
        1e-18,
      );
    });
  }
});

test.each(TASKS)('each field of a %s explains itself, and its default is allowed', (task) => {
  const fields = recipeFields(task);
  const defaults = parseRecipe({}, task);
  expect(defaults.task).toBe(task);
  for (const field of fields) {
    expect(defaults[field.name]).toBe(field.default);
    expect(parseRecipe({ [field.name]: field.default }, task)).toEqual(defaults);
    expect(field.help.length).toBeGreaterThan(30);
    expect(field.help).toMatch(/[.)]$/);
  }
  expect(new Set(fields.map(({ name }) => name)).size).toBe(fields.length);
});

test('a task takes its own fields alone, with its own defaults', () => {
  expect(() => parseRecipe({ snr_gamma: 5 }, 'voice')).toThrow('A recipe has no field “snr_gamma”.');
  expect(() => parseRecipe({ packing: true }, 'look')).toThrow('A recipe has no field “packing”.');
  expect(parseRecipe({}, 'look')).toMatchObject({ learning_rate: 1e-4, per_device_train_batch_size: 1, snr_gamma: 5 });
  expect(parseRecipe({ class_prompt: 'a photo of a dog' }, 'look').class_prompt).toBe('a photo of a dog');
  expect(() => parseRecipe({ class_prompt: 3 }, 'look')).toThrow('class_prompt must be text');
});

test('a recipe survives its file', () => {
  const recipe = parseRecipe({
    learning_rate: 1e-5,
    packing: false,
    lr_scheduler_type: 'cosine',
    max_steps: 6,
    seed: 4294967295,
  });
  expect(parseRecipe(JSON.parse(JSON.stringify(recipeToJSON(recipe))))).toEqual(recipe);
  expect(Object.keys(recipeToJSON(recipe))).toEqual(recipeFields('voice').map(({ name }) => name));
  const look = parseRecipe({ snr_gamma: 0, random_flip: true }, 'look');
  expect(parseRecipe(JSON.parse(JSON.stringify(recipeToJSON(look))), 'look')).toEqual(look);
});

describe('what is wrong is named', () => {
  const cases: [unknown, string][] = [
    [null, 'A recipe must be an object'],
    [[], 'A recipe must be an object'],
    [{ learningRate: 1 }, 'no field “learningRate”. Did you mean learning_rate?'],
    [{ epochs: 1 }, 'A recipe has no field “epochs”.'],
    [{ learning_rate: '2e-4' }, "The recipe's learning_rate must be a number from 0 to 1, not “2e-4”."],
    [{ learning_rate: NaN }, 'learning_rate must be a number'],
    [{ learning_rate: 2 }, 'from 0 to 1, not 2'],
    [{ per_device_train_batch_size: 1.5 }, 'must be a whole number from 1 to 1024, not 1.5'],
    [{ max_steps: 0 }, 'max_steps must be at least 1, or -1'],
    [{ warmup_steps: 2.5 }, 'warmup_steps must be a whole number, or a share'],
    [{ packing: 1 }, 'packing must be true or false, not 1'],
    [{ lr_scheduler_type: 'step' }, 'must be one of linear, cosine, constant_with_warmup, constant, not “step”'],
    [{ adam_beta2: 1 }, 'adam_beta2 must be a number from 0 to 0.999999'],
    [JSON.parse('{"__proto__": {"seed": 3}}'), 'no field “__proto__”'],
  ];
  test.each(cases)('%j', (value, words) => {
    expect(() => parseRecipe(value)).toThrow(UserError);
    expect(() => parseRecipe(value)).toThrow(words);
  });
});

test('steps and warm-up are counted as the Trainer counts them', () => {
  const recipe = (fields: object) => parseRecipe({ gradient_accumulation_steps: 4, ...fields });
  expect(totalSteps(recipe({ max_steps: 7 }), 1000)).toBe(7);
  expect(totalSteps(recipe({ num_train_epochs: 3 }), 10)).toBe(9);
  expect(totalSteps(recipe({ num_train_epochs: 0.5 }), 10)).toBe(2);
  expect(totalSteps(recipe({ num_train_epochs: 1 }), 1)).toBe(1);
  expect(warmupSteps(recipe({ warmup_steps: 5 }), 100)).toBe(5);
  expect(warmupSteps(recipe({ warmup_steps: 0.031 }), 100)).toBe(4);
  expect(warmupSteps(recipe({ warmup_ratio: 0.1 }), 33)).toBe(4);
  expect(warmupSteps(recipe({ warmup_ratio: 0 }), 33)).toBe(0);
});
