import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { lookTensorName } from '../../../src/adapters/diffusers-lora.ts';
import type { LoraTensors } from '../../../src/adapters/peft.ts';
import { readLookAdapter } from '../../../src/adapters/look-files.ts';
import type { KernelFamily } from '../../../src/engine/kernels/kernel.ts';
import { parseLookLora } from '../../../src/tasks/look/adapter.ts';
import { runComponent } from '../../../src/tasks/look/component.ts';
import { LookModel } from '../../../src/tasks/look/look.ts';
import { readPreparedRows } from '../../../src/tasks/look/prepared.ts';
import type { LookTrainingEvent } from '../../../src/tasks/look/types.ts';
import { parseRecipe } from '../../../src/training/recipe.ts';
import { FIXTURES, diskFolder } from '../../support/disk-folder.ts';
import { familyDevice } from '../../support/kernels.ts';
import { ErrorNorm, readExpected } from '../../support/reference.ts';

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

const inFixtures = (name: string, file: string): string => join(FIXTURES, name, file);
const json = <T>(name: string, file: string): T => JSON.parse(readFileSync(inFixtures(name, file), 'utf8')) as T;

/** Cases of a training run. */
export const CASES = readdirSync(FIXTURES).filter(
  (name) => name.startsWith('look-') && existsSync(inFixtures(name, 'expected.safetensors')),
);
/** Those that hold a base, with the outputs of its parts. */
export const BASES = CASES.filter((name) => existsSync(inFixtures(name, 'components.json')));

export const componentsOf = (base: string): ComponentCase[] => json(base, 'components.json');

export async function loadBase(name: string, family: KernelFamily): Promise<LookModel> {
  const { base } = json<{ base: string }>(name, 'job.json');
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

function named(tensors: ReadonlyMap<string, LoraTensors>): Map<string, ArrayLike<number>> {
  const result = new Map<string, ArrayLike<number>>();
  for (const [module, parts] of tensors) {
    for (const part of ['A', 'B', 'magnitude'] as const) {
      const values = parts[part];
      if (values) result.set(lookTensorName(module, part), values);
    }
  }
  return result;
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
  const recipe = parseRecipe(
    // The first step's gradients are read before the second overwrites them.
    {
      ...json<{ recipe: object }>(name, 'job.json').recipe,
      eval_share: 0,
      load_best_model_at_end: false,
      sample_steps: 0,
    },
    'look',
  );
  const model = await loadBase(name, family);
  try {
    const from = await readLookAdapter(diskFolder(join(FIXTURES, name, 'adapter-init')));
    const prepared = await readPreparedRows(model.base, folder, 'batch.safetensors', recipe);
    const stop = new AbortController();
    const run = model.train({
      prepared,
      recipe,
      adapter: parseLookLora({}),
      from,
      settle: wantedSteps,
      signal: stop.signal,
    });
    const events: (LookTrainingEvent & { type: 'step' })[] = [];
    let gradients = new Map<string, ArrayLike<number>>();
    for await (const event of run) {
      if (event.type !== 'step') continue;
      events.push(event);
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
