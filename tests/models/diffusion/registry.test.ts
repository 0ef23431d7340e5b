import { expect, test } from 'vitest';
import { UserError } from '../../../src/common/errors.ts';
import type { PictureFamily } from '../../../src/models/diffusion/picture-model.ts';
import { openPictureModel, pictureFamilyOf } from '../../../src/models/diffusion/registry.ts';
import { MemoryFolder } from '../../../src/models/files/folder.ts';
import { writeSafetensors } from '../../../src/models/files/safetensors.ts';
import { stableDiffusion } from '../../../src/models/stable-diffusion/family.ts';
import { FIXTURES, diskFolder } from '../../support/disk-folder.ts';

const other: PictureFamily = {
  pipelines: ['OtherPipeline'],
  hasKeys: (names) => names.has('layers.0.attention.to_q.weight'),
  open: () => Promise.reject(new Error('not opened here')),
};
const families = [stableDiffusion, other];

const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const folder = (files: Record<string, Uint8Array<ArrayBuffer>>) =>
  new MemoryFolder('m', new Map(Object.entries(files)));
const index = (fields: object) => folder({ 'model_index.json': encode(JSON.stringify(fields)) });
const file = (name: string) =>
  folder({ 'x.safetensors': writeSafetensors([{ name, dtype: 'F32', shape: [1], data: Float32Array.of(1) }]) });

test('a folder’s family is what model_index.json names, a file’s what its tensors are called', async () => {
  expect(await pictureFamilyOf(index({ _class_name: 'OtherPipeline' }), families)).toBe(other);
  expect(await pictureFamilyOf(index({ _class_name: 'StableDiffusionXLPipeline' }), families)).toBe(stableDiffusion);
  expect(await pictureFamilyOf(file('layers.0.attention.to_q.weight'), families)).toBe(other);
  expect(await pictureFamilyOf(file('model.diffusion_model.input_blocks.0.0.weight'), families)).toBe(stableDiffusion);
});

test('what nothing is known of is refused in words that say what is supported', async () => {
  for (const unknown of [index({ _class_name: 'constructor' }), index({}), file('a'), folder({})])
    expect(await pictureFamilyOf(unknown, families)).toBe(stableDiffusion);
  await expect(openPictureModel(index({ _class_name: 'ElsewherePipeline' }))).rejects.toThrow(UserError);
  await expect(openPictureModel(index({ _class_name: 'ElsewherePipeline' }))).rejects.toThrow(/1\.x, 2\.x and XL/);
});

test.each([
  ['look-sd1', 'sd1', ['encoder_hidden_states']],
  ['look-sd2', 'sd2', ['encoder_hidden_states']],
  ['look-sdxl', 'sdxl', ['encoder_hidden_states', 'text_embeds', 'time_ids']],
])('%s is told by name what its UNet takes', async (name, family, names) => {
  const model = await openPictureModel(diskFolder(`${FIXTURES}${name}/base`));
  expect(model.family).toBe(family);
  expect(Object.keys(model.denoiser.conditions)).toEqual(names);
  const target = { height: 64, width: 32 };
  const told = model.geometryConditions({ original: { height: 9, width: 8 }, crop: { top: 2, left: 1 }, target });
  expect([...model.conditioner.conditions, ...Object.keys(told)]).toEqual(names);
  if (family === 'sdxl') expect([...told['time_ids']!]).toEqual([9, 8, 2, 1, 64, 32]);
  const sample = model.autoencoder.sampleShape(target);
  expect(sample).toEqual([4, 64 / model.autoencoder.factor, 32 / model.autoencoder.factor]);
  expect(model.autoencoder.pictureSize(sample)).toEqual(target);
});
