import { describe, test } from 'vitest';
import { FAMILIES } from '../../support/kernels.ts';
import { CASES, checkCase } from './support.ts';

describe.each(FAMILIES)('training sounds as transformers, peft and torch do, %s family', (family) => {
  // The cards' kernels are slow on a software adapter, and what a step does after the gradients is the same for both
  // families: one step of the case with most kinds of layers shows that the gradients are right.
  test.each(family === 'cpu' ? CASES : ['sound-mono-heads'])('%s', async (name) => {
    const errors = await checkCase(name, family, family === 'gpu' ? 1 : undefined);
    if (process.env['ATHANOR_ERRORS']) console.log(family, name, JSON.stringify(errors));
  });
});
