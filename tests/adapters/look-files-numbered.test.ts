import { describe, expect, test } from 'vitest';
import { writeKohyaLora } from '../../src/adapters/kohya-lora.ts';
import { kohyaName } from '../../src/adapters/look-families.ts';
import { readLookAdapter } from '../../src/adapters/look-files.ts';
import { matchAdapter } from '../../src/adapters/peft.ts';
import { UserError } from '../../src/common/errors.ts';
import { parseSafetensors, writeSafetensors } from '../../src/models/files/safetensors.ts';
import type { TensorData } from '../../src/models/files/safetensors.ts';
import { diskFolder, sharedData } from '../support/disk-folder.ts';
import { SD15, textModuleList, unetModuleList } from '../support/look-modules.ts';
import { folderOf } from './look-adapters.ts';

describe('the first trainer’s numbered files', () => {
  /** A made-up file of Stable Diffusion 1's shape with narrow layers: numbers, not names. */
  function numbered(classes: string[], layers = 1): TensorData[] {
    const tensors: TensorData[] = [];
    let number = 0;
    const add = (component: string, inFeatures: number, outFeatures: number): void => {
      const fill = (length: number) => new Float32Array(length).fill(number);
      tensors.push({
        name: `${component}:${number}:down`,
        dtype: 'F32',
        shape: [1, inFeatures],
        data: fill(inFeatures),
      });
      tensors.push({
        name: `${component}:${number}:up`,
        dtype: 'F32',
        shape: [outFeatures, 1],
        data: fill(outFeatures),
      });
      number++;
    };
    for (let block = 0; block < 16; block++) {
      for (let i = 0; i < 4; i++) add('unet', 4, 4);
      if (classes.includes('GEGLU')) add('unet', 4, 32);
      for (const keys of [4, 6, 6, 4]) add('unet', keys, 4);
    }
    number = 0;
    for (let i = 0; i < 4 * layers; i++) add('text_encoder', 5, 5);
    return tensors;
  }
  const metadata = { unet: '["CrossAttention", "Attention", "GEGLU"]', text_encoder: '["CLIPAttention"]' };

  test('are told apart by the order of Stable Diffusion 1', async () => {
    const file = writeSafetensors(numbered(['GEGLU']), metadata);
    const { kind, tensors, config } = await readLookAdapter(folderOf(file));
    expect([kind, tensors.size, config.r, config.lora_alpha]).toEqual(['cloneofsimo', 148, 1, 1]);
    const number = (module: string): number => tensors.get(module)!.A[0]!;
    expect(number('unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q')).toBe(0);
    expect(number('unet.down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj')).toBe(4);
    expect(number('unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k')).toBe(6 * 9 + 6);
    expect(number('unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0')).toBe(143);
    expect(number('text_encoder.text_model.encoder.layers.0.self_attn.q_proj')).toBe(2);
  });

  test('are refused where the numbers mean other layers', async () => {
    const read = (tensors: TensorData[], given: Record<string, string>) =>
      readLookAdapter(folderOf(writeSafetensors(tensors, given)));
    await expect(read(numbered([]), metadata)).rejects.toThrow('cannot be told apart');
    await expect(read(numbered(['GEGLU']), { ...metadata, unet: '["ResnetBlock2D"]' })).rejects.toThrow(
      'cannot be told apart',
    );
    await expect(read(numbered(['GEGLU']), { ...metadata, unet: 'x' })).rejects.toThrow('which is no list');
    await expect(read(numbered(['GEGLU']).slice(1), metadata)).rejects.toThrow(UserError);
    const extra: TensorData = { name: 'more', dtype: 'F32', shape: [1], data: Float32Array.of(1) };
    await expect(read([...numbered(['GEGLU']), extra], metadata)).rejects.toThrow('“more”, which is no part');
    const word = await read([...numbered(['GEGLU']), { ...extra, name: '<s1>' }], { ...metadata, '<s1>': '<embed>' });
    expect(word.notes).toEqual([expect.stringContaining('“<s1>”')]);
  });

  const real = sharedData('adapters/sd15-cloneofsimo');
  if (real)
    test.each([
      ['analog_svd_rank4.safetensors', 4, 0],
      ['lora_disney.safetensors', 1, 1],
    ] as const)('%s, a real one, fits Stable Diffusion 1.5', async (file, r, notes) => {
      const adapter = await readLookAdapter(diskFolder(real!), file);
      expect([adapter.tensors.size, adapter.config.r, adapter.config.lora_alpha, adapter.notes.length]).toEqual([
        192,
        r,
        r,
        notes,
      ]);
      const base = [...unetModuleList(SD15), ...textModuleList('text_encoder', 12, 768)];
      expect(matchAdapter(adapter, base)).toHaveLength(192);
      // Written for the tools of today under their names.
      const kohya = await parseSafetensors(folderOf(await writeKohyaLora(adapter, 'sd1')), 'a.safetensors');
      expect([...kohya.tensors.keys()].every((name) => /^lora_(unet|te)_/.test(name))).toBe(true);
      for (const module of adapter.tensors.keys()) {
        expect(kohya.tensors.has(`${kohyaName(module, 'sd1')}.lora_up.weight`)).toBe(true);
      }
    });
});
