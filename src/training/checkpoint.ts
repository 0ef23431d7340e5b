import { UserError } from '../common/errors.ts';
import { parseLoraConfig } from '../adapters/lora-config.ts';
import type { LoraConfig } from '../adapters/lora-config.ts';
import type { FlatTensor } from '../adapters/layout.ts';
import type { Adapter } from '../adapters/peft.ts';
import { adapterOfTensors } from '../adapters/peft.ts';
import { MemoryFolder } from '../models/files/folder.ts';
import { isJsonObject } from '../common/json.ts';
import { parseSafetensors, writeSafetensors } from '../models/files/safetensors.ts';
import type { TensorData } from '../models/files/safetensors.ts';
import { parseRecipe, recipeToJSON } from './recipe.ts';
import { TASKS } from '../common/task.ts';
import type { Recipe } from './recipe.ts';

/** Everything a run needs to go on as if it had not stopped. */
export interface RunState {
  /** Optimiser steps done. */
  step: number;
  totalSteps: number;
  /** Rounds through the data completed. */
  epoch: number;
  /** Batches of the present round already used. */
  position: number;
  /** Seed of the data order and of dropout. */
  seed: number;
  recipe: Recipe;
  lora: LoraConfig;
  /** Held-out losses so far. */
  evaluations: { step: number; loss: number }[];
  bestStep: number;
  /** Null before the first evaluation. */
  bestLoss: number | null;
  /** The adapter at its best held-out loss, where that is not the present one. */
  best: Float32Array<ArrayBuffer> | null;
  /** Layout of the flat buffers: sizes add up to their lengths. */
  layout: readonly FlatTensor[];
  adapter: Float32Array<ArrayBuffer>;
  /** AdamW's exp_avg. */
  firstMoment: Float32Array<ArrayBuffer>;
  /** AdamW's exp_avg_sq. */
  secondMoment: Float32Array<ArrayBuffer>;
}

const FORMAT = 'athanor-run';
const VERSION = 1;

/** Two interleaved multiplicative lanes over 32-bit words: finds torn and flipped bytes, at memory speed. */
function checksum(buffers: readonly Float32Array[]): string {
  let a = 0x9e3779b1;
  let b = 0x85ebca6b;
  for (const floats of buffers) {
    const words = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
    for (let i = 0; i < words.length; i++) {
      a = Math.imul(a ^ words[i]!, 0x01000193);
      b = Math.imul((b << 5) | (b >>> 27), 0x9e3779b1) ^ words[i]!;
    }
  }
  return `${(a >>> 0).toString(16)}-${(b >>> 0).toString(16)}`;
}

function textChecksum(text: string): string {
  return checksum([new Float32Array(Uint32Array.from(text, (letter) => letter.charCodeAt(0)).buffer)]);
}

function sizeOf(layout: readonly FlatTensor[]): number {
  return layout.reduce((sum, { shape }) => sum + shape.reduce((product, dim) => product * dim, 1), 0);
}

/** One safetensors file: the flat buffers as tensors, the rest as JSON in its metadata. Flat buffers are f32. */
export function encodeRunState(state: RunState): Uint8Array<ArrayBuffer> {
  const { recipe, lora, layout, best, adapter, firstMoment, secondMoment, ...progress } = state;
  const size = sizeOf(layout);
  const flat = (name: string, data: Float32Array): TensorData => {
    if (data.length !== size) throw new Error(`${name} has ${data.length} values, its layout ${size}`);
    return { name, dtype: 'F32', shape: [size], data };
  };
  const tensors = [flat('adapter', adapter), flat('exp_avg', firstMoment), flat('exp_avg_sq', secondMoment)];
  if (best) tensors.push(flat('best', best));
  const json = JSON.stringify({ ...progress, task: recipe.task, recipe: recipeToJSON(recipe), lora, layout });
  const data = tensors.map((tensor) => tensor.data as Float32Array);
  return writeSafetensors(tensors, {
    format: FORMAT,
    version: String(VERSION),
    state: json,
    state_checksum: textChecksum(json),
    data_checksum: checksum(data),
  });
}

/** Throws UserError where the bytes are damaged or of another version. */
export async function decodeRunState(bytes: Uint8Array<ArrayBuffer>): Promise<RunState> {
  const damaged = new UserError(
    'This saved state of a run is damaged and cannot be continued. Use an earlier one, or start the run again.',
  );
  const folder = new MemoryFolder('saved run', new Map([['run.safetensors', bytes]]));
  const { tensors, metadata } = await parseSafetensors(folder, 'run.safetensors').catch(() => {
    throw damaged;
  });
  if (metadata['format'] !== FORMAT) throw damaged;
  if (metadata['version'] !== String(VERSION)) {
    throw new UserError(
      `This saved state of a run was written in version ${String(metadata['version']).slice(0, 20)} of its format; this page reads version ${VERSION}. Continue it with the version that wrote it.`,
    );
  }
  const json = metadata['state'] ?? '';
  if (textChecksum(json) !== metadata['state_checksum']) throw damaged;
  const flat = (name: string): Float32Array<ArrayBuffer> | null => {
    const entry = tensors.get(name);
    if (!entry) return null;
    if (entry.dtype !== 'F32' || entry.shape.length !== 1) throw damaged;
    return new Float32Array(bytes.slice(entry.begin, entry.end).buffer);
  };
  const adapter = flat('adapter');
  const firstMoment = flat('exp_avg');
  const secondMoment = flat('exp_avg_sq');
  const best = flat('best');
  if (!adapter || !firstMoment || !secondMoment) throw damaged;
  const data = best ? [adapter, firstMoment, secondMoment, best] : [adapter, firstMoment, secondMoment];
  if (checksum(data) !== metadata['data_checksum']) throw damaged;

  let state: unknown;
  try {
    state = JSON.parse(json);
  } catch {
    throw damaged;
  }
  const progress = parseProgress(state);
  const size = progress && sizeOf(progress.layout);
  if (!progress || data.some((buffer) => buffer.length !== size)) throw damaged;
  return { ...progress, best, adapter, firstMoment, secondMoment };
}

/** The adapter as it was at a checkpoint; needs neither the base nor a device. */
export function adapterOfState({ lora, layout, adapter }: Pick<RunState, 'lora' | 'layout' | 'adapter'>): Adapter {
  let at = 0;
  const tensors = layout.map(({ name, shape }) => {
    const length = shape.reduce((product, dim) => product * dim, 1);
    return { name, shape, values: adapter.slice(at, (at += length)) };
  });
  return adapterOfTensors(lora, tensors);
}

type Progress = Omit<RunState, 'best' | 'adapter' | 'firstMoment' | 'secondMoment'>;

/** Null where a field is missing or of the wrong kind. Throws UserError for a recipe or configuration not valid now. */
function parseProgress(state: unknown): Progress | null {
  if (!isJsonObject(state)) return null;
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  const { step, totalSteps, epoch, position, seed, bestStep, bestLoss, evaluations, layout } = state;
  if (
    !isCount(step) ||
    !isCount(totalSteps) ||
    !isCount(epoch) ||
    !isCount(position) ||
    !isCount(seed) ||
    !isCount(bestStep)
  ) {
    return null;
  }
  if (bestLoss !== null && !Number.isFinite(bestLoss)) return null;
  if (!Array.isArray(evaluations) || !Array.isArray(layout)) return null;
  const isEvaluation = (value: unknown): boolean =>
    isJsonObject(value) && isCount(value['step']) && Number.isFinite(value['loss']);
  const isFlatTensor = (value: unknown): boolean =>
    isJsonObject(value) &&
    typeof value['name'] === 'string' &&
    Array.isArray(value['shape']) &&
    value['shape'].every(isCount);
  if (!evaluations.every(isEvaluation) || !layout.every(isFlatTensor)) return null;
  // States of before there were several tasks name none.
  const task = TASKS.find((name) => name === (state['task'] ?? 'voice'));
  if (!task) return null;
  return {
    step,
    totalSteps,
    epoch,
    position,
    seed,
    bestStep,
    bestLoss: bestLoss as number | null,
    evaluations: evaluations as { step: number; loss: number }[],
    layout: layout as FlatTensor[],
    recipe: parseRecipe(state['recipe'], task),
    lora: parseLoraConfig(state['lora'], 'The saved run'),
  };
}
