import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseLoraConfig } from '../adapters/config.ts';
import type { LoraConfig } from '../adapters/config.ts';
import { readPeftFolder } from '../adapters/peft.ts';
import type { Adapter } from '../adapters/peft.ts';
import type { Message } from '../datasets/rows.ts';
import { importFiles } from '../datasets/import/import.ts';
import { UserError } from '../engine/errors.ts';
import { readPreparedBatch } from '../tasks/voice/examples.ts';
import type { LearningData, VoiceModel } from '../tasks/voice/voice.ts';
import { parseRecipe } from '../training/recipe.ts';
import type { Recipe } from '../training/recipe.ts';
import { NodeFolder, folderOf, sourceFiles } from './files.ts';

/** A job file, its paths resolved against its own folder. */
export interface Job {
  base: string;
  precision: string;
  lora: LoraConfig;
  from: string | undefined;
  data: string | undefined;
  recipe: Recipe;
  generate: Record<string, unknown>;
}

const TASKS = ['voice'];

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
  const task = text('task') ?? 'voice';
  if (!TASKS.includes(task))
    throw new UserError(`The task “${task}” is not supported yet. Supported: ${TASKS.join(', ')}.`);
  const at = (file: string): string => resolve(dirname(path), file);
  const base = text('base');
  if (base === undefined) throw new UserError('The job names no base: the folder of the model.');
  const { from, ...lora } = record('adapter');
  if (from !== undefined && typeof from !== 'string')
    throw new UserError("The job's adapter.from must be a folder's path.");
  const data = text('data');
  return {
    base: at(base),
    precision: text('precision') ?? 'stored',
    lora: parseLoraConfig(lora, 'the job'),
    from: from === undefined ? undefined : at(from),
    data: data === undefined ? undefined : at(data),
    recipe: jobRecipe(record('recipe'), data?.endsWith('.safetensors') ?? false),
    generate: record('generate'),
  };
}

/** Fields that say the number of warm-up steps or how long to train in two ways follow the one that the job gives. */
function jobRecipe(fields: Record<string, unknown>, prepared: boolean): Recipe {
  return parseRecipe({
    ...('warmup_steps' in fields && { warmup_ratio: 0 }),
    // A prepared batch file is run as it stands: nothing is held out, nothing chosen afterwards.
    ...(prepared && { eval_share: 0, early_stopping_patience: 0, load_best_model_at_end: false }),
    ...fields,
  });
}

export async function startingAdapter(job: Job): Promise<Adapter | undefined> {
  return job.from === undefined ? undefined : readPeftFolder(new NodeFolder(job.from));
}

/** The rows or prepared batches that a job's `data` names. */
export async function learningData(job: Job, model: VoiceModel): Promise<LearningData> {
  if (job.data === undefined) throw new UserError('The job names no data.');
  if (job.data.endsWith('.safetensors')) {
    const { folder, file } = folderOf(job.data);
    return { examples: await readPreparedBatch(folder, file, model.info.vocabSize) };
  }
  const { rows } = await importFiles(sourceFiles(job.data));
  return { rows };
}

/** A job's `generate` block as a request. */
export function generateRequest(block: Record<string, unknown>) {
  const number = (name: string): number | undefined => {
    const value = block[name];
    if (value !== undefined && value !== null && typeof value !== 'number')
      throw new UserError(`generate.${name} must be a number.`);
    return value ?? undefined;
  };
  const optional = Object.fromEntries(
    ['temperature', 'top_k', 'top_p', 'seed'].flatMap((name) => {
      const value = number(name);
      return value === undefined ? [] : [[name, value]];
    }),
  ) as { temperature?: number; top_k?: number; top_p?: number; seed?: number };
  const { prompt, messages } = block;
  if (prompt !== undefined && typeof prompt !== 'string') throw new UserError('generate.prompt must be text.');
  if (messages !== undefined && !Array.isArray(messages)) throw new UserError('generate.messages must be a list.');
  return {
    ...(prompt !== undefined && { prompt }),
    ...(messages !== undefined && { messages: messages as Message[] }),
    max_new_tokens: number('max_new_tokens') ?? 64,
    do_sample: block['do_sample'] === true,
    ...optional,
  };
}
