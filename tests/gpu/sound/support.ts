import { join } from 'node:path';
import { expect } from 'vitest';
import type { Adapter } from '../../../src/adapters/peft.ts';
import { loraTensorData, readPeftFolder } from '../../../src/adapters/peft.ts';
import type { KernelFamily } from '../../../src/engine/kernels/kernel.ts';
import { runComponent } from '../../../src/tasks/sound/component.ts';
import { readPreparedRows } from '../../../src/tasks/sound/prepared.ts';
import { SoundModel } from '../../../src/tasks/sound/model.ts';
import { parseRecipe } from '../../../src/training/recipe.ts';
import { FIXTURES, diskFolder } from '../../support/disk-folder.ts';
import { familyDevice } from '../../support/kernels.ts';
import { ErrorNorm, readExpected } from '../../support/reference.ts';
import type { TrainingErrors } from '../../support/training.ts';
import { checkTraining, fixtureHas, fixtureJson, inFixture, trainingCases } from '../../support/training.ts';

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

/** Cases of a training run. */
export const CASES = trainingCases(/^sound-/);
/** Those that hold a greedy composition. */
export const COMPOSITIONS = CASES.filter((name) => fixtureHas(name, 'generation.json'));

export const componentsOf = (name: string): ComponentCase[] => fixtureJson(name, 'components.json');

export async function loadBase(name: string, family: KernelFamily): Promise<SoundModel> {
  const { base } = fixtureJson<{ base: string }>(name, 'job.json');
  return SoundModel.load(await familyDevice(family), diskFolder(join(FIXTURES, name, base)));
}

export const readAdapter = (name: string, folder = 'adapter-init'): Promise<Adapter> =>
  readPeftFolder(diskFolder(inFixture(name, folder)), { embeddings: true });

/** Values where a row's attention_mask is 1. */
function masked(values: ArrayLike<number>, mask: Float64Array, width: number): number[] {
  return Array.from(values).filter((_, i) => mask[Math.floor(i / width)] === 1);
}

/** Runs one component on a fixture's input and holds every output to the reference; returns the worst error. */
export async function checkComponent(model: SoundModel, name: string, part: ComponentCase): Promise<number> {
  const folder = diskFolder(inFixture(name, 'components'));
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

/** Runs a case's job for `steps` of its steps and holds it to the reference. */
export async function checkCase(name: string, family: KernelFamily, steps?: number): Promise<TrainingErrors> {
  const folder = diskFolder(join(FIXTURES, name));
  const given = fixtureJson<{ recipe: object }>(name, 'job.json').recipe;
  // As the headless runner reads a job: warmup_steps counts even where it is 0.
  const settled = { eval_share: 0, load_best_model_at_end: false, sample_steps: 0, warmup_ratio: 0 };
  const recipe = parseRecipe({ ...given, ...settled }, 'sound');
  const model = await loadBase(name, family);
  try {
    const prepared = await readPreparedRows(model.base, folder, 'batch.safetensors');
    return await checkTraining({
      expected: await readExpected(folder),
      limits: LIMITS,
      ...(steps !== undefined && { steps }),
      model,
      from: await readAdapter(name),
      train: (options) => model.train({ prepared, recipe, ...options }),
      named: loraTensorData,
    });
  } finally {
    model.destroy();
  }
}
