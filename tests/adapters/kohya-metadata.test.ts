import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { writeKohyaLora } from '../../src/adapters/kohya-lora.ts';
import type { LookFacts } from '../../src/adapters/kohya-metadata.ts';
import type { Adapter } from '../../src/adapters/peft.ts';
import { parseSafetensors } from '../../src/models/files/safetensors.ts';
import { randomAdapter, unetModuleList } from '../support/look-modules.ts';
import { ALL, ATTENTION, TINY, folderOf, modules, modulesXL } from './look-adapters.ts';

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
