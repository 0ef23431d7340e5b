import { describe, expect, test } from 'vitest';
import { framesOfSteps } from '../../../src/models/musicgen/delay.ts';
import { diskFolder, FIXTURES } from '../../support/disk-folder.ts';
import { ErrorNorm, readExpected } from '../../support/reference.ts';
import { fixtureJson } from '../../support/training.ts';
import { COMPOSITIONS, LIMITS, loadBase, readAdapter } from './support.ts';

interface Generation {
  prompt: string;
  prompt_ids: number[];
  max_new_tokens: number;
  guidance_scale: number;
}

describe('greedy compositions under guidance as transformers’ generate makes them', () => {
  test('there are some, mono and stereo', () => {
    expect(COMPOSITIONS).toEqual(['sound-mono', 'sound-stereo']);
  });

  test.each(COMPOSITIONS)('%s, without and with an adapter', async (name) => {
    const wanted = fixtureJson<Generation>(name, 'generation.json');
    const expected = await readExpected(diskFolder(`${FIXTURES}${name}`), 'generation.safetensors');
    const model = await loadBase(name, 'cpu');
    try {
      expect([...(await model.base.tokenizer()).encode(wanted.prompt)]).toEqual(wanted.prompt_ids);
      for (const which of ['base', 'adapter']) {
        await model.useAdapter(which === 'base' ? null : await readAdapter(name));
        const { channels, codes } = await model.composeWhole(wanted.prompt, {
          frames: framesOfSteps(model.base.config.decoder, wanted.max_new_tokens),
          seed: 0,
          guidance_scale: wanted.guidance_scale,
          do_sample: false,
          top_k: 0,
          top_p: 1,
          temperature: 1,
          strength: 1,
        });
        expect(Array.from(codes, Number), which).toEqual(Array.from(expected.get(`${which}.audio_codes`)!.values));
        const { shape, values } = expected.get(`${which}.audio_values`)!;
        expect([1, channels.length, channels[0]!.length]).toEqual(shape);
        const played = channels.flatMap((channel) => Array.from(channel));
        const clamped = values.map((value) => Math.max(-1, Math.min(1, value)));
        const heard = played.map((value) => Math.max(-1, Math.min(1, value)));
        expect(new ErrorNorm().add(heard, clamped), which).toBeLessThan(LIMITS.audio_decoder);
      }
    } finally {
      model.destroy();
    }
  });
});
