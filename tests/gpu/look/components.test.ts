import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LookModel } from '../../../src/tasks/look/model.ts';
import { FAMILIES } from '../../support/kernels.ts';
import { BASES, checkComponent, componentsOf, loadBase } from './support.ts';

test('the bases are all there', () => {
  expect(BASES).toEqual(['look-sd1', 'look-sd1-f16', 'look-sd2', 'look-sdxl']);
});

describe.each(FAMILIES)('parts of image models against diffusers and transformers, %s family', (family) => {
  describe.each(BASES)('%s', (base) => {
    let model: LookModel;
    beforeAll(async () => {
      model = await loadBase(base, family);
    });
    afterAll(() => model.destroy());

    // The samplers' own arithmetic is the same for both families, and slow with the cards' kernels on a software adapter.
    const parts = componentsOf(base).filter(({ component }) => family === 'cpu' || component !== 'sampler');
    test.each(parts)('$name', async (part) => {
      const error = await checkComponent(model, base, part);
      if (process.env['ATHANOR_ERRORS']) console.log(family, base, part.name, error.toExponential(1));
    });
  });
});
