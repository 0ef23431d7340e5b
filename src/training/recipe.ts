import { UserError } from '../common/errors.ts';
import { didYouMean, isJsonObject, quoteValue } from '../common/json.ts';
import { COMMON_FIELDS } from './recipe-fields.ts';
import { TASKS } from '../common/task.ts';
import { LOOK_FIELDS } from './recipe-fields-look.ts';
import { SOUND_FIELDS } from './recipe-fields-sound.ts';
import type { RecipeField } from './recipe-fields.ts';
import type { Task } from '../common/task.ts';
import type { SchedulerType } from './schedule.ts';

export type { BooleanField, ChoiceField, NumberField, RecipeField, TextField } from './recipe-fields.ts';

/**
 * A run's settings, under the names of transformers' TrainingArguments, TRL's SFTConfig and diffusers' training scripts;
 * eval_share, sample_steps and their kind are our own. What each does stands in recipeFields. Fields that the task does not
 * have keep their defaults.
 */
export interface Recipe {
  task: Task;
  max_steps: number;
  num_train_epochs: number;
  per_device_train_batch_size: number;
  gradient_accumulation_steps: number;
  learning_rate: number;
  lr_scheduler_type: SchedulerType;
  warmup_steps: number;
  warmup_ratio: number;
  weight_decay: number;
  adam_beta1: number;
  adam_beta2: number;
  adam_epsilon: number;
  max_grad_norm: number;
  max_length: number;
  packing: boolean;
  shuffle: boolean;
  seed: number;
  eval_share: number;
  eval_steps: number;
  early_stopping_patience: number;
  load_best_model_at_end: boolean;
  save_steps: number;
  sample_steps: number;
  resolution: number;
  train_text_encoder: boolean;
  text_encoder_lr: number;
  snr_gamma: number;
  noise_offset: number;
  random_flip: boolean;
  caption_dropout_rate: number;
  shuffle_caption: boolean;
  masked_loss: boolean;
  with_prior_preservation: boolean;
  class_prompt: string;
  num_class_images: number;
  prior_loss_weight: number;
  sample_inference_steps: number;
  sample_guidance_scale: number;
  max_duration_in_seconds: number;
  random_crop: boolean;
  sample_duration_in_seconds: number;
}

const ALL_FIELDS: readonly RecipeField[] = [...COMMON_FIELDS, ...LOOK_FIELDS, ...SOUND_FIELDS];

function ofTask(field: RecipeField, task: Task): RecipeField {
  // A field's default and its task's are of one type.
  return {
    ...field,
    default: field.defaults?.[task] ?? field.default,
    help: field.helps?.[task] ?? field.help,
  } as RecipeField;
}

const FIELDS = Object.fromEntries(
  TASKS.map((task) => [
    task,
    ALL_FIELDS.filter(({ tasks = TASKS }) => tasks.includes(task)).map((field) => ofTask(field, task)),
  ]),
) as unknown as Readonly<Record<Task, readonly RecipeField[]>>;

/** Every setting of a task's run, with its defaults: the form and the file format are made from this table. */
export const recipeFields = (task: Task): readonly RecipeField[] => FIELDS[task];

/** The longest text that a setting may hold. */
const MOST_CHARACTERS = 2000;

function checkField(field: RecipeField, value: unknown): void {
  const wrong = (must: string): UserError =>
    new UserError(`The recipe's ${field.name} must be ${must}, not ${quoteValue(value)}.`);
  switch (field.type) {
    case 'boolean':
      if (typeof value !== 'boolean') throw wrong('true or false');
      return;
    case 'text':
      if (typeof value !== 'string' || value.length > MOST_CHARACTERS)
        throw wrong(`text of at most ${MOST_CHARACTERS} characters`);
      return;
    case 'choice': {
      const names = field.choices.map((choice) => choice.value);
      if (!names.includes(value as string)) throw wrong(`one of ${names.join(', ')}`);
      return;
    }
    case 'integer':
    case 'number': {
      const kind = field.type === 'integer' ? 'a whole number' : 'a number';
      const isKind = field.type === 'integer' ? Number.isSafeInteger(value) : Number.isFinite(value);
      const number = value as number;
      if (!isKind || number < field.min || number > field.max) throw wrong(`${kind} from ${field.min} to ${field.max}`);
    }
  }
}

/**
 * Checks a recipe from a form or a file. Missing fields take their defaults. Throws UserError naming an unknown field,
 * a wrong type or a value out of range.
 */
export function parseRecipe(value: unknown, task: Task = 'voice'): Recipe {
  if (!isJsonObject(value)) throw new UserError('A recipe must be an object with fields such as learning_rate.');
  const names: readonly string[] = FIELDS[task].map((field) => field.name);
  const unknown = Object.keys(value).find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new UserError(`A recipe has no field ${quoteValue(unknown)}.${didYouMean(unknown, names)}`);
  const recipe: Record<string, unknown> = { task };
  for (const field of ALL_FIELDS) recipe[field.name] = field.default;
  for (const field of FIELDS[task]) {
    const given = value[field.name] ?? field.default;
    checkField(field, given);
    recipe[field.name] = given;
  }
  if (recipe['max_steps'] === 0)
    throw new UserError("The recipe's max_steps must be at least 1, or -1 to go by num_train_epochs.");
  const warmup = recipe['warmup_steps'] as number;
  if (warmup > 1 && !Number.isInteger(warmup)) {
    throw new UserError(
      `The recipe's warmup_steps must be a whole number, or a share of the run below 1, not ${warmup}.`,
    );
  }
  return recipe as unknown as Recipe;
}

/** All fields of its task in the table's order; parseRecipe of it gives the same recipe. */
export function recipeToJSON(recipe: Recipe): Record<string, unknown> {
  return Object.fromEntries(FIELDS[recipe.task].map((field) => [field.name, recipe[field.name]]));
}

/**
 * Optimiser steps of the run as transformers counts them: max_steps, or, where that is -1, num_train_epochs times the
 * steps of an epoch, whose last step may accumulate fewer batches.
 */
export function totalSteps(recipe: Recipe, batchesPerEpoch: number): number {
  if (recipe.max_steps > 0) return recipe.max_steps;
  const stepsPerEpoch = Math.max(1, Math.ceil(batchesPerEpoch / recipe.gradient_accumulation_steps));
  return Math.max(1, Math.ceil(recipe.num_train_epochs * stepsPerEpoch));
}

/** Whole warm-up steps: warmup_steps (below 1: a share of the run), or, where that is 0, warmup_ratio of the run. */
export function warmupSteps(recipe: Recipe, steps: number): number {
  const { warmup_steps: warmup, warmup_ratio: ratio } = recipe;
  return warmup >= 1 ? warmup : Math.ceil(steps * (warmup > 0 ? warmup : ratio));
}
