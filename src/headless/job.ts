import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { LoraConfig } from '../adapters/lora-config.ts';
import { UserError } from '../common/errors.ts';
import { PARSE_LORA } from '../tasks/lora-parsers.ts';
import { parseRecipe, recipeFields } from '../training/recipe.ts';
import { TASKS } from '../common/task.ts';
import type { Recipe } from '../training/recipe.ts';
import type { Task } from '../common/task.ts';

/** A job file, its paths resolved against its own folder. */
export interface Job {
  task: Task;
  base: string;
  precision: string;
  lora: LoraConfig;
  from: string | undefined;
  data: string | undefined;
  recipe: Recipe;
  generate: Record<string, unknown>;
  /** A path that the job gives, resolved. */
  at(path: string): string;
}

export function readJob(path: string): Job {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UserError(`The job ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}.`);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new UserError(`The job ${path} is not a JSON object.`);
  const job = json as Record<string, unknown>;
  const text = (name: string): string | undefined => {
    const value = job[name];
    if (value !== undefined && typeof value !== 'string') throw new UserError(`The job's ${name} must be text.`);
    return value;
  };
  const record = (name: string): Record<string, unknown> => {
    const value = job[name] ?? {};
    if (typeof value !== 'object' || Array.isArray(value)) throw new UserError(`The job's ${name} must be an object.`);
    return value as Record<string, unknown>;
  };
  const named = text('task') ?? 'voice';
  const task = TASKS.find((known) => known === named);
  if (!task) throw new UserError(`The task “${named}” is not supported yet. Supported: ${TASKS.join(', ')}.`);
  const at = (file: string): string => resolve(dirname(path), file);
  const base = text('base');
  if (base === undefined) throw new UserError('The job names no base: the folder of the model.');
  const { from, ...lora } = record('adapter');
  if (from !== undefined && typeof from !== 'string')
    throw new UserError("The job's adapter.from must be a folder's path.");
  const data = text('data');
  return {
    task,
    at,
    base: at(base),
    precision: text('precision') ?? 'stored',
    lora: PARSE_LORA[task](lora, 'the job'),
    from: from === undefined ? undefined : at(from),
    data: data === undefined ? undefined : at(data),
    recipe: jobRecipe(record('recipe'), task, data?.endsWith('.safetensors') ?? false),
    generate: record('generate'),
  };
}

/** Fields that say the number of warm-up steps or how long to train in two ways follow the one that the job gives. */
function jobRecipe(given: Record<string, unknown>, task: Task, prepared: boolean): Recipe {
  const known = new Set<string>(recipeFields(task).map(({ name }) => name));
  // Jobs of one shape for every task may say what only some have.
  const fields = Object.fromEntries(
    Object.entries(given).filter(([name]) => known.has(name) || !['max_length', 'packing'].includes(name)),
  );
  return parseRecipe(
    {
      ...('warmup_steps' in fields && { warmup_ratio: 0 }),
      // A job that gives one rate means all that is trained.
      ...(known.has('text_encoder_lr') && 'learning_rate' in fields && { text_encoder_lr: fields['learning_rate'] }),
      // A prepared batch file is run as it stands: nothing is held out, nothing chosen afterwards.
      ...(prepared && { eval_share: 0, early_stopping_patience: 0, load_best_model_at_end: false }),
      ...fields,
    },
    task,
  );
}

/** Numbers of a job's `generate` block, those that it gives. */
export function optionalNumbers<N extends string>(
  block: Record<string, unknown>,
  names: readonly N[],
): Partial<Record<N, number>> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = block[name];
      if (value === undefined || value === null) return [];
      if (typeof value !== 'number') throw new UserError(`generate.${name} must be a number.`);
      return [[name, value]];
    }),
  ) as Partial<Record<N, number>>;
}
