import { describe, expect, test } from 'vitest';
import { lookTensorName, writeDiffusersLora } from '../../src/adapters/diffusers-lora.ts';
import { writeKohyaLora } from '../../src/adapters/kohya-lora.ts';
import { readLookAdapter } from '../../src/adapters/look-files.ts';
import { matchAdapter, writePeftFolder } from '../../src/adapters/peft.ts';
import { UserError } from '../../src/common/errors.ts';
import { MemoryFolder } from '../../src/models/files/folder.ts';
import { parseSafetensors } from '../../src/models/files/safetensors.ts';
import { randomAdapter } from '../support/look-modules.ts';
import { ALL, ATTENTION, expectSame, folderOf, modules, modulesXL } from './look-adapters.ts';

const SETTINGS: [string, Record<string, unknown>][] = [
  ['one rank and alpha', { r: 4, lora_alpha: 4, target_modules: ATTENTION }],
  ['rsLoRA', { r: 3, lora_alpha: 5, use_rslora: true, target_modules: ATTENTION }],
  [
    'convolutions and text encoders, ranks and alphas of their own',
    {
      r: 4,
      lora_alpha: 2,
      target_modules: ALL,
      rank_pattern: { conv1: 2, 'mid_block.attentions.0.proj_in': 1 },
      alpha_pattern: { conv1: 3, q_proj: 0.5, 'attn2.to_v': 7 },
    },
  ],
];

describe.each(SETTINGS)('%s', (_, settings) => {
  const sd1 = randomAdapter(modules, settings, 1);
  const xl = randomAdapter(modulesXL, settings, 2);

  test.each([
    ['diffusers', () => writeDiffusersLora(sd1), sd1],
    ['diffusers, XL', () => writeDiffusersLora(xl), xl],
    ['kohya, 1', () => writeKohyaLora(sd1, 'sd1'), sd1],
    ['kohya, XL', () => writeKohyaLora(xl, 'sdxl'), xl],
    ['kohya, XL in diffusers’ paths', () => writeKohyaLora(xl, 'sd2'), xl],
  ] as const)('%s: written and read back', async (_name, write, adapter) => {
    const file = await write();
    if (_name.includes('paths') && [...adapter.tensors.keys()].some((name) => name.startsWith('text_encoder_2.'))) {
      const header = await parseSafetensors(folderOf(file), 'a.safetensors');
      expect([...header.tensors.keys()].some((name) => name.startsWith('lora_te2_'))).toBe(true);
    }
    const read = await readLookAdapter(folderOf(file));
    expect(read.notes).toEqual([]);
    expectSame(read, adapter);
    // What is read fits the base, and is written again as the same matrices.
    const base = adapter === sd1 ? modules : modulesXL;
    expect(matchAdapter(read, base)).toHaveLength(adapter.tensors.size);
    expectSame(await readLookAdapter(folderOf(writeDiffusersLora(read))), adapter);
  });

  test('PEFT: a folder for each component', async () => {
    const files = new Map<string, Uint8Array<ArrayBuffer>>();
    for (const component of ['unet', 'text_encoder']) {
      const own = [...sd1.tensors].flatMap(([module, tensors]) =>
        module.startsWith(`${component}.`) ? [[module.slice(component.length + 1), tensors] as const] : [],
      );
      if (own.length === 0) continue;
      const folder = writePeftFolder({ config: sd1.config, tensors: new Map(own) });
      for (const [path, bytes] of folder) files.set(`${component}/${path}`, bytes);
    }
    const read = await readLookAdapter(new MemoryFolder('peft', files));
    expect(read.kind).toBe('peft');
    expectSame(read, sd1);
  });
});

test('float16 halves the file and is read as the nearest values', async () => {
  const adapter = randomAdapter(modules, { r: 4, lora_alpha: 8, target_modules: ATTENTION }, 3);
  for (const write of [
    (dtype: 'F16' | 'F32') => Promise.resolve(writeDiffusersLora(adapter, { dtype })),
    (dtype: 'F16' | 'F32') => writeKohyaLora(adapter, 'sd1', { dtype }),
  ]) {
    const [half, full] = [folderOf(await write('F16')), folderOf(await write('F32'))];
    const header = await parseSafetensors(half, 'a.safetensors');
    expect(new Set([...header.tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set(['F16']));
    const [read, exact] = [await readLookAdapter(half), await readLookAdapter(full)];
    expectSame(exact, adapter);
    for (const [module, { A }] of adapter.tensors) {
      const [mine, theirs] = [read.tensors.get(module)!.A, A];
      expect(mine.every((value, i) => Math.abs(value - theirs[i]!) <= Math.abs(theirs[i]!) / 2048 + 1e-7)).toBe(true);
    }
  }
  adapter.tensors.get('unet.mid_block.attentions.0.proj_in')!.B[0] = 1e5;
  expect(() => writeDiffusersLora(adapter, { dtype: 'F16' })).toThrow(
    'proj_in.lora_B.weight holds values beyond 65,504',
  );
  await expect(writeKohyaLora(adapter, 'sd1', { dtype: 'F16' })).rejects.toThrow(UserError);
});

test('diffusers’ file: names, shapes and what PEFT has to know', async () => {
  const settings = { r: 4, lora_alpha: 2, target_modules: ALL, alpha_pattern: { conv1: 3 }, rank_pattern: { fc1: 1 } };
  const adapter = randomAdapter(modules, settings, 4);
  const header = await parseSafetensors(folderOf(writeDiffusersLora(adapter)), 'a.safetensors');
  expect([...header.tensors.keys()].every((name) => /^(unet|text_encoder)\..+\.lora_[AB]\.weight$/.test(name))).toBe(
    true,
  );
  const shape = (name: string) => header.tensors.get(name)!.shape;
  expect(shape('unet.down_blocks.0.resnets.0.conv1.lora_A.weight')).toEqual([4, 8, 3, 3]);
  expect(shape('unet.down_blocks.0.resnets.0.conv1.lora_B.weight')).toEqual([8, 4, 1, 1]);
  expect(shape('unet.mid_block.attentions.0.proj_in.lora_A.weight')).toEqual([4, 12, 1, 1]);
  expect(shape('unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight')).toEqual([4, 10]);
  expect(lookTensorName('unet.conv_in', 'B')).toBe('unet.conv_in.lora_B.weight');
  expect(header.metadata['format']).toBe('pt');
  const fields = JSON.parse(header.metadata['lora_adapter_metadata']!) as Record<string, unknown>;
  expect(fields).toMatchObject({ 'unet.r': 4, 'unet.lora_alpha': 2, 'text_encoder.r': 4 });
  expect(fields['unet.target_modules']).toContain('mid_block.attentions.0.proj_in');
  // Without text_model the names fit transformers before and after it was dropped.
  expect(fields['text_encoder.target_modules']).toContain('encoder.layers.0.mlp.fc1');
  expect(fields['text_encoder.rank_pattern']).toEqual({ 'encoder.layers.0.mlp.fc1': 1, 'encoder.layers.1.mlp.fc1': 1 });
  expect((fields['unet.alpha_pattern'] as Record<string, number>)['mid_block.resnets.0.conv1']).toBe(3);
  const plain = randomAdapter(modules, { r: 4, lora_alpha: 9, use_rslora: true, target_modules: ATTENTION }, 5);
  const folded = await parseSafetensors(folderOf(writeDiffusersLora(plain)), 'a.safetensors');
  expect(Object.keys(JSON.parse(folded.metadata['lora_adapter_metadata']!) as object)).toEqual([
    'unet.lora_alpha',
    'unet.r',
    'unet.target_modules',
  ]);
  expect((JSON.parse(folded.metadata['lora_adapter_metadata']!) as Record<string, number>)['unet.lora_alpha']).toBe(18);
});
