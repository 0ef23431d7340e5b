import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Adapter, LoraTensors } from '../../src/adapters/peft.ts';
import type { TensorData } from '../../src/models/files/safetensors.ts';
import { FIXTURES } from './disk-folder.ts';
import type { ExpectedTensors } from './reference.ts';
import { ErrorNorm } from './reference.ts';

export const inFixture = (name: string, file: string): string => join(FIXTURES, name, file);
export const fixtureHas = (name: string, file: string): boolean => existsSync(inFixture(name, file));
export const fixtureJson = <T>(name: string, file: string): T =>
  JSON.parse(readFileSync(inFixture(name, file), 'utf8')) as T;

/** Cases of a training run whose names are of these. */
export const trainingCases = (names: RegExp): string[] =>
  readdirSync(FIXTURES).filter((name) => names.test(name) && fixtureHas(name, 'expected.safetensors'));

/** Errors that a training run may have, as norm of the difference over norm of the reference. */
export interface TrainingLimits {
  loss: number;
  gradNorm: number;
  /** Of each gradient, and of all together. */
  gradient: number;
  gradients: number;
  /** Of what the adapter has changed by. */
  change: number;
}

/** Errors of a training run, for what is printed beside a test. */
export interface TrainingErrors {
  gradient: number;
  gradients: number;
  change: number | undefined;
}

interface StepEvent {
  type: 'step';
  step: number;
  loss: number;
  gradNorm: number;
  learningRate: number;
}

export interface ReferenceRun {
  expected: ExpectedTensors;
  limits: TrainingLimits;
  /** Steps that are compared; by default all. */
  steps?: number;
  /** What is trained, from this adapter. */
  model: {
    currentGradients: () => Promise<ReadonlyMap<string, LoraTensors>>;
    currentAdapter: () => Promise<Adapter>;
  };
  from: Adapter;
  train: (options: {
    from: Adapter;
    adapter: Adapter['config'];
    awaitEachStepUntil: number;
    signal: AbortSignal;
  }) => AsyncIterable<StepEvent | { type: string }>;
  /** A module's tensors under the names of the reference. */
  named: (module: string, tensors: LoraTensors) => readonly TensorData[];
}

/** Trains for some steps and holds losses, norms, rates, gradients and the adapter to the reference. */
export async function checkTraining(run: ReferenceRun): Promise<TrainingErrors> {
  const { expected, limits, steps = Infinity, model, from } = run;
  const of = (tensor: string): Float64Array => expected.get(tensor)!.values;
  const named = (tensors: ReadonlyMap<string, LoraTensors>): Map<string, ArrayLike<number>> =>
    new Map(
      [...tensors].flatMap(([module, parts]) =>
        run.named(module, parts).map(({ name, data }) => [name, data as Float32Array]),
      ),
    );
  const all = of('loss').length;
  const wantedSteps = Math.min(steps, all);
  const stop = new AbortController();
  const events: StepEvent[] = [];
  let gradients = new Map<string, ArrayLike<number>>();
  const { config: adapter } = from;
  for await (const event of run.train({ from, adapter, awaitEachStepUntil: wantedSteps, signal: stop.signal })) {
    if (event.type !== 'step') continue;
    const step = event as StepEvent;
    events.push(step);
    // The first step's gradients are read before the second overwrites them.
    if (step.step === 1) gradients = named(await model.currentGradients());
    if (step.step === wantedSteps) stop.abort();
  }
  expect(events).toHaveLength(wantedSteps);
  events.forEach(({ loss, gradNorm, learningRate }, i) => {
    expect(Math.abs(loss / of('loss')[i]! - 1), `loss of step ${i + 1}`).toBeLessThan(limits.loss);
    expect(Math.abs(gradNorm / of('grad_norm')[i]! - 1), `norm of step ${i + 1}`).toBeLessThan(limits.gradNorm);
    expect(Math.abs(learningRate - of('learning_rate')[i]!), `rate of step ${i + 1}`).toBeLessThan(1e-10);
  });
  const wanted = [...expected.keys()].filter((key) => key.startsWith('grad.')).map((key) => key.slice(5));
  expect([...gradients.keys()].sort()).toEqual(wanted.sort());
  const together = new ErrorNorm();
  let worst = 0;
  for (const [tensor, values] of gradients) {
    const error = together.add(values, of(`grad.${tensor}`));
    expect(error, `gradient of ${tensor}`).toBeLessThan(limits.gradient);
    worst = Math.max(worst, error);
  }
  expect(together.value, 'all gradients').toBeLessThan(limits.gradients);
  if (wantedSteps < all) return { gradient: worst, gradients: together.value, change: undefined };
  const before = named(from.tensors);
  const change = new ErrorNorm();
  const { tensors } = await model.currentAdapter();
  for (const [tensor, values] of named(tensors)) change.add(values, of(`after.${tensor}`), before.get(tensor)!);
  expect(change.value, 'change of the adapter').toBeLessThan(limits.change);
  return { gradient: worst, gradients: together.value, change: change.value };
}
