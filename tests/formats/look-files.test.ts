import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { DIFFUSERS_FILE, lookTensorName, writeDiffusersLora } from '../../src/adapters/diffusers-lora.ts';
import { writeKohyaLora } from '../../src/adapters/kohya-lora.ts';
import type { LookFacts } from '../../src/adapters/kohya-metadata.ts';
import { kohyaName } from '../../src/adapters/kohya-names.ts';
import { readLookAdapter } from '../../src/adapters/look-files.ts';
import { matchAdapter, writePeftFolder } from '../../src/adapters/peft.ts';
import type { Adapter } from '../../src/adapters/peft.ts';
import { loraScale } from '../../src/adapters/targets.ts';
import { UserError } from '../../src/engine/errors.ts';
import { MemoryFolder } from '../../src/models/files/folder.ts';
import { parseSafetensors, writeSafetensors } from '../../src/models/files/safetensors.ts';
import type { TensorData } from '../../src/models/files/safetensors.ts';
import { sharedData, textFolder, diskFolder } from '../support/disk-folder.ts';
import { SD15, SDXL, randomAdapter, textModuleList, unetModuleList } from '../support/look-modules.ts';

const TINY = { ...SD15, channels: [8, 12], depths: [1, 0], context: 10 };
const TINY_XL = { ...SDXL, channels: [8, 12, 16], depths: [0, 1, 2], midDepth: 2, context: 10 };
const modules = [...unetModuleList(TINY), ...textModuleList('text_encoder', 2, 6)];
const modulesXL = [
  ...unetModuleList(TINY_XL),
  ...textModuleList('text_encoder', 2, 6),
  ...textModuleList('text_encoder_2', 1, 8),
];
const ATTENTION = ['to_q', 'to_k', 'to_v', 'to_out.0', 'proj_in', 'proj_out', 'ff.net.0.proj', 'ff.net.2'];
const ALL = [...ATTENTION, 'conv1', 'conv2', 'conv_shortcut', 'time_emb_proj', 'conv', 'q_proj', 'fc1'];

const folderOf = (bytes: Uint8Array<ArrayBuffer>, name = 'a.safetensors'): MemoryFolder =>
  new MemoryFolder('mine', new Map([[name, bytes]]));

/** The same matrices and the same scale of every module; how a configuration says it may differ. */
function expectSame(read: Adapter, written: Adapter): void {
  expect([...read.tensors.keys()].sort()).toEqual([...written.tensors.keys()].sort());
  for (const [module, tensors] of written.tensors) {
    expect(read.tensors.get(module), module).toEqual(tensors);
    expect(loraScale(read.config, module).scale, module).toBeCloseTo(loraScale(written.config, module).scale, 6);
    expect(loraScale(read.config, module).r, module).toBe(tensors.r);
  }
}

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

describe('kohya’s metadata', () => {
  const facts: LookFacts = {
    name: 'Rex the “dog”',
    base: { name: 'v1-5.safetensors', sha256: 'ab'.repeat(32) },
    predictionType: 'epsilon',
    resolution: 512,
    triggerPhrase: 'rexq dog',
    description: 'A dog.\nTaught from photos.',
    license: 'openrail',
    tags: ['dog', 'pet'],
    date: Date.UTC(2026, 0, 2, 3, 4, 5),
    preview: { type: 'image/png', bytes: Uint8Array.of(1, 2, 3) },
    training: {
      startedAt: 1_700_000_000_500,
      finishedAt: 1_700_000_100_000,
      steps: 90,
      maxSteps: 100,
      epoch: 9,
      epochs: 10,
      batchSize: 2,
      accumulationSteps: 3,
      learningRate: 1e-4,
      textEncoderLearningRate: null,
      scheduler: 'cosine',
      warmupSteps: 5,
      seed: 7,
      maxGradNorm: 1,
      noiseOffset: 0,
      minSnrGamma: 5,
      priorLossWeight: 1,
      captionDropoutRate: 0.05,
      shuffleCaption: false,
      flip: true,
      classPictures: 0,
      pictures: [
        { caption: 'rexq dog, Grass', repeats: 1, bucket: [512, 512] },
        { caption: 'rexq dog, grass, ', repeats: 1, bucket: [448, 576] },
        { caption: 'rexq dog, __proto__', repeats: 4, bucket: [512, 512] },
      ],
    },
  };
  const adapter = randomAdapter(
    modules,
    {
      r: 8,
      lora_alpha: 16,
      target_modules: ALL,
      rank_pattern: { 'resnets.*conv[12]': 2 },
      alpha_pattern: { 'resnets.*conv[12]': 1 },
    },
    6,
  );
  const read = async (family: 'sd1' | 'sd2' | 'sdxl', given?: LookFacts, of: Adapter = adapter) =>
    (await parseSafetensors(folderOf(await writeKohyaLora(of, family, given && { facts: given })), 'a.safetensors'))
      .metadata;

  test('what sd-scripts keeps whatever happens stands in every file', async () => {
    const xl = randomAdapter(modulesXL, { r: 8, lora_alpha: 4.5, target_modules: ATTENTION }, 7);
    expect(await read('sdxl', undefined, xl)).toMatchObject({
      ss_v2: 'False',
      ss_base_model_version: 'sdxl_base_v1-0',
      ss_network_module: 'networks.lora',
      ss_network_dim: '8',
      ss_network_alpha: '4.5',
      ss_network_args: '{}',
      'modelspec.architecture': 'stable-diffusion-xl-v1-base/lora',
      'modelspec.implementation': 'https://github.com/Stability-AI/generative-models',
      'modelspec.resolution': '1024x1024',
      'modelspec.sai_model_spec': '1.0.1',
    });
    expect(await read('sd1')).toMatchObject({
      ss_base_model_version: 'sd_v1',
      ss_network_alpha: '16.0',
      'modelspec.architecture': 'stable-diffusion-v1/lora',
      'modelspec.implementation': 'diffusers',
    });
    expect(await read('sd2', { predictionType: 'v_prediction' })).toMatchObject({
      ss_v2: 'True',
      ss_base_model_version: 'sd_v2_v',
      'modelspec.architecture': 'stable-diffusion-v2-768-v/lora',
      'modelspec.resolution': '768x768',
      'modelspec.prediction_type': 'v',
    });
  });

  test('of a run: every field a string, as Python writes it', async () => {
    const metadata = await read('sd1', facts);
    expect(Object.values(metadata).every((value) => typeof value === 'string')).toBe(true);
    expect(metadata).toMatchObject({
      ss_output_name: 'Rex the “dog”',
      ss_sd_model_name: 'v1-5.safetensors',
      ss_sd_model_hash: 'abababab',
      ss_resolution: '(512, 512)',
      ss_num_train_images: '6',
      ss_num_batches_per_epoch: '3',
      ss_total_batch_size: '6',
      ss_training_started_at: '1700000000.5',
      ss_training_finished_at: '1700000100.0',
      ss_learning_rate: '0.0001',
      ss_text_encoder_lr: 'None',
      ss_noise_offset: 'None',
      ss_min_snr_gamma: '5.0',
      ss_flip_aug: 'True',
      ss_shuffle_caption: 'False',
      ss_steps: '90',
      ss_network_dim: '8',
      'modelspec.title': 'Rex the “dog”',
      'modelspec.date': '2026-01-02T03:04:05',
      'modelspec.trigger_phrase': 'rexq dog',
      'modelspec.thumbnail': 'data:image/png;base64,AQID',
    });
    expect(JSON.parse(metadata['ss_network_args']!)).toEqual({ conv_dim: '2', conv_alpha: '1' });
    const frequency = JSON.parse(metadata['ss_tag_frequency']!) as Record<string, Record<string, number>>;
    expect(Object.values(frequency).map((tags) => Object.entries(tags))).toEqual([
      [
        ['rexq dog', 2],
        ['grass', 2],
      ],
      [
        ['rexq dog', 1],
        ['__proto__', 1],
      ],
    ]);
    expect(JSON.parse(metadata['ss_bucket_info']!)).toEqual({
      buckets: { 0: { resolution: [512, 512], count: 5 }, 1: { resolution: [448, 576], count: 1 } },
    });
    expect(Object.values(JSON.parse(metadata['ss_dataset_dirs']!) as object)).toEqual([
      { n_repeats: 1, img_count: 2 },
      { n_repeats: 4, img_count: 1 },
    ]);
    expect(JSON.parse(metadata['ss_datasets']!)).toHaveLength(1);
  });

  test('its hashes are those of sd-scripts, and do not depend on what was said beside the run', async () => {
    // More than a megabyte, else the older hash sees nothing.
    const large = randomAdapter(unetModuleList({ ...TINY, channels: [64, 128] }), { r: 32, target_modules: ALL }, 8);
    const file = await writeKohyaLora(large, 'sd1', { facts });
    const { metadata } = await parseSafetensors(folderOf(file), 'a.safetensors');
    const length = Number(new DataView(file.buffer).getBigUint64(0, true));
    const body = file.subarray(8 + length);
    expect(body.length).toBeGreaterThan(0x120000);
    const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
    expect(metadata['sshs_model_hash']).toBe(sha(body));
    // The copy that is hashed has the ss_ fields alone.
    const tensors = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Record<string, unknown>;
    const ss = Object.fromEntries(Object.entries(metadata).filter(([key]) => key.startsWith('ss_')));
    const header = new TextEncoder().encode(JSON.stringify({ ...tensors, __metadata__: ss }));
    const start = 8 + Math.ceil(header.length / 8) * 8;
    const legacy = body.subarray(0x100000 - start, 0x110000 - start);
    expect(legacy).toHaveLength(0x10000);
    expect(metadata['sshs_legacy_hash']).toBe(sha(legacy).slice(0, 8));
    const renamed = await read('sd1', { ...facts, description: 'Another' }, large);
    expect(renamed['sshs_model_hash']).toBe(metadata['sshs_model_hash']);
  });
});

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
