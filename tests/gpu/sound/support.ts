import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Adapter } from '../../../src/adapters/peft.ts';
import { loraTensorData, readPeftFolder } from '../../../src/adapters/peft.ts';
import type { LoraTensors } from '../../../src/adapters/peft.ts';
import type { KernelFamily } from '../../../src/engine/kernels/kernel.ts';
import { runComponent } from '../../../src/tasks/sound/component.ts';
import { readPreparedRows } from '../../../src/tasks/sound/prepared.ts';
import { SoundModel } from '../../../src/tasks/sound/sound.ts';
import type { SoundTrainingEvent } from '../../../src/tasks/sound/types.ts';
import { parseRecipe } from '../../../src/training/recipe.ts';
import { FIXTURES, diskFolder } from '../../support/disk-folder.ts';
import { familyDevice } from '../../support/kernels.ts';
import { ErrorNorm, readExpected } from '../../support/reference.ts';

/**
 * Errors as norm of the difference over norm of the reference, ten times and more what torch's own float32 run has on these
 * models (text encoder and decoder 3e-7, decoded audio 7e-7, the worst gradient tensor 1e-6, change of the adapter 2e-5):
 * each fixture's case.json and components.json say it exactly.
 */
export const LIMITS = {
  text_encoder: 5e-6,
  decoder: 5e-6,
  audio_decoder: 1e-5,
  gradient: 5e-5,
  gradients: 2e-5,
  change: 2e-4,
  loss: 1e-5,
  gradNorm: 1e-4,
};

export interface ComponentCase {
  name: string;
  component: 'text_encoder' | 'decoder' | 'audio_encoder' | 'audio_decoder';
  /** A PEFT folder to put on. */
  adapter?: string;
}

const inFixtures = (name: string, file: string): string => join(FIXTURES, name, file);
export const json = <T>(name: string, file: string): T => JSON.parse(readFileSync(inFixtures(name, file), 'utf8')) as T;

/** Cases of a training run. */
export const CASES = readdirSync(FIXTURES).filter(
  (name) => name.startsWith('sound-') && existsSync(inFixtures(name, 'expected.safetensors')),
);
/** Those that hold a greedy composition. */
export const COMPOSITIONS = CASES.filter((name) => existsSync(inFixtures(name, 'generation.json')));

export const componentsOf = (name: string): ComponentCase[] => json(name, 'components.json');

export async function loadBase(name: string, family: KernelFamily): Promise<SoundModel> {
  const { base } = json<{ base: string }>(name, 'job.json');
  return SoundModel.load(await familyDevice(family), diskFolder(join(FIXTURES, name, base)));
}

export const readAdapter = (name: string, folder = 'adapter-init'): Promise<Adapter> =>
  readPeftFolder(diskFolder(inFixtures(name, folder)), { embeddings: true });

/** Values where a row's attention_mask is 1. */
function masked(values: ArrayLike<number>, mask: Float64Array, width: number): number[] {
  return Array.from(values).filter((_, i) => mask[Math.floor(i / width)] === 1);
}

/** Runs one component on a fixture's input and holds every output to the reference; returns the worst error. */
export async function checkComponent(model: SoundModel, name: string, part: ComponentCase): Promise<number> {
  const folder = diskFolder(inFixtures(name, 'components'));
  const expected = await readExpected(folder, `${part.name}.expected.safetensors`);
  const mask = (await readExpected(folder, `${part.name}.safetensors`)).get('attention_mask')?.values;
  await model.useAdapter(part.adapter === undefined ? null : await readAdapter(name, part.adapter));
  const outputs = await runComponent(model, part.component, folder, `${part.name}.safetensors`);
  expect(outputs.map((output) => output.name)).toEqual([...expected.keys()]);
  let worst = 0;
  for (const { name: key, shape, data } of outputs) {
    const reference = expected.get(key)!;
    expect(shape, key).toEqual(reference.shape);
    if (part.component === 'audio_encoder') {
      expect(Array.from(data as BigInt64Array, Number)).toEqual(Array.from(reference.values));
      continue;
    }
    const kept = (values: ArrayLike<number>) => (mask ? masked(values, mask, shape.at(-1)!) : values);
    const error = new ErrorNorm().add(kept(data as Float32Array), kept(reference.values));
    expect(error, key).toBeLessThan(LIMITS[part.component]);
    worst = Math.max(worst, error);
  }
  return worst;
}

function named(tensors: ReadonlyMap<string, LoraTensors>): Map<string, ArrayLike<number>> {
  const entries = [...tensors].flatMap(([module, parts]) => loraTensorData(module, parts));
  return new Map(entries.map(({ name, data }) => [name, data as Float32Array]));
}

/** Errors of a training run, for what is printed beside a test. */
export interface TrainingErrors {
  gradient: number;
  gradients: number;
  change: number | undefined;
}

/** Runs a case's job for `steps` of its steps and holds losses, norms, rates, gradients and the adapter to the reference. */
export async function checkTraining(name: string, family: KernelFamily, steps = Infinity): Promise<TrainingErrors> {
  const folder = diskFolder(join(FIXTURES, name));
  const expected = await readExpected(folder);
  const of = (tensor: string): Float64Array => expected.get(tensor)!.values;
  const all = of('loss').length;
  const wantedSteps = Math.min(steps, all);
  const given = json<{ recipe: object }>(name, 'job.json').recipe;
  // As the headless runner reads a job: warmup_steps counts even where it is 0.
  const settled = { eval_share: 0, load_best_model_at_end: false, sample_steps: 0, warmup_ratio: 0 };
  const recipe = parseRecipe({ ...given, ...settled }, 'sound');
  const model = await loadBase(name, family);
  try {
    const from = await readAdapter(name);
    const prepared = await readPreparedRows(model.base, folder, 'batch.safetensors');
    const stop = new AbortController();
    const { config: adapter } = from;
    const run = model.train({ prepared, recipe, adapter, from, settle: wantedSteps, signal: stop.signal });
    const events: (SoundTrainingEvent & { type: 'step' })[] = [];
    let gradients = new Map<string, ArrayLike<number>>();
    for await (const event of run) {
      if (event.type !== 'step') continue;
      events.push(event);
      // The first step's gradients are read before the second overwrites them.
      if (event.step === 1) gradients = named(await model.currentGradients());
      if (event.step === wantedSteps) stop.abort();
    }
    expect(events).toHaveLength(wantedSteps);
    events.forEach(({ loss, gradNorm, learningRate }, i) => {
      expect(Math.abs(loss / of('loss')[i]! - 1), `loss of step ${i + 1}`).toBeLessThan(LIMITS.loss);
      expect(Math.abs(gradNorm / of('grad_norm')[i]! - 1), `norm of step ${i + 1}`).toBeLessThan(LIMITS.gradNorm);
      expect(Math.abs(learningRate - of('learning_rate')[i]!), `rate of step ${i + 1}`).toBeLessThan(1e-10);
    });
    const wanted = [...expected.keys()].filter((key) => key.startsWith('grad.')).map((key) => key.slice(5));
    expect([...gradients.keys()].sort()).toEqual(wanted.sort());
    const together = new ErrorNorm();
    let worst = 0;
    for (const [tensor, values] of gradients) {
      const error = together.add(values, of(`grad.${tensor}`));
      expect(error, `gradient of ${tensor}`).toBeLessThan(LIMITS.gradient);
      worst = Math.max(worst, error);
    }
    expect(together.value, 'all gradients').toBeLessThan(LIMITS.gradients);
    if (wantedSteps < all) return { gradient: worst, gradients: together.value, change: undefined };
    const before = named(from.tensors);
    const change = new ErrorNorm();
    const { tensors } = await model.currentAdapter();
    for (const [tensor, values] of named(tensors)) change.add(values, of(`after.${tensor}`), before.get(tensor)!);
    expect(change.value, 'change of the adapter').toBeLessThan(LIMITS.change);
    return { gradient: worst, gradients: together.value, change: change.value };
  } finally {
    model.destroy();
  }
}
