import { describe, expect, test } from 'vitest';
import { FAMILIES } from '../../support/kernels.ts';
import { CASES, checkCase } from './support.ts';

test('the cases are all there', () => {
  expect(CASES).toHaveLength(8);
});

describe.each(FAMILIES)('training looks as diffusers, peft and torch do, %s family', (family) => {
  // The cards' kernels are slow on a software adapter, and what a step does after the gradients is the same for both
  // families: one step shows that the gradients are right, in the cases that have kernels of their own.
  const cases = family === 'cpu' ? CASES : ['look-sd1-conv', 'look-sd2', 'look-sdxl-text'];
  test.each(cases)('%s', async (name) => {
    const errors = await checkCase(name, family, family === 'gpu' ? 1 : undefined);
    if (process.env['ATHANOR_ERRORS']) console.log(family, name, JSON.stringify(errors));
  });
});
