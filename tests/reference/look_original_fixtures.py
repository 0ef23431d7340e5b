"""Writes tests/fixtures/look-original-names.json: for small models of Stable Diffusion 1's and SDXL's shape, which tensor of a
one-file checkpoint every tensor of today's diffusers and transformers classes comes from. Names of the originals are made
here as their authors' classes number them; what becomes of them is diffusers' own conversion.

    python tests/reference/look_original_fixtures.py
"""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

OUT = Path(__file__).resolve().parent.parent / 'fixtures' / 'look-original-names.json'
UNET = 'model.diffusion_model.'

SD1 = {
    'unet': {
        'block_out_channels': [4, 4, 8, 8], 'layers_per_block': 2, 'attention_head_dim': 2, 'cross_attention_dim': 12, 'norm_num_groups': 2,
        'sample_size': 8,
    },
    'vae': {
        'block_out_channels': [2, 4, 4, 4], 'layers_per_block': 2, 'norm_num_groups': 2, 'down_block_types': ['DownEncoderBlock2D'] * 4,
        'up_block_types': ['UpDecoderBlock2D'] * 4,
    },
    'text_encoder': {'hidden_size': 12, 'intermediate_size': 20, 'num_hidden_layers': 2, 'num_attention_heads': 2, 'vocab_size': 30, 'max_position_embeddings': 7},
}
SDXL = {
    'unet': {
        'block_out_channels': [4, 4, 8], 'layers_per_block': 2, 'attention_head_dim': [1, 2, 2], 'cross_attention_dim': 20, 'norm_num_groups': 2,
        'down_block_types': ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
        'up_block_types': ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'], 'transformer_layers_per_block': [1, 2, 3],
        'use_linear_projection': True, 'addition_embed_type': 'text_time', 'addition_time_embed_dim': 4,
        'projection_class_embeddings_input_dim': 6 * 4 + 6, 'sample_size': 8,
    },
    'vae': SD1['vae'],
    'text_encoder': SD1['text_encoder'],
    'text_encoder_2': {
        'hidden_size': 8, 'intermediate_size': 14, 'num_hidden_layers': 2, 'num_attention_heads': 2, 'vocab_size': 30,
        'max_position_embeddings': 7, 'hidden_act': 'gelu', 'projection_dim': 6,
    },
}

RESNET = ['in_layers.0', 'in_layers.2', 'emb_layers.1', 'out_layers.0', 'out_layers.3']


def both(*names):
    return [f'{name}.{end}' for name in names for end in ('weight', 'bias')]


def residual(place, shortcut):
    return both(*(f'{place}.{part}' for part in RESNET + (['skip_connection'] if shortcut else [])))


def spatial_transformer(place, depth):
    names = both(f'{place}.norm', f'{place}.proj_in', f'{place}.proj_out')
    for i in range(depth):
        block = f'{place}.transformer_blocks.{i}'
        names += both(*(f'{block}.{part}' for part in ('norm1', 'norm2', 'norm3', 'ff.net.0.proj', 'ff.net.2')))
        for attention in ('attn1', 'attn2'):
            names += [f'{block}.{attention}.to_{x}.weight' for x in 'qkv'] + both(f'{block}.{attention}.to_out.0')
    return names


def unet_names(config):
    """As openaimodel.UNetModel builds its lists of blocks."""
    channels, layers = config['block_out_channels'], config['layers_per_block']
    levels = len(channels)
    down = config.get('down_block_types', ['CrossAttnDownBlock2D'] * (levels - 1) + ['DownBlock2D'])
    depths = config.get('transformer_layers_per_block', [1] * levels)
    attends = [kind.startswith('Cross') for kind in down]
    names = both('time_embed.0', 'time_embed.2', 'input_blocks.0.0', 'out.0', 'out.2')
    if config.get('addition_embed_type'):
        names += both('label_emb.0.0', 'label_emb.0.2')
    skips, block, width = [channels[0]], 1, channels[0]
    for level, count in enumerate(channels):
        for _ in range(layers):
            names += residual(f'input_blocks.{block}.0', width != count)
            width = count
            if attends[level]:
                names += spatial_transformer(f'input_blocks.{block}.1', depths[level])
            skips.append(width)
            block += 1
        if level < levels - 1:
            names += both(f'input_blocks.{block}.0.op')
            skips.append(width)
            block += 1
    names += residual('middle_block.0', False) + spatial_transformer('middle_block.1', depths[-1]) + residual('middle_block.2', False)
    block = 0
    for level in reversed(range(levels)):
        for i in range(layers + 1):
            skips.pop()
            names += residual(f'output_blocks.{block}.0', True)
            width = channels[level]
            if attends[level]:
                names += spatial_transformer(f'output_blocks.{block}.1', depths[level])
            if level > 0 and i == layers:
                names += both(f'output_blocks.{block}.{2 if attends[level] else 1}.conv')
            block += 1
    return [UNET + name for name in names]


def vae_names(config):
    channels, layers = config['block_out_channels'], config['layers_per_block']
    levels = len(channels)
    block = lambda place, shortcut: both(*(f'{place}.{x}' for x in ['norm1', 'conv1', 'norm2', 'conv2'] + (['nin_shortcut'] if shortcut else [])))
    names = both('quant_conv', 'post_quant_conv')
    for side in ('encoder', 'decoder'):
        names += both(f'{side}.conv_in', f'{side}.norm_out', f'{side}.conv_out')
        names += block(f'{side}.mid.block_1', False) + block(f'{side}.mid.block_2', False)
        names += both(*(f'{side}.mid.attn_1.{x}' for x in ('norm', 'q', 'k', 'v', 'proj_out')))
    width = channels[0]
    for level in range(levels):
        for i in range(layers):
            names += block(f'encoder.down.{level}.block.{i}', width != channels[level])
            width = channels[level]
        if level < levels - 1:
            names += both(f'encoder.down.{level}.downsample.conv')
    for level in reversed(range(levels)):
        for i in range(layers + 1):
            names += block(f'decoder.up.{level}.block.{i}', width != channels[level])
            width = channels[level]
        if level > 0:
            names += both(f'decoder.up.{level}.upsample.conv')
    return ['first_stage_model.' + name for name in names]


def clip_names(prefix, config):
    names = [f'{prefix}embeddings.token_embedding.weight', f'{prefix}embeddings.position_embedding.weight', *both(f'{prefix}final_layer_norm')]
    for i in range(config['num_hidden_layers']):
        layer = f'{prefix}encoder.layers.{i}'
        names += both(*(f'{layer}.{x}' for x in ('layer_norm1', 'layer_norm2', 'mlp.fc1', 'mlp.fc2')))
        names += both(*(f'{layer}.self_attn.{x}_proj' for x in ('q', 'k', 'v', 'out')))
    return names


def open_clip_names(prefix, config):
    names = [f'{prefix}token_embedding.weight', f'{prefix}positional_embedding', f'{prefix}text_projection', *both(f'{prefix}ln_final')]
    for i in range(config['num_hidden_layers']):
        layer = f'{prefix}transformer.resblocks.{i}'
        names += both(*(f'{layer}.{x}' for x in ('ln_1', 'ln_2', 'mlp.c_fc', 'mlp.c_proj', 'attn.out_proj')))
        names += [f'{layer}.attn.in_proj_weight', f'{layer}.attn.in_proj_bias']
    return names


def marks(names, hidden=0):
    """Each tensor's elements say which it is, and, for those that are cut into parts, in which part they lie."""
    tensors = {}
    for i, name in enumerate(names):
        if 'in_proj_' in name:
            part = torch.arange(3).repeat_interleave(hidden)
            tensors[name] = (10 * i + part)[:, None].expand(-1, hidden).clone() if name.endswith('weight') else 10 * i + part
        elif name.endswith('text_projection'):
            tensors[name] = 10 * i + torch.tensor([[0, 1, 2]] * hidden)
        else:
            tensors[name] = torch.full((2, 1, 1, 1), 10 * i)
    return tensors


def sources(names, converted, component):
    """[new name, original name] for every tensor, with which third and whether it is turned where that is so. An ending that
    weight and bias have in common is left out."""
    rows = set()
    for new, tensor in converted.items():
        first = int(tensor.flatten()[0])
        original = names[first // 10]
        part = first % 10 if 'in_proj_' in original else None
        turned = original.endswith('text_projection') and tensor.shape[0] == 3
        if 'in_proj_' in original and len(set(tensor.flatten().tolist())) != 1:
            raise AssertionError(new)
        for end in ('.weight', '.bias'):
            if part is None and new.endswith(end) and original.endswith(end):
                new, original = new.removesuffix(end), original.removesuffix(end)
        rows.add((f'{component}.{new}', original, *([part, turned] if part is not None or turned else [])))
    return sorted(rows)


def check(name, converted, model):
    if set(converted) != set(model.state_dict()):
        raise AssertionError((name, sorted(set(converted) ^ set(model.state_dict()))[:5]))


def case(spec):
    rows = []
    names = unet_names(spec['unet'])
    unet = UNet2DConditionModel(**spec['unet'])
    converted = convert_ldm_unet_checkpoint(marks(names), dict(unet.config))
    check('unet', converted, unet)
    rows += sources(names, converted, 'unet')

    names = vae_names(spec['vae'])
    vae = AutoencoderKL(**spec['vae'])
    converted = convert_ldm_vae_checkpoint(marks(names), dict(vae.config))
    check('vae', converted, vae)
    rows += sources(names, converted, 'vae')

    prefix = 'conditioner.embedders.0.transformer.' if 'text_encoder_2' in spec else 'cond_stage_model.transformer.'
    names = clip_names(f'{prefix}text_model.', spec['text_encoder'])
    rows += sources(names, convert_ldm_clip_checkpoint(marks(names)), 'text_encoder')

    if 'text_encoder_2' in spec:
        config = spec['text_encoder_2']
        prefix = 'conditioner.embedders.1.model.'
        names = open_clip_names(prefix, config)
        model = CLIPTextModelWithProjection(CLIPTextConfig(**config))
        tensors = marks(names, config['hidden_size'])
        converted = convert_open_clip_checkpoint(model, {k: v for k, v in tensors.items() if not k.endswith('text_projection')}, prefix=prefix)
        projection = convert_open_clip_checkpoint(model, {f'{prefix}text_projection': tensors[f'{prefix}text_projection']}, prefix=prefix)
        converted |= projection
        check('text_encoder_2', converted, model)
        rows += sources(names, converted, 'text_encoder_2')
    return {'configs': {k: {**v, 'model_type': 'clip_text_model'} if k.startswith('text') else v for k, v in spec.items()}, 'tensors': rows}


def main():
    result = {'sd1': case(SD1), 'sdxl': case(SDXL)}
    OUT.write_text(json.dumps(result, separators=(',', ':')) + '\n')
    print(OUT, OUT.stat().st_size, [len(c['tensors']) for c in result.values()])


if __name__ == '__main__':
    main()
