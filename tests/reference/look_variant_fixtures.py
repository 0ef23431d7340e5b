"""Writes tests/fixtures/look-variants.json: what diffusers' and transformers' classes give for settings that real models
seldom have. Weights and inputs are not stored: both sides compute them from names (value()).

    python tests/reference/look_variant_fixtures.py
"""

import json
import math
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from oracle import arithmetic
from transformers import CLIPTextConfig, CLIPTextModel

OUT = Path(__file__).resolve().parent.parent / 'fixtures' / 'look-variants.json'

UNETS = {
    'text in both attentions, no middle, odd kernels': {
        'block_out_channels': [4, 8, 4], 'down_block_types': ['CrossAttnDownBlock2D', 'DownBlock2D', 'CrossAttnDownBlock2D'],
        'up_block_types': ['CrossAttnUpBlock2D', 'UpBlock2D', 'CrossAttnUpBlock2D'], 'layers_per_block': [2, 1, 1],
        'attention_head_dim': [1, 2, 2], 'transformer_layers_per_block': [1, 1, 2], 'only_cross_attention': [True, False, False],
        'cross_attention_dim': 6, 'norm_num_groups': 2, 'norm_eps': 1e-3, 'downsample_padding': 0, 'conv_in_kernel': 5, 'conv_out_kernel': 1,
        'flip_sin_to_cos': False, 'freq_shift': 1, 'center_input_sample': True, 'time_embedding_dim': 10, 'mid_block_type': None,
    },
    'attention on the way up alone, scaled middle': {
        'block_out_channels': [4, 8], 'down_block_types': ['DownBlock2D', 'DownBlock2D'],
        'up_block_types': ['CrossAttnUpBlock2D', 'UpBlock2D'], 'layers_per_block': 1, 'attention_head_dim': 2, 'cross_attention_dim': 6,
        'norm_num_groups': 4, 'mid_block_scale_factor': 1.7, 'only_cross_attention': True, 'act_fn': 'swish', 'sample_size': [4, 8],
    },
}
VAES = {
    'no convolutions around the latents': {
        'block_out_channels': [4, 20], 'norm_num_groups': 2, 'layers_per_block': 1, 'latent_channels': 3, 'use_quant_conv': False,
        'use_post_quant_conv': False, 'down_block_types': ['DownEncoderBlock2D'] * 2, 'up_block_types': ['UpDecoderBlock2D'] * 2,
    },
    'no attention': {
        'block_out_channels': [4, 4, 8], 'norm_num_groups': 2, 'layers_per_block': 2, 'latent_channels': 4, 'mid_block_add_attention': False,
        'down_block_types': ['DownEncoderBlock2D'] * 3, 'up_block_types': ['UpDecoderBlock2D'] * 3,
    },
}
TEXTS = {
    'tanh': {
        'hidden_size': 12, 'intermediate_size': 18, 'num_hidden_layers': 3, 'num_attention_heads': 3, 'hidden_act': 'gelu_pytorch_tanh',
        'vocab_size': 20, 'max_position_embeddings': 9, 'layer_norm_eps': 1e-4, 'eos_token_id': 19, 'bos_token_id': 18, 'pad_token_id': 19,
    },
}


def value(name, count):
    """Numbers between -1 and 1 that look random, from a name alone."""
    seed = sum((i + 1) * ord(c) for i, c in enumerate(name)) % 997
    return [math.sin(seed + 0.37 * i + 0.011 * i * i) for i in range(count)]


def tensor(name, *shape):
    return torch.tensor(value(name, math.prod(shape)), dtype=torch.float32).double().reshape(shape)


def fill(model):
    norms = {f'{n}.weight' for n, m in model.named_modules() if isinstance(m, (torch.nn.GroupNorm, torch.nn.LayerNorm))}
    for name, p in model.named_parameters():
        x = tensor(name, *p.shape)
        scale = 1 if 'embedding.weight' in name else 1.4 / math.sqrt(p[0].numel()) if p.ndim > 1 else 0.2
        p.data = ((1 + 0.25 * x) if name in norms else scale * x).float().double()
    return model.double().eval()


def flat(x):
    return [float(f'{v:.10g}') for v in x.detach().flatten().tolist()]


def unet(config):
    model = fill(UNet2DConditionModel(**config))
    y = model(tensor('sample', 2, 4, 4, 8), torch.tensor([999.0, 3.25]), tensor('context', 2, 5, config['cross_attention_dim'])).sample
    return {'config': config, 'output': flat(y)}


def vae(config):
    model = fill(AutoencoderKL(**config))
    moments = model.encoder(tensor('pixels', 2, 3, 7, 9))
    if model.quant_conv is not None:
        moments = model.quant_conv(moments)
    decoded = model.decode(tensor('latents', 2, config['latent_channels'], 2, 3)).sample
    return {'config': config, 'moments': flat(moments), 'decoded': flat(decoded)}


def text(config):
    model = fill(CLIPTextModel(CLIPTextConfig(**config, attn_implementation='eager')))
    out = model(torch.tensor([[18, 3, 5, 19, 19], [18, 1, 0, 7, 19]]), output_hidden_states=True)
    return {'config': {**config, 'model_type': 'clip_text_model'}, 'last': flat(out.last_hidden_state), 'penultimate': flat(out.hidden_states[-2])}


def main():
    with arithmetic(torch.float64), torch.no_grad():
        result = {
            'unets': {name: unet(config) for name, config in UNETS.items()},
            'vaes': {name: vae(config) for name, config in VAES.items()},
            'texts': {name: text(config) for name, config in TEXTS.items()},
        }
    OUT.write_text(json.dumps(result, separators=(',', ':')) + '\n')
    print(OUT, OUT.stat().st_size)


if __name__ == '__main__':
    main()
