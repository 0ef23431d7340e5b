import { expect, test } from 'vitest';
import { UserError } from '../../src/common/errors.ts';
import { parseLoraConfig } from '../../src/adapters/lora-config.ts';
import { writeSafetensors } from '../../src/models/files/safetensors.ts';
import { decodeRunState, encodeRunState } from '../../src/training/checkpoint.ts';
import type { RunState } from '../../src/training/checkpoint.ts';
import { parseRecipe } from '../../src/training/recipe.ts';

const values = (seed: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: 10 }, (_, i) => Math.sin(seed + i));
const state: RunState = {
  step: 12,
  totalSteps: 40,
  epoch: 1,
  position: 3,
  seed: 4294967295,
  recipe: parseRecipe({ learning_rate: 1e-3 }),
  lora: parseLoraConfig({ target_modules: ['q_proj'], rank_pattern: { q_proj: 2 } }),
  evaluations: [
    { step: 5, loss: 1.25 },
    { step: 10, loss: 1.1 },
  ],
  bestStep: 10,
  bestLoss: 1.1,
  best: values(4),
  layout: [
    { name: 'base_model.model.ä.lora_A.weight', shape: [2, 3] },
    { name: 'b', shape: [4] },
  ],
  adapter: values(1),
  firstMoment: values(2),
  secondMoment: values(3),
};

test('a run’s state survives, with and without a best adapter', async () => {
  expect(await decodeRunState(encodeRunState(state))).toEqual(state);
  const early = { ...state, best: null, bestLoss: null, bestStep: 0, evaluations: [] };
  expect(await decodeRunState(encodeRunState(early))).toEqual(early);
});

test('any flipped or missing byte is noticed', async () => {
  const bytes = encodeRunState(state);
  for (let i = 0; i < bytes.length; i++) {
    const flipped = bytes.slice();
    flipped[i]! ^= 1 << (i % 8);
    const decoded = await decodeRunState(flipped).catch((error: unknown) => error);
    // A flip may change white space of the header's padding or turn one spelling of the header into another: harmless.
    if (!(decoded instanceof UserError)) expect(decoded).toEqual(state);
  }
  for (let length = 0; length < bytes.length; length += 7) {
    await expect(decodeRunState(bytes.slice(0, length))).rejects.toThrow('damaged and cannot be continued');
  }
});

test('a state of another version or kind is refused', async () => {
  await expect(decodeRunState(writeSafetensors([], { format: 'athanor-run', version: '2' }))).rejects.toThrow(
    'written in version 2 of its format; this page reads version 1',
  );
  await expect(decodeRunState(writeSafetensors([], { format: 'pt' }))).rejects.toThrow('damaged');
  expect(() => encodeRunState({ ...state, adapter: new Float32Array(3) })).toThrow(
    'adapter has 3 values, its layout 10',
  );
});
