import { describe, expect, test } from 'vitest';
import { DIFFUSERS_FILE, writeDiffusersLora } from '../../src/adapters/diffusers-lora.ts';
import { writeKohyaLora } from '../../src/adapters/kohya-lora.ts';
import { readLookAdapter } from '../../src/adapters/look-files.ts';
import { matchAdapter, writePeftFolder } from '../../src/adapters/peft.ts';
import { loraScale } from '../../src/adapters/targets.ts';
import { UserError } from '../../src/common/errors.ts';
import { MemoryFolder } from '../../src/models/files/folder.ts';
import { writeSafetensors } from '../../src/models/files/safetensors.ts';
import type { TensorData } from '../../src/models/files/safetensors.ts';
import { textFolder } from '../support/disk-folder.ts';
import { randomAdapter } from '../support/look-modules.ts';
import { expectSame, folderOf, modules } from './look-adapters.ts';

describe('files of other tools', () => {
  const values = (length: number, seed = 1): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length }, (_, i) => Math.sin(seed + i));
  const tensor = (
    name: string,
    shape: number[],
    dtype: TensorData['dtype'] = 'F32',
    data?: ArrayBufferView,
  ): TensorData => ({
    name,
    dtype,
    shape,
    data: data ?? values(shape.reduce((product, side) => product * side, 1)),
  });
  const q = 'lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q';
  const module = 'unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q';
  const pair = (name: string, [down, up]: [string, string] = ['lora_down.weight', 'lora_up.weight']): TensorData[] => [
    tensor(`${name}.${down}`, [2, 12]),
    tensor(`${name}.${up}`, [12, 2]),
  ];
  const read = (tensors: TensorData[], metadata?: Record<string, string>) =>
    readLookAdapter(folderOf(writeSafetensors(tensors, metadata), 'x.safetensors'));
  const alphaOf = async (tensors: TensorData[], metadata?: Record<string, string>): Promise<number> =>
    loraScale((await read(tensors, metadata)).config, module).alpha;

  test('alpha: missing, zero, an integer, of shape [1], half precision', async () => {
    expect(await alphaOf(pair(q))).toBe(2);
    expect(await alphaOf([...pair(q), tensor(`${q}.alpha`, [], 'F32', Float32Array.of(0))])).toBe(2);
    expect(await alphaOf([...pair(q), tensor(`${q}.alpha`, [], 'I64', BigInt64Array.of(4n))])).toBe(4);
    expect(await alphaOf([...pair(q), tensor(`${q}.alpha`, [1], 'F32', Float32Array.of(0.5))])).toBe(0.5);
    expect(await alphaOf([...pair(q), tensor(`${q}.alpha`, [], 'F16', Float32Array.of(1.5))])).toBe(1.5);
  });

  test('alpha from diffusers’ metadata, whose patterns may name a part of a module', async () => {
    const peft: [string, string] = ['lora_A.weight', 'lora_B.weight'];
    const metadata = (fields: object) => ({ lora_adapter_metadata: JSON.stringify(fields) });
    expect(await alphaOf(pair(module, peft), metadata({ 'unet.r': 2, 'unet.lora_alpha': 6 }))).toBe(6);
    expect(
      await alphaOf(pair(module, peft), metadata({ 'unet.r': 2, 'unet.lora_alpha': 6, 'unet.use_rslora': true })),
    ).toBeCloseTo(6 * Math.SQRT2);
    const patterns = {
      'unet.r': 9,
      'unet.lora_alpha': 6,
      'unet.rank_pattern': { '^mid_block.attentions.0.transformer_blocks.0.attn1.to_q': 2 },
      'unet.alpha_pattern': { to_q: 3 },
    };
    expect(await alphaOf(pair(module, peft), metadata(patterns))).toBe(3);
    // A file of one component, as UNet2DConditionModel.save_lora_adapter writes it.
    const bare = module.slice('unet.'.length);
    expect(await alphaOf(pair(bare, peft), metadata({ r: 2, lora_alpha: 5, target_modules: ['to_q'] }))).toBe(5);
    const text = 'text_encoder.text_model.encoder.layers.0.mlp.fc1';
    const te = await read(
      pair(text, peft),
      metadata({
        'text_encoder.r': 2,
        'text_encoder.lora_alpha': 2,
        'text_encoder.alpha_pattern': { '^encoder.layers.0.mlp.fc1': 8 },
      }),
    );
    expect(loraScale(te.config, text)).toMatchObject({ r: 2, alpha: 8 });
    await expect(read(pair(module, peft), metadata({ 'unet.r': 4, 'unet.lora_alpha': 6 }))).rejects.toThrow(
      'has rank 4, but its tensors have 2',
    );
    await expect(read(pair(module, peft), { lora_adapter_metadata: '{' })).rejects.toThrow('not valid JSON');
    await expect(read(pair(module, peft), metadata({ 'unet.r': 2, 'unet.lora_bias': true }))).rejects.toThrow(
      'a bias in the adapter',
    );
  });

  test('a linear layer and a convolution of 1 by 1 are taken for each other', async () => {
    const name = 'lora_unet_mid_block_attentions_0_proj_in';
    const own = 'unet.mid_block.attentions.0.proj_in';
    const four = await read([
      tensor(`${name}.lora_down.weight`, [2, 12, 1, 1]),
      tensor(`${name}.lora_up.weight`, [12, 2, 1, 1]),
    ]);
    expect(four.tensors.get(own)).toMatchObject({ r: 2, inFeatures: 12, outFeatures: 12, kernel: [1, 1] });
    const two = await read(pair(name));
    expect(two.tensors.get(own)).not.toHaveProperty('kernel');
    for (const adapter of [four, two]) {
      expect(matchAdapter(adapter, modules)).toMatchObject([{ name: own, kernel: [1, 1] }]);
      expect(matchAdapter(adapter, [{ name: own, inFeatures: 12, outFeatures: 12 }])[0]).not.toHaveProperty('kernel');
    }
  });

  test('another base is named by its first layer and both sizes', async () => {
    const adapter = await read(pair(q));
    expect(() => matchAdapter(adapter, [{ name: module, inFeatures: 320, outFeatures: 320 }])).toThrow(
      `takes “${module}” to be 12 × 12; this base has 320 × 320`,
    );
    const conv = 'unet.conv_in';
    const three = await read([
      tensor(`${conv}.lora_A.weight`, [2, 4, 3, 3]),
      tensor(`${conv}.lora_B.weight`, [8, 2, 1, 1]),
    ]);
    expect(() => matchAdapter(three, [{ name: conv, inFeatures: 4, outFeatures: 8, kernel: [1, 1] }])).toThrow(
      'to be 8 × 4 × 3 × 3; this base has 8 × 4.',
    );
    expect(() => matchAdapter(three, modules)).toThrow('a layer “unet.conv_in” that this base does not have');
  });

  const refused: [string, TensorData[], string][] = [
    ['LoHa', [tensor(`${q}.hada_w1_a`, [2, 2])], 'is a LoHa (its tensor'],
    ['LoKr', [tensor(`${q}.lokr_w1`, [2, 2])], 'is a LoKr'],
    ['(IA)³', [tensor(`${q}.weight`, [2]), tensor(`${q}.on_input`, [])], 'is an (IA)³ adapter'],
    ['GLoRA', [tensor(`${q}.a1.weight`, [2, 2])], 'is a GLoRA'],
    ['OFT', [tensor(`${q}.oft_blocks`, [2, 2])], 'is an OFT or BOFT'],
    ['Tucker', [...pair(q), tensor(`${q}.lora_mid.weight`, [2, 2, 3, 3])], 'Tucker'],
    ['a full difference', [tensor(`${q}.diff`, [2, 2])], 'a full difference'],
    ['norms', [tensor('lora_unet_norm.w_norm', [2])], 'trained norms'],
    ['an embedding', [tensor('unet.e.lora_embedding_A', [2, 2])], 'word embeddings'],
    [
      'biases',
      [...pair(module, ['lora_A.weight', 'lora_B.weight']), tensor(`${module}.lora_B.bias`, [12])],
      'with biases',
    ],
    ['a trained word', [tensor('emb_params', [1, 2])], 'textual inversion'],
    ['FLUX', pair('lora_unet_double_blocks_0_img_attn_qkv'), 'FLUX'],
    [
      'Stable Diffusion 3',
      pair('transformer.transformer_blocks.0.attn.to_q', ['lora_A.weight', 'lora_B.weight']),
      'Stable Diffusion 3',
    ],
    ['a base', [tensor('model.diffusion_model.input_blocks.0.0.weight', [2])], 'is a whole model'],
    [
      'a language model',
      pair('base_model.model.model.layers.0.self_attn.q_proj', ['lora_A.weight', 'lora_B.weight']),
      'belong to no known layer',
    ],
    [
      'an unknown tensor',
      [...pair(q), tensor('lora_unet_extra.lora_down.weight', [2, 2])],
      'such as “lora_unet_extra.lora_down.weight”',
    ],
    ['A alone', [pair(q)[0]!], 'has the first matrix but not the second'],
    ['alpha alone', [tensor(`${q}.alpha`, [])], 'has neither of the two matrices'],
    [
      'shapes that do not fit',
      [tensor(`${q}.lora_down.weight`, [2, 12]), tensor(`${q}.lora_up.weight`, [12, 3])],
      'do not belong together',
    ],
    [
      'a large second matrix',
      [tensor(`${q}.lora_down.weight`, [2, 12, 3, 3]), tensor(`${q}.lora_up.weight`, [12, 2, 3, 3])],
      'do not belong together',
    ],
    [
      'an alpha below zero',
      [...pair(q), tensor(`${q}.alpha`, [], 'F32', Float32Array.of(-1))],
      'lora_alpha must be a number above 0',
    ],
    ['an alpha for each rank', [...pair(q), tensor(`${q}.alpha`, [2])], 'alpha of'],
    ['not a number', [pair(q)[0]!, tensor(`${q}.lora_up.weight`, [12, 2], 'F32', values(24).fill(NaN))], 'not finite'],
    [
      'the same module in both spellings',
      [...pair(q), ...pair('lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q')],
      'holds the same part of',
    ],
    ['DoRA by inputs', [...pair(q), tensor(`${q}.dora_scale`, [1, 12])], 'only one size for each of its 12 outputs'],
    [
      'DoRA in part',
      [...pair(q), tensor(`${q}.dora_scale`, [12, 1]), ...pair(q.replace('to_q', 'to_k'))],
      'That mixture is not supported',
    ],
    [
      'DoRA on convolutions',
      [
        tensor('lora_unet_conv_in.lora_down.weight', [2, 4, 3, 3]),
        tensor('lora_unet_conv_in.lora_up.weight', [8, 2, 1, 1]),
        tensor('lora_unet_conv_in.dora_scale', [8, 1, 1, 1]),
      ],
      'on convolutions, which is not supported',
    ],
    ['nothing', [], 'holds no tensors'],
  ];
  test.each(refused)('%s is refused', async (_, tensors, words) => {
    await expect(read(tensors)).rejects.toThrow(UserError);
    await expect(read(tensors)).rejects.toThrow(words);
  });

  test('files that may run code, several files, none', async () => {
    const file = writeSafetensors(pair(q));
    await expect(readLookAdapter(textFolder('x', { 'a.ckpt': 'x' }))).rejects.toThrow('a.ckpt may run code');
    await expect(readLookAdapter(textFolder('x', { 'a.ckpt': 'x' }), 'a.ckpt')).rejects.toThrow('may run code');
    await expect(readLookAdapter(textFolder('x', { 'a.txt': 'x' }))).rejects.toThrow('holds no adapter');
    await expect(readLookAdapter(textFolder('x', { 'a.txt': 'x' }), 'a.txt')).rejects.toThrow(
      'is not a .safetensors file',
    );
    await expect(readLookAdapter(textFolder('x', { 'a.txt': 'x' }), 'b.safetensors')).rejects.toThrow(
      'has no file b.safetensors',
    );
    const two = textFolder('x', { 'a.safetensors': file, 'b.safetensors': file });
    await expect(readLookAdapter(two)).rejects.toThrow('holds several files (a.safetensors, b.safetensors)');
    expect((await readLookAdapter(two, 'b.safetensors')).tensors.size).toBe(1);
    const both = textFolder('x', { 'a.safetensors': file, [DIFFUSERS_FILE]: file });
    expect((await readLookAdapter(both)).tensors.size).toBe(1);
  });

  test('trained words beside the layers are told of', async () => {
    const adapter = await read([...pair(q), tensor('bundle_emb.rexq.string_to_param.*', [1, 4])]);
    expect(adapter.notes).toEqual([expect.stringContaining('trained words (“rexq”)')]);
  });

  test('PEFT’s folder of a language model, and several adapters', async () => {
    const voice = randomAdapter(
      [{ name: 'model.layers.0.self_attn.q_proj', inFeatures: 4, outFeatures: 4 }],
      { target_modules: ['q_proj'] },
      1,
    );
    const files = writePeftFolder(voice);
    await expect(readLookAdapter(new MemoryFolder('v', files))).rejects.toThrow('none of Stable Diffusion');
    const twice = new Map(
      [...files].flatMap(([path, bytes]) => [[`a/${path}`, bytes] as const, [`b/${path}`, bytes] as const]),
    );
    await expect(readLookAdapter(new MemoryFolder('v', twice))).rejects.toThrow('holds several adapters');
  });

  test('DoRA with a size for each output is read, kept for diffusers and refused for kohya', async () => {
    const adapter = await read([...pair(q), tensor(`${q}.dora_scale`, [12, 1])]);
    expect(adapter.config.use_dora).toBe(true);
    expect(adapter.tensors.get(module)!.magnitude).toEqual(values(12));
    expectSame(await readLookAdapter(folderOf(writeDiffusersLora(adapter))), adapter);
    await expect(writeKohyaLora(adapter, 'sd1')).rejects.toThrow('A DoRA cannot be saved in kohya');
  });
});
