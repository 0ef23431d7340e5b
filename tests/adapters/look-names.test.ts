import { describe, expect, test } from 'vitest';
import { moduleOfDiffusersName, splitEnding } from '../../src/adapters/diffusers-lora.ts';
import { moduleOfKohyaName } from '../../src/adapters/kohya-names.ts';
import { kohyaName } from '../../src/adapters/look-families.ts';
import type { AdaptableModule } from '../../src/adapters/targets.ts';
import { SD15, SDXL, keyList, textModuleList, unetModuleList } from '../support/look-modules.ts';

const TOP = ['conv_in', 'conv_out', 'time_embedding.linear_1', 'time_embedding.linear_2'];
const weightShape = ({ inFeatures, outFeatures, kernel = [] as never }: AdaptableModule): number[] => [
  outFeatures,
  inFeatures,
  ...kernel,
];

describe('kohya’s names', () => {
  const sd15 = unetModuleList(SD15);
  const sdxl = unetModuleList(SDXL);

  test('are as many as sd-scripts has', () => {
    // 192 and 722 without the convolutions' extras, as sd-scripts prints them.
    const plain = (modules: AdaptableModule[]) => modules.filter(({ name }) => name.includes('.attentions.')).length;
    expect([plain(sd15), sd15.length, plain(sdxl), sdxl.length]).toEqual([192, 278, 722, 788]);
    expect(textModuleList('text_encoder', 12, 768)).toHaveLength(72);
  });

  test.each([
    [
      'unet.down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_out.0',
      'lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_out_0',
    ],
    ['unet.down_blocks.0.resnets.1.conv1', 'lora_unet_input_blocks_2_0_in_layers_2'],
    ['unet.down_blocks.1.downsamplers.0.conv', 'lora_unet_input_blocks_6_0_op'],
    ['unet.mid_block.attentions.0.proj_in', 'lora_unet_middle_block_1_proj_in'],
    ['unet.mid_block.resnets.1.time_emb_proj', 'lora_unet_middle_block_2_emb_layers_1'],
    ['unet.up_blocks.0.upsamplers.0.conv', 'lora_unet_output_blocks_2_2_conv'],
    ['unet.up_blocks.2.resnets.2.conv_shortcut', 'lora_unet_output_blocks_8_0_skip_connection'],
    [
      'unet.up_blocks.1.attentions.2.transformer_blocks.0.ff.net.0.proj',
      'lora_unet_output_blocks_5_1_transformer_blocks_0_ff_net_0_proj',
    ],
    ['unet.conv_in', 'lora_unet_input_blocks_0_0'],
    ['unet.conv_out', 'lora_unet_out_2'],
    ['unet.time_embedding.linear_2', 'lora_unet_time_embed_2'],
    ['unet.add_embedding.linear_1', 'lora_unet_label_emb_0_0'],
    ['text_encoder.text_model.encoder.layers.11.mlp.fc2', 'lora_te1_text_model_encoder_layers_11_mlp_fc2'],
    [
      'text_encoder_2.text_model.encoder.layers.31.self_attn.out_proj',
      'lora_te2_text_model_encoder_layers_31_self_attn_out_proj',
    ],
  ])('XL: %s is %s', (module, name) => {
    expect(kohyaName(module, 'sdxl')).toBe(name);
    expect(moduleOfKohyaName(name)).toBe(module);
  });

  test.each([
    [
      'unet.down_blocks.2.attentions.1.transformer_blocks.0.attn1.to_q',
      'lora_unet_down_blocks_2_attentions_1_transformer_blocks_0_attn1_to_q',
    ],
    ['unet.up_blocks.3.resnets.0.conv_shortcut', 'lora_unet_up_blocks_3_resnets_0_conv_shortcut'],
    ['unet.up_blocks.0.upsamplers.0.conv', 'lora_unet_up_blocks_0_upsamplers_0_conv'],
    [
      'text_encoder.text_model.encoder.layers.0.self_attn.q_proj',
      'lora_te_text_model_encoder_layers_0_self_attn_q_proj',
    ],
  ])('1 and 2: %s is %s', (module, name) => {
    expect(kohyaName(module, 'sd1')).toBe(name);
    expect(kohyaName(module, 'sd2')).toBe(name);
    expect(moduleOfKohyaName(name)).toBe(module);
  });

  test('are told back into modules, in either spelling of either base', () => {
    for (const modules of [sd15, sdxl]) {
      const all = [
        ...modules.map(({ name }) => name),
        ...TOP.map((name) => `unet.${name}`),
        'unet.add_embedding.linear_2',
      ];
      for (const family of ['sd1', 'sdxl'] as const) {
        const names = all.map((module) => kohyaName(module, family));
        expect(new Set(names).size).toBe(all.length);
        expect(names.map((name) => moduleOfKohyaName(name))).toEqual(all);
      }
    }
    // Without attention in a level its upsampler is the second part, not the third.
    expect(moduleOfKohyaName('lora_unet_output_blocks_2_1_conv')).toBe('unet.up_blocks.0.upsamplers.0.conv');
    expect(moduleOfKohyaName('lora_unet_input_blocks_3_1_proj_in', 1)).toBe('unet.down_blocks.1.attentions.0.proj_in');
  });

  test.each([
    'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn3_to_q',
    'lora_unet_down_blocks_0_resnets_0_constructor',
    'lora_unet_input_blocks_0_1_proj_in',
    'lora_unet_input_blocks_4_2_proj_in',
    'lora_unet_middle_block_1_in_layers_2',
    'lora_unet_double_blocks_0_img_attn_qkv',
    'lora_te_text_model_embeddings_token_embedding',
    'lora_te3_encoder_block_0_layer_0_SelfAttention_q',
    'unet.mid_block.attentions.0.proj_in',
  ])('%s is none', (name) => {
    expect(moduleOfKohyaName(name)).toBeUndefined();
  });

  if (keyList('keys_sd15_unet_diffusers.txt'))
    test.each([
      ['keys_sd15_unet_diffusers.txt', sd15, 'sd1'],
      ['keys_sdxl_unet_diffusers.txt', sdxl, 'sd1'],
      ['keys_sdxl_unet_kohya.txt', sdxl, 'sdxl'],
    ] as const)('agree with %s', (file, modules, family) => {
      const rows = keyList(file)!;
      const own = new Map(modules.map((module) => [kohyaName(module.name, family), module]));
      expect([...own.keys()].sort()).toEqual(rows.map(({ name }) => name).sort());
      for (const { name, shape } of rows) {
        expect(weightShape(own.get(name)!), name).toEqual(shape);
        expect(moduleOfKohyaName(name)).toBe(own.get(name)!.name);
      }
    });
});

describe('names in diffusers’ files', () => {
  const q = 'unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q';
  const out = 'unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0';
  const text = 'text_encoder.text_model.encoder.layers.3.self_attn.q_proj';
  test.each([
    [`${q}.lora_A.weight`, q, 'A'],
    [`${q}.lora_B.default.weight`, q, 'B'],
    [`${q}.lora.down.weight`, q, 'A'],
    [`${q}.lora_magnitude_vector`, q, 'magnitude'],
    ['unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.up.weight', q, 'B'],
    ['down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.up.weight', q, 'B'],
    ['unet.base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight', q, 'A'],
    ['mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_out_lora.down.weight', out, 'A'],
    ['diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_out.0.lora_A.weight', out, 'A'],
    ['unet.conv_in.lora_A.weight', 'unet.conv_in', 'A'],
    [`${text}.lora_linear_layer.down.weight`, text, 'A'],
    ['text_encoder.encoder.layers.3.self_attn.q_proj.lora_B.weight', text, 'B'],
    ['text_encoder.text_model.encoder.layers.3.self_attn.to_q_lora.down.weight', text, 'A'],
    [
      'text_encoder_2.text_model.encoder.layers.3.mlp.fc1.lora_A.weight',
      'text_encoder_2.text_model.encoder.layers.3.mlp.fc1',
      'A',
    ],
    ['text_encoder_2.text_projection.lora_A.weight', 'text_encoder_2.text_projection', 'A'],
    [`${q}.alpha`, q, 'alpha'],
  ])('%s', (name, module, part) => {
    const ending = splitEnding(name)!;
    expect([moduleOfDiffusersName(ending.owner), ending.part]).toEqual([module, part]);
  });

  test('of other models are none', () => {
    for (const name of [
      'transformer.blocks.0.attn.to_q',
      'unet.encoder.layers.0.mlp.fc1',
      'diffusion_model.double_blocks.0.x',
      'vae.decoder.conv_in',
    ]) {
      expect(moduleOfDiffusersName(name), name).toBeUndefined();
    }
    expect(splitEnding('unet.conv_in.weight')).toBeUndefined();
  });
});
