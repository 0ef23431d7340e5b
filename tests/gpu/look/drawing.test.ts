import { describe, expect, test } from 'vitest';
import type { DrawRequest } from '../../../src/tasks/look/types.ts';
import { diskFolder, fixture, FIXTURES } from '../../support/disk-folder.ts';
import { readExpected } from '../../support/reference.ts';
import { loadBase } from './support.ts';

/** A value between two whole ones may be rounded either way; beyond that the picture agrees to 2e-4 of its range. */
const HALF_A_STEP = 0.5 / 255 + 2e-4;

describe('pictures from words as diffusers’ pipelines draw them', () => {
  test.each([
    ['look-sd1', 'with a negative prompt'],
    ['look-sdxl', 'with none, which SDXL tells as zeros'],
  ])('%s, %s', async (name) => {
    const tensors = await readExpected(diskFolder(`${FIXTURES}${name}`), 'drawing.safetensors');
    const expected = tensors.get('picture')!.values;
    const model = await loadBase(name, 'cpu');
    try {
      const latents = Float32Array.from(tensors.get('latents')!.values);
      const request: DrawRequest = { ...fixture<DrawRequest>(`${name}/drawing.json`), latents };
      for await (const event of model.generate(request)) {
        if (event.type !== 'image') continue;
        const { width, height, data } = event.pixels;
        expect([1, height, width, 3]).toEqual(tensors.get('picture')!.shape);
        let worst = 0;
        for (let i = 0; i < width * height; i++) {
          for (let c = 0; c < 3; c++) worst = Math.max(worst, Math.abs(data[4 * i + c]! / 255 - expected[3 * i + c]!));
        }
        expect(worst).toBeLessThan(HALF_A_STEP);
        return;
      }
      throw new Error('nothing was drawn');
    } finally {
      model.destroy();
    }
  });
});
