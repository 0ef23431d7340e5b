import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SoundModel } from '../../../src/tasks/sound/model.ts';
import { FAMILIES } from '../../support/kernels.ts';
import { CASES, checkComponent, componentsOf, loadBase } from './support.ts';

test('the cases are all there', () => {
  expect(CASES).toEqual(['sound-f16', 'sound-mono', 'sound-mono-heads', 'sound-stereo']);
});

describe.each(FAMILIES)('parts of music models against transformers, %s family', (family) => {
  // The cards' kernels are slow on a software adapter: one base shows that they are right; training runs the decoder's.
  describe.each(family === 'cpu' ? CASES : ['sound-stereo'])('%s', (name) => {
    let model: SoundModel;
    beforeAll(async () => {
      model = await loadBase(name, family);
    });
    afterAll(() => model.destroy());

    const isNeeded = (part: string) => family === 'cpu' || !/^decoder|-(long|short)$/.test(part);
    const parts = componentsOf(name).filter((part) => isNeeded(part.name));
    test.each(parts)('$name', async (part) => {
      const error = await checkComponent(model, name, part);
      if (process.env['ATHANOR_ERRORS']) console.log(family, name, part.name, error.toExponential(1));
    });
  });
});
