"""The cases of tests/fixtures/look-*: random models of Stable Diffusion's classes with awkward sizes.

A base: `unet`, `vae`, `text_encoder` (and `text_encoder_2`) are what differs from diffusers' and transformers' defaults,
`scheduler` the class and its config, `stored` how weights lie in the files. A case: `base` names one (the case of that name
holds its folder), `adapter` a peft LoraConfig a component, `recipe` what differs from RECIPE, `batch` how rows are given.
"""

import math
import random

from cases import lora

ATTENTION = ['to_q', 'to_k', 'to_v', 'to_out.0']
FEED_FORWARD = ['ff.net.0.proj', 'ff.net.2']
CONVOLUTIONS = ['conv1', 'conv2', 'proj_in', 'proj_out', 'conv_shortcut', 'downsamplers.0.conv', 'upsamplers.0.conv', 'time_emb_proj']
TEXT = ['q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc1', 'fc2']
VOCABULARY = 534

RECIPE = {
    'max_steps': 4,
    'per_device_train_batch_size': 2,
    'gradient_accumulation_steps': 1,
    'learning_rate': 2e-3,
    'lr_scheduler_type': 'constant',
    'warmup_steps': 0,
    'weight_decay': 0.01,
    'adam_beta1': 0.9,
    'adam_beta2': 0.999,
    'adam_epsilon': 1e-8,
    'max_grad_norm': 1.0,
    'snr_gamma': 0,
    'shuffle': False,
    'seed': 0,
}

SD_SCHEDULE = {'beta_start': 0.00085, 'beta_end': 0.012, 'beta_schedule': 'scaled_linear', 'num_train_timesteps': 1000}


def scheduler(name, **more):
    return {'class': name, **SD_SCHEDULE, **more}


def clip(hidden, heads, layers, ffn, act, **more):
    return {
        'hidden_size': hidden, 'num_attention_heads': heads, 'num_hidden_layers': layers, 'intermediate_size': ffn, 'hidden_act': act,
        'vocab_size': VOCABULARY, 'max_position_embeddings': 77, 'bos_token_id': VOCABULARY - 2, 'eos_token_id': VOCABULARY - 1,
        'pad_token_id': VOCABULARY - 1, 'projection_dim': hidden, **more,
    }


def vae(channels, groups, layers=1, **more):
    n = len(channels)
    return {
        'block_out_channels': channels, 'norm_num_groups': groups, 'layers_per_block': layers, 'latent_channels': 4,
        'down_block_types': ['DownEncoderBlock2D'] * n, 'up_block_types': ['UpDecoderBlock2D'] * n, 'scaling_factor': 0.18215,
        'sample_size': 64, **more,
    }


def unet(channels, cross, heads, context, layers=1, **more):
    """`cross` says of each level whether it has transformers; `heads` is diffusers' attention_head_dim: a number of heads."""
    down = ['CrossAttnDownBlock2D' if c else 'DownBlock2D' for c in cross]
    up = ['CrossAttnUpBlock2D' if c else 'UpBlock2D' for c in reversed(cross)]
    return {
        'block_out_channels': channels, 'down_block_types': down, 'up_block_types': up, 'attention_head_dim': heads,
        'cross_attention_dim': context, 'layers_per_block': layers, 'norm_num_groups': 8, 'sample_size': 16, **more,
    }


BASES = {
    'look-sd1': {
        'unet': unet([16, 24, 16], [True, True, False], 2, 24),
        'vae': vae([8, 8, 12], 4),
        'text_encoder': clip(24, 2, 2, 37, 'quick_gelu', eos_token_id=2),
        'scheduler': scheduler(
            'PNDMScheduler', clip_sample=False, set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1, trained_betas=None
        ),
        'stored': 'float32',
        'size': [12, 20],
        'samplers': [['DDIMScheduler', {}], ['EulerDiscreteScheduler', {}], ['DPMSolverMultistepScheduler', {'use_karras_sigmas': True}]],
        'drawing': {'prompt': 'a photo of the red dog, and skies', 'negative_prompt': 'cat', 'scheduler': 'DPMSolverMultistepScheduler'},
        'seed': 101,
    },
    'look-sd1-f16': {
        'unet': unet([16, 16], [True, True], 2, 40, layers=2),
        'vae': vae([8, 16], 8, layers=2),
        'text_encoder': clip(40, 5, 1, 50, 'quick_gelu'),
        'scheduler': scheduler('DDIMScheduler', clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type='v_prediction'),
        'stored': 'float16',
        'old_names': True,
        'size': [10, 6],
        'samplers': [['EulerDiscreteScheduler', {}], ['DPMSolverMultistepScheduler', {}]],
        'seed': 112,
    },
    'look-sd2': {
        'unet': unet([24, 16], [True, True], [2, 2], 40, use_linear_projection=True),
        'vae': vae([8, 16], 4),
        'text_encoder': clip(40, 5, 2, 61, 'gelu'),
        'scheduler': scheduler(
            'DDIMScheduler', clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type='v_prediction',
            rescale_betas_zero_snr=True, timestep_spacing='trailing',
        ),
        'stored': 'bfloat16',
        'size': [6, 14],
        'samplers': [['DDIMScheduler', {}], ['EulerDiscreteScheduler', {}]],
        'seed': 123,
    },
    'look-sdxl': {
        'unet': unet(
            [16, 24], [False, True], [2, 2], 64, transformer_layers_per_block=[1, 2], use_linear_projection=True,
            addition_embed_type='text_time', addition_time_embed_dim=8, projection_class_embeddings_input_dim=6 * 8 + 32,
        ),
        'vae': vae([8, 8, 8, 8], 8, scaling_factor=0.13025, force_upcast=True),
        'text_encoder': clip(24, 3, 2, 43, 'quick_gelu', eos_token_id=2),
        'text_encoder_2': clip(40, 5, 3, 54, 'gelu', eos_token_id=2, projection_dim=32),
        'scheduler': scheduler(
            'EulerDiscreteScheduler', clip_sample=False, interpolation_type='linear', prediction_type='epsilon', sample_max_value=1.0,
            set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1, timestep_spacing='leading', trained_betas=None, use_karras_sigmas=False,
        ),
        'stored': 'float32',
        'size': [6, 8],
        'samplers': [['EulerDiscreteScheduler', {}], ['DPMSolverMultistepScheduler', {}]],
        # No negative prompt: SDXL's pipeline then tells the UNet zeros, not the encoders' empty text.
        'drawing': {'prompt': 'a black cat on the sand', 'scheduler': 'EulerDiscreteScheduler'},
        'seed': 114,
    },
}


CASES = {
    'look-sd1': {
        'about': 'Epsilon, attention and feed-forward, latents and text states given, a batch that wraps around the end, decay, a clip that bites.',
        'base': 'look-sd1',
        'adapter': {'unet': lora(3, 6, ATTENTION + FEED_FORWARD)},
        'batch': {'rows': 3, 'picture': 'latents', 'text': 'states', 'length': 11},
        'recipe': {'weight_decay': 0.1, 'max_grad_norm': 0.05, 'lr_scheduler_type': 'linear', 'warmup_steps': 1},
        'seed': 201,
    },
    'look-sd1-conv': {
        'about': 'LoRA on convolutions (3x3, 1x1, stride 2) and on the projection of the time embedding; pixels through the encoder with given noise, token ids through a frozen text encoder, min-SNR.',
        'base': 'look-sd1',
        'adapter': {'unet': lora(2, 2, CONVOLUTIONS)},
        'batch': {'rows': 2, 'picture': 'pixels', 'text': 'ids'},
        'recipe': {'snr_gamma': 5, 'max_steps': 3},
        'seed': 202,
    },
    'look-sd1-text': {
        'about': 'The text encoder trained beside the UNet with a rate of its own, accumulation 2 over five rows, min-SNR, cosine schedule.',
        'base': 'look-sd1',
        'adapter': {'unet': lora(3, 3, ATTENTION), 'text_encoder': lora(2, 4, TEXT)},
        'batch': {'rows': 5, 'picture': 'latents', 'text': 'ids'},
        'recipe': {
            'gradient_accumulation_steps': 2, 'snr_gamma': 5, 'train_text_encoder': True, 'text_encoder_lr': 5e-4,
            'lr_scheduler_type': 'cosine', 'warmup_steps': 1, 'max_steps': 4,
        },
        'seed': 203,
    },
    'look-sd1-mask': {
        'about': 'A masked loss with grey values, min-SNR, rank_pattern and alpha_pattern, rank-stabilised scaling.',
        'base': 'look-sd1',
        'adapter': {
            'unet': lora(
                4, 3, ATTENTION + FEED_FORWARD + ['proj_in', 'proj_out'],
                use_rslora=True,
                rank_pattern={'to_k': 7, 'down_blocks.0.attentions.0.proj_in': 2, 'ff.net.2': 3},
                alpha_pattern={'to_q': 5, 'mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj': 2},
            )
        },
        'batch': {'rows': 2, 'picture': 'latents', 'text': 'states', 'length': 9, 'mask': True},
        'recipe': {'snr_gamma': 5, 'max_steps': 3},
        'seed': 204,
    },
    'look-sd1-f16': {
        'about': 'Weights stored as f16 under the names of 2022, v prediction with min-SNR, a single row a batch.',
        'base': 'look-sd1-f16',
        'adapter': {'unet': lora(3, 2, ATTENTION + FEED_FORWARD)},
        'batch': {'rows': 3, 'picture': 'latents', 'text': 'states', 'length': 77},
        'recipe': {'snr_gamma': 5, 'per_device_train_batch_size': 1, 'gradient_accumulation_steps': 2, 'max_steps': 3},
        'seed': 215,
    },
    'look-sd2': {
        'about': 'Weights stored as bf16, linear projections, v prediction over a schedule rescaled to zero terminal SNR with the last timestep in the batch, DoRA.',
        'base': 'look-sd2',
        'adapter': {'unet': lora(3, 6, ATTENTION + FEED_FORWARD + ['proj_in', 'proj_out'], use_dora=True)},
        'batch': {'rows': 2, 'picture': 'pixels', 'text': 'ids', 'timesteps': [999, 412]},
        'recipe': {'max_steps': 3},
        'seed': 206,
    },
    'look-sdxl': {
        'about': 'SDXL: linear projections, two transformer blocks deep, size conditioning and a text summary given; min-SNR, accumulation 2 over three rows.',
        'base': 'look-sdxl',
        'adapter': {'unet': lora(3, 3, ATTENTION + FEED_FORWARD + ['proj_in', 'proj_out'])},
        'batch': {'rows': 3, 'picture': 'latents', 'text': 'states', 'length': 7},
        'recipe': {'snr_gamma': 5, 'gradient_accumulation_steps': 2, 'max_steps': 3},
        'seed': 207,
    },
    'look-sdxl-text': {
        'about': 'SDXL with both text encoders trained at the rate of the rest (the last layer of the first takes no part: its gradients are zero), pixels through the encoder, convolutions beside attention.',
        'base': 'look-sdxl',
        'adapter': {
            'unet': lora(2, 4, ATTENTION + ['conv1', 'conv_shortcut']),
            'text_encoder': lora(2, 2, ['q_proj', 'v_proj', 'fc1']),
            'text_encoder_2': lora(3, 6, ['k_proj', 'out_proj', 'fc2']),
        },
        'batch': {'rows': 2, 'picture': 'pixels', 'text': 'ids'},
        'recipe': {'max_steps': 3, 'train_text_encoder': True, 'text_encoder_lr': 2e-3, 'weight_decay': 0.0},
        'seed': 218,
    },
}


def random_spec(family, seed):
    """A base and a case of random sizes and settings for look_random_case.py; the same seed gives the same case."""
    rng = random.Random(f'{family} {seed}')
    groups = rng.choice([2, 4, 8])
    levels = rng.choice([2, 2, 3])
    heads = [rng.choice([1, 2, 3]) for _ in range(levels)]
    units = [math.lcm(groups, h) for h in heads]
    # Two channels a group at least: one alone forgets what the time adds to it, and has no gradient there.
    least = [max(math.ceil(2 * groups / unit), 8 // unit, 1) for unit in units]
    channels = [unit * rng.randint(low, max(low, 36 // unit)) for unit, low in zip(units, least)]
    cross = [rng.random() < 0.7 for _ in range(levels)]
    cross[rng.randrange(levels)] = True
    linear = family != 'sd1'
    stored = rng.choice(['float32', 'float32', 'float16', 'bfloat16'])
    text = lambda: (rng.choice([(24, 2), (24, 3), (40, 5), (36, 3), (16, 1)]), rng.randint(1, 3), rng.randint(20, 70))
    (hidden, text_heads), depth, ffn = text()
    act = 'gelu' if family == 'sd2' else 'quick_gelu'
    base = {
        'text_encoder': clip(hidden, text_heads, max(depth, 2 if family == 'sdxl' else 1), ffn, act, eos_token_id=rng.choice([2, VOCABULARY - 1])),
        'vae': vae([rng.choice([8, 16, 24]) for _ in range(rng.choice([2, 3]))], rng.choice([4, 8]), rng.choice([1, 2])),
        'stored': stored,
        'size': [rng.randint(5, 16), rng.randint(5, 16)],
        'seed': rng.randrange(2**31),
    }
    more, context = {}, hidden
    if family == 'sdxl':
        (hidden2, heads2), depth2, ffn2 = text()
        projection, time_dim = rng.choice([16, 28, 32]), rng.choice([4, 8, 12])
        base['text_encoder_2'] = clip(hidden2, heads2, max(2, depth2), ffn2, 'gelu', projection_dim=projection, eos_token_id=2)
        context = hidden + hidden2
        more = {
            'addition_embed_type': 'text_time', 'addition_time_embed_dim': time_dim,
            'projection_class_embeddings_input_dim': 6 * time_dim + projection,
            'transformer_layers_per_block': [rng.choice([1, 2, 3]) for _ in range(levels)],
        }
    base['unet'] = unet(channels, cross, heads, context, rng.choice([1, 2]), norm_num_groups=groups, use_linear_projection=linear, **more)
    prediction = rng.choice(['epsilon', 'v_prediction'])
    zero = prediction == 'v_prediction' and rng.random() < 0.4
    base['scheduler'] = scheduler(
        rng.choice(['DDIMScheduler', 'EulerDiscreteScheduler', 'PNDMScheduler']), prediction_type=prediction, steps_offset=1,
        **({'rescale_betas_zero_snr': True, 'timestep_spacing': 'trailing'} if zero else {}),
        **({} if zero else {'timestep_spacing': rng.choice(['leading', 'linspace', 'trailing'])}),
    )
    base['scheduler'] |= {'clip_sample': False, 'set_alpha_to_one': False}
    names = ['DDIMScheduler', 'DPMSolverMultistepScheduler'] + ([] if zero else ['EulerDiscreteScheduler'])
    name = rng.choice(names)
    base['samplers'] = [[name, {'use_karras_sigmas': rng.random() < 0.5} if name == 'DPMSolverMultistepScheduler' else {}]]
    base['few_parts'] = True
    with_text = rng.random() < 0.4
    # diffusers does not read DoRA on a text encoder as peft wrote it.
    dora = rng.random() < 0.2 and not with_text
    targets = list(ATTENTION) + (FEED_FORWARD if rng.random() < 0.7 else [])
    if linear and rng.random() < 0.5:
        targets += ['proj_in', 'proj_out']
    if not dora and rng.random() < 0.4:
        targets += rng.sample(CONVOLUTIONS, rng.randint(1, 4))
    r = rng.randint(1, 6)
    rslora = rng.random() < 0.3
    settings = lora(r, rng.randint(1, max(1, int(2 * (r**0.5 if rslora else r)))), sorted(set(targets)), use_rslora=rslora, use_dora=dora)
    if rng.random() < 0.3:
        settings |= {'rank_pattern': {rng.choice(ATTENTION): rng.randint(1, 7)}, 'alpha_pattern': {rng.choice(ATTENTION): rng.randint(1, 5)}}
    adapter = {'unet': settings}
    if with_text:
        for name in ('text_encoder', 'text_encoder_2'):
            if name in base:
                # diffusers reads no text encoder's adapter that has nothing in its attention.
                chosen = {rng.choice(TEXT[:4]), *rng.sample(TEXT, rng.randint(0, 5))}
                adapter[name] = lora(rng.randint(1, 4), 2, sorted(chosen))
    rows = rng.randint(1, 4)
    case = {
        'about': f'random case {family} {seed}',
        'base': 'base',
        'adapter': adapter,
        'batch': {
            'rows': rows,
            'picture': rng.choice(['latents', 'pixels']),
            'text': 'ids' if with_text else rng.choice(['ids', 'states']),
            'length': rng.randint(3, 30),
            'mask': rng.random() < 0.3,
        },
        'recipe': {
            'max_steps': rng.randint(2, 4),
            'per_device_train_batch_size': rng.randint(1, min(2, rows)),
            'gradient_accumulation_steps': rng.randint(1, 2),
            'snr_gamma': rng.choice([0, 1, 5]),
            'learning_rate': rng.choice([2e-4, 1e-3, 5e-3]),
            'weight_decay': rng.choice([0.0, 0.01, 0.1]),
            'max_grad_norm': rng.choice([0.05, 1.0, 100.0]),
            'lr_scheduler_type': rng.choice(['constant', 'linear', 'cosine']),
            'warmup_steps': rng.randint(0, 1),
            # torch neither decays what has no gradient (the last layer of SDXL's first text encoder) nor gives it one.
            **({'weight_decay': 0.0} if with_text and family == 'sdxl' else {}),
            **({'train_text_encoder': True, 'text_encoder_lr': rng.choice([1e-4, 1e-3])} if with_text else {}),
        },
        'seed': rng.randrange(2**31),
    }
    return base, case

