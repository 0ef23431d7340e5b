import { join } from 'node:path';
import { expect } from 'vitest';
import { lookTensorData } from '../../../src/adapters/diffusers-lora.ts';
import { readLookAdapter } from '../../../src/adapters/look-files.ts';
import type { KernelFamily } from '../../../src/engine/kernels/kernel.ts';
import { runComponent } from '../../../src/tasks/look/component.ts';
import { LookModel } from '../../../src/tasks/look/model.ts';
import { readPreparedRows } from '../../../src/tasks/look/prepared.ts';
import { parseRecipe } from '../../../src/training/recipe.ts';
import { FIXTURES, diskFolder } from '../../support/disk-folder.ts';
import { familyDevice } from '../../support/kernels.ts';
import { ErrorNorm, readExpected } from '../../support/reference.ts';
import type { TrainingErrors } from '../../support/training.ts';
import { checkTraining, fixtureHas, fixtureJson, inFixture, trainingCases } from '../../support/training.ts';

/**
 * Errors as norm of the difference over norm of the reference, about ten times what torch's own float32 run has on models
 * of these kinds (text encoder 3e-7, UNet and VAE 1e-6, eight sampler steps 1e-6; gradients 1e-5 the worst tensor and 4e-6
 * together; change of the adapter 3e-5): each fixture's case.json and components.json say it exactly.
 */
export const LIMITS = {
  text_encoder: 5e-6,
  component: 2e-5,
  sampler: 3e-5,
  gradient: 2e-4,
  gradients: 4e-5,
  change: 7e-4,
  loss: 1e-5,
  gradNorm: 1e-4,
};

export interface ComponentCase {
  name: string;
  component: string;
  options?: Record<string, unknown>;
}

/** Cases of a training run. */
export const CASES = trainingCases(/^look-/);
/** Those that hold a base, with the outputs of its parts. */
export const BASES = CASES.filter((name) => fixtureHas(name, 'components.json'));

export const componentsOf = (base: string): ComponentCase[] => fixtureJson(base, 'components.json');

export async function loadBase(name: string, family: KernelFamily): Promise<LookModel> {
  const { base } = fixtureJson<{ base: string }>(name, 'job.json');
  return LookModel.load(await familyDevice(family), diskFolder(join(FIXTURES, name, base)));
}

/** Runs one component on a fixture's input and holds every output to the reference; returns the worst error. */
export async function checkComponent(
  model: LookModel,
  base: string,
  { name, component, options }: ComponentCase,
): Promise<number> {
  const folder = diskFolder(join(FIXTURES, base, 'components'));
  const expected = await readExpected(folder, `${name}.expected.safetensors`);
  const outputs = await runComponent(model, component, folder, `${name}.safetensors`, options);
  expect(outputs.map((output) => output.name).sort()).toEqual([...expected.keys()].sort());
  const limit = LIMITS[component as keyof typeof LIMITS] ?? LIMITS.component;
  let worst = 0;
  for (const { name: key, shape, data } of outputs) {
    expect(shape, key).toEqual(expected.get(key)!.shape);
    const error = new ErrorNorm().add(data as Float32Array, expected.get(key)!.values);
    expect(error, key).toBeLessThan(limit);
    worst = Math.max(worst, error);
  }
  return worst;
}

/** Runs a case's job for `steps` of its steps and holds it to the reference. */
export async function checkCase(name: string, family: KernelFamily, steps?: number): Promise<TrainingErrors> {
  const folder = diskFolder(join(FIXTURES, name));
  const given = fixtureJson<{ recipe: object }>(name, 'job.json').recipe;
  const settled = { eval_share: 0, load_best_model_at_end: false, sample_steps: 0 };
  const recipe = parseRecipe({ ...given, ...settled }, 'look');
  const model = await loadBase(name, family);
  try {
    const prepared = await readPreparedRows(model.base, folder, 'batch.safetensors', recipe);
    return await checkTraining({
      expected: await readExpected(folder),
      limits: LIMITS,
      ...(steps !== undefined && { steps }),
      model,
      from: await readLookAdapter(diskFolder(inFixture(name, 'adapter-init'))),
      train: (options) => model.train({ prepared, recipe, ...options }),
      named: lookTensorData,
    });
  } finally {
    model.destroy();
  }
}
