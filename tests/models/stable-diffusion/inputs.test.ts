import { expect, test } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import { latentSize, parseVaeConfig } from '../../../src/models/stable-diffusion/autoencoder-kl.ts';
import { clipTextInputs, parseClipTextConfig, summaryPosition } from '../../../src/models/clip/text-encoder.ts';
import { levelSizes } from '../../../src/models/stable-diffusion/unet/unet-config.ts';
import { sinusoidal } from '../../../src/models/stable-diffusion/unet/inputs.ts';
import { parseUnetConfig, unetInputs } from '../../../src/models/stable-diffusion/unet-2d-condition.ts';

const text = (fields: object = {}) =>
  parseClipTextConfig({ hidden_size: 8, num_attention_heads: 2, ...fields }, { withProjection: true });

test('a text’s summary is taken at the first end token, or, where the configuration says 2, at the highest id', () => {
  const ids = [48, 3, 49, 7, 49, 50, 50];
  expect(summaryPosition(ids, text({ eos_token_id: 49 }))).toBe(2);
  expect(summaryPosition(ids, text({ eos_token_id: 2 }))).toBe(5);
  // None there: the first token, as an argmax over nothing gives.
  expect(summaryPosition(ids, text({ eos_token_id: 60 }))).toBe(0);
});

test('tokens see themselves and what comes before, each in its own text', () => {
  const inputs = clipTextInputs(
    [
      [1, 9, 2],
      [1, 2, 9],
    ],
    text({ eos_token_id: 9 }),
    'te',
  );
  expect([...inputs['te.keyRanges']!]).toEqual([0, 1, 0, 2, 0, 3, 3, 4, 3, 5, 3, 6]);
  expect([...inputs['te.queryRanges']!]).toEqual([0, 3, 1, 3, 2, 3, 3, 6, 4, 6, 5, 6]);
  expect([...inputs['te.summaryRanges']!]).toEqual([1, 2, 5, 6]);
  expect([...inputs['te.summaryQueryRanges']!]).toEqual([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
  expect([...inputs['te.positions']!]).toEqual([0, 1, 2, 0, 1, 2]);
});

test('features of a timestep', () => {
  const [a, b] = [Math.exp(-Math.log(10000) / 2), 1];
  const cosFirst = sinusoidal([999], 4, { flipSinToCos: true, freqShift: 0 });
  [Math.cos(999 * b), Math.cos(999 * a), Math.sin(999 * b), Math.sin(999 * a)].forEach((value, i) =>
    expect(cosFirst[i]).toBeCloseTo(value, 6),
  );
  const shifted = sinusoidal([10], 5, { flipSinToCos: false, freqShift: 1 });
  [Math.sin(10), Math.sin(10 / 10000), Math.cos(10), Math.cos(10 / 10000), 0].forEach((value, i) =>
    expect(shifted[i]).toBeCloseTo(value, 6),
  );
});

const small = parseUnetConfig({
  block_out_channels: [8, 8],
  down_block_types: ['CrossAttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D'],
  attention_head_dim: 2,
  cross_attention_dim: 6,
  norm_num_groups: 4,
  layers_per_block: 1,
});

test('pixels see their image, at every level', () => {
  const shape = { images: 2, height: 2, width: 4, contextLength: 3 };
  const inputs = unetInputs(small, shape, {
    sample: Float32Array.from({ length: 2 * 4 * 8 }, (_, i) => i),
    timesteps: [1, 2],
    encoderHiddenStates: new Float32Array(2 * 3 * 6),
  });
  // Channels of a pixel lie together.
  expect([...inputs['sample']!.slice(0, 4)]).toEqual([0, 8, 16, 24]);
  expect([...inputs['sample']!.slice(32, 36)]).toEqual([32, 40, 48, 56]);
  expect([...inputs['ownRanges.0']!.slice(14, 18)]).toEqual([0, 8, 8, 16]);
  expect([...inputs['textRanges.1']!]).toEqual([0, 3, 0, 3, 3, 6, 3, 6]);
  expect([...inputs['textQueryRanges.1']!]).toEqual([0, 2, 0, 2, 0, 2, 2, 4, 2, 4, 2, 4]);
});

test('numbers that do not fit, and sides that do not halve, are refused', () => {
  const shape = { images: 1, height: 2, width: 2, contextLength: 1 };
  expect(() => unetInputs(small, shape, { sample: [1], timesteps: [1] })).toThrow('sample');
  const sides = (height: number, width: number, padding: number) =>
    levelSizes({ ...small, channels: [8, 8, 8], downsamplePadding: padding }, { height, width });
  expect(() => sides(8, 6, 0)).toThrow(UserError);
  expect(() => sides(8, 6, 0)).toThrow('multiples of 4');
  expect(sides(8, 12, 0).at(-1)).toEqual({ height: 2, width: 3 });
  expect(sides(5, 7, 1)).toEqual([
    { height: 5, width: 7 },
    { height: 3, width: 4 },
    { height: 2, width: 2 },
  ]);
});

test('latents of pictures of any size', () => {
  const vae = parseVaeConfig({
    block_out_channels: [32, 32, 32],
    down_block_types: ['DownEncoderBlock2D', 'DownEncoderBlock2D', 'DownEncoderBlock2D'],
    up_block_types: ['UpDecoderBlock2D', 'UpDecoderBlock2D', 'UpDecoderBlock2D'],
  });
  expect(latentSize(vae, { height: 64, width: 67 })).toEqual({ height: 16, width: 16 });
  expect(latentSize(vae, { height: 7, width: 4 })).toEqual({ height: 1, width: 1 });
});
