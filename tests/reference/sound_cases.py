"""The cases of tests/fixtures/sound-*: random models of MusicGen's classes with awkward sizes.

A base: `text`, `audio` and `decoder` are what differs from transformers' defaults of T5Config, EncodecConfig and
MusicgenDecoderConfig, `stored` how weights lie in the file, `weight_norm` the storage form of the codec's convolutions,
`position_table` whether the file holds one besides, `frames` the lengths of what the codec is given to encode and to
decode, `code_margin` how clearly it must choose (relative to the terms of its distances), `generate` a prompt, the
decoder's steps, and whether the codes must vary. A case: `base` names one (the case of that name holds its folder),
`adapter` a peft LoraConfig, `recipe` what differs from RECIPE, `rows` the text's and the codes' length of each row of the
batch file.
"""

import math
import random

from cases import lora

ATTENTION = ['q_proj', 'k_proj', 'v_proj', 'out_proj']
FEED_FORWARD = ['fc1', 'fc2']

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
    'shuffle': False,
    'seed': 0,
}


def text(d_model, d_kv, heads, d_ff, layers, act, **more):
    return {
        'd_model': d_model, 'd_kv': d_kv, 'num_heads': heads, 'd_ff': d_ff, 'num_layers': layers, 'feed_forward_proj': act,
        'vocab_size': 151, **more,
    }


def audio(ratios, codebook_size, dim, filters, codebooks, rate, **more):
    """`codebooks` says how many are used at each bandwidth that the codec knows; encoding takes the first."""
    of_one = math.ceil(rate / math.prod(ratios)) * math.log2(codebook_size) / 1000
    return {
        'upsampling_ratios': ratios, 'codebook_size': codebook_size, 'hidden_size': dim, 'num_filters': filters, 'sampling_rate': rate,
        'target_bandwidths': [round((n + 0.1) * of_one, 4) for n in codebooks], 'audio_channels': 1, 'normalize': False,
        'use_causal_conv': False, 'use_conv_shortcut': False, **more,
    }


def decoder(hidden, heads, ffn, layers, codebooks, vocab, channels=1, **more):
    return {
        'hidden_size': hidden, 'num_attention_heads': heads, 'ffn_dim': ffn, 'num_hidden_layers': layers, 'num_codebooks': codebooks,
        'vocab_size': vocab, 'pad_token_id': vocab, 'bos_token_id': vocab, 'audio_channels': channels, 'max_position_embeddings': 256,
        **more,
    }


BASES = {
    'sound-mono': {
        'text': text(20, 8, 3, 37, 2, 'relu'),
        'audio': audio([5, 3, 2], 32, 10, 4, [4], 960),
        'decoder': decoder(24, 3, 50, 2, 4, 32),
        'stored': 'float32',
        'weight_norm': 'parametrizations',
        'code_margin': 2e-4,
        'long_text': 150,
        'frames': [9.3, 21],
        'generate': {'prompt': 'a slow waltz of soft bells, 90 bpm', 'steps': 22, 'varied': True},
        'texts': True,
        'seed': 301,
    },
    'sound-stereo': {
        'text': text(28, 6, 5, 45, 2, 'gated-gelu', relative_attention_num_buckets=14, relative_attention_max_distance=40),
        'audio': audio(
            [3, 4], 64, 9, 6, [4], 600, use_causal_conv=True, use_conv_shortcut=True, num_residual_layers=2, dilation_growth_rate=3,
            compress=3, kernel_size=5, last_kernel_size=3,
        ),
        'decoder': decoder(36, 3, 41, 2, 8, 64, channels=2),
        'stored': 'float32',
        'shards': 2,
        'weight_norm': 'weight_g',
        'code_margin': 2e-4,
        'long_text': 70,
        'frames': [7.5, 13],
        'generate': {'prompt': 'fast techno drums & deep bass', 'steps': 17, 'varied': True},
        'seed': 312,
    },
    'sound-f16': {
        'text': text(24, 5, 4, 30, 3, 'relu', relative_attention_max_distance=20),
        'audio': audio([2, 7], 16, 7, 4, [4, 6], 700, num_lstm_layers=1, residual_kernel_size=5),
        'decoder': decoder(24, 4, 33, 1, 4, 16),
        'stored': 'float16',
        'weight_norm': 'weight_g',
        'position_table': True,
        'start_in_decoder': True,
        'code_margin': 2e-4,
        'long_text': 33,
        'frames': [11.9, 5],
        'seed': 323,
    },
}


CASES = {
    'sound-mono': {
        'about': 'Attention and feed-forward, rows of several lengths, a row without words (as caption dropout leaves it), a batch that wraps around the end, warm-up and decay.',
        'base': 'sound-mono',
        'adapter': lora(3, 6, ATTENTION + FEED_FORWARD),
        'rows': [(9, 17), (0, 23), (5, 11)],
        'recipe': {'weight_decay': 0.1, 'lr_scheduler_type': 'linear', 'warmup_steps': 1},
        'seed': 401,
    },
    'sound-mono-heads': {
        'about': 'Heads, embeddings and the projection of the text states beside attention, rank-stabilised, patterns of ranks and alphas, accumulation 2 over three rows, a clip that bites.',
        'base': 'sound-mono',
        'adapter': lora(
            4, 3, [*ATTENTION, 'enc_to_dec_proj', *(f'lm_heads.{k}' for k in range(4)), *(f'embed_tokens.{k}' for k in range(4))],
            use_rslora=True,
            rank_pattern={'k_proj': 2, 'embed_tokens.1': 5, 'layers.1.self_attn.v_proj': 3},
            alpha_pattern={'lm_heads.2': 5, 'enc_to_dec_proj': 2},
        ),
        'rows': [(4, 19), (8, 8), (6, 14)],
        'recipe': {'gradient_accumulation_steps': 2, 'max_grad_norm': 0.05, 'lr_scheduler_type': 'cosine', 'max_steps': 3},
        'seed': 405,
    },
    'sound-stereo': {
        'about': 'Stereo: eight codebooks, left and right delayed together; accumulation 2 with rows of different lengths, each batch its own mean.',
        'base': 'sound-stereo',
        'adapter': lora(2, 4, ATTENTION + FEED_FORWARD),
        'rows': [(7, 12), (3, 21), (11, 16)],
        'recipe': {'gradient_accumulation_steps': 2, 'max_steps': 3},
        'seed': 403,
    },
    'sound-f16': {
        'about': 'Weights stored as f16, the text as wide as the decoder (no projection), DoRA, a single row a batch.',
        'base': 'sound-f16',
        'adapter': lora(3, 3, ['q_proj', 'v_proj', 'out_proj', 'fc1'], use_dora=True),
        'rows': [(6, 15), (2, 9)],
        'recipe': {'per_device_train_batch_size': 1, 'max_steps': 3},
        'seed': 414,
    },
}


def random_spec(channels, seed):
    """A base and a case of random sizes and settings for sound_random_case.py; the same seed gives the same case."""
    rng = random.Random(f'sound {channels} {seed}')
    per_channel = rng.choice([1, 2, 4])
    codebooks = per_channel * channels
    heads, head = rng.choice([1, 2, 3, 5]), rng.choice([4, 6, 8, 10, 12, 20, 32])
    hidden = heads * head
    d_model = hidden if rng.random() < 0.2 else 4 * rng.randint(3, 12)
    codes = 2 ** rng.randint(3, 8)
    ratios = [rng.randint(2, 6) for _ in range(rng.randint(1, 3))]
    rate = math.prod(ratios) * rng.randint(20, 50)
    filters = rng.choice([4, 6, 8])
    causal = rng.random() < 0.4
    base = {
        'text': text(
            d_model, rng.choice([4, 5, 8, 12, 16]), rng.randint(1, 5), rng.randint(12, 60), rng.randint(1, 3),
            rng.choice(['relu', 'gated-gelu']), relative_attention_num_buckets=rng.choice([8, 14, 32]),
            relative_attention_max_distance=rng.choice([20, 50, 128]),
        ),
        'audio': audio(
            ratios, codes, rng.randint(5, 20), filters, [per_channel], rate, use_causal_conv=causal, use_conv_shortcut=rng.random() < 0.5,
            num_residual_layers=rng.choice([1, 1, 2, 3]), dilation_growth_rate=rng.choice([2, 3]), compress=2,
            kernel_size=rng.choice([3, 5, 7]), last_kernel_size=rng.choice([3, 5, 7]), num_lstm_layers=rng.choice([1, 2, 2]),
        ),
        'decoder': decoder(hidden, heads, rng.randint(10, 90), rng.randint(1, 3), codebooks, codes, channels),
        'stored': rng.choice(['float32', 'float32', 'float16', 'bfloat16']),
        'shards': rng.choice([1, 1, 2]),
        'weight_norm': rng.choice(['parametrizations', 'weight_g']),
        'position_table': rng.random() < 0.3,
        'start_in_decoder': rng.random() < 0.3,
        'code_margin': 5e-5,
        'long_text': rng.randint(20, 160),
        'frames': [rng.uniform(3, 20), rng.randint(2, 20)],
        'generate': {'prompt': rng.choice(['slow bells in a minor key', 'fast drums, 120 bpm', 'a waltz']), 'steps': rng.randint(10, 24)},
        'seed': rng.randrange(2**31),
    }
    targets = rng.sample(ATTENTION, rng.randint(1, 4)) + rng.sample(FEED_FORWARD, rng.randint(0, 2))
    dora = rng.random() < 0.2
    if not dora and rng.random() < 0.5:
        more = [f'{part}.{k}' for part in ('lm_heads', 'embed_tokens') for k in range(codebooks)]
        targets += rng.sample(more, rng.randint(1, len(more)))
    if d_model != hidden and rng.random() < 0.5:
        targets.append('enc_to_dec_proj')
    r = rng.randint(1, 6)
    rslora = rng.random() < 0.3
    settings = lora(r, rng.randint(1, max(1, int(2 * (r**0.5 if rslora else r)))), sorted(targets), use_rslora=rslora, use_dora=dora)
    if rng.random() < 0.3:
        settings |= {'rank_pattern': {rng.choice(targets): rng.randint(1, 7)}, 'alpha_pattern': {rng.choice(targets): rng.randint(1, 5)}}
    rows = [(rng.randint(1, 14), rng.randint(per_channel + 2, 40)) for _ in range(rng.randint(1, 4))]
    if len(rows) > 1 and rng.random() < 0.4:
        rows[-1] = (0, rows[-1][1])
    case = {
        'about': f'random case with {channels} channel(s), {seed}',
        'base': 'base',
        'adapter': settings,
        'rows': rows,
        'recipe': {
            'max_steps': rng.randint(3, 4),
            'per_device_train_batch_size': rng.randint(1, min(2, len(rows))),
            'gradient_accumulation_steps': rng.randint(1, 2),
            'learning_rate': rng.choice([1e-3, 2e-3, 5e-3]),
            'weight_decay': rng.choice([0.0, 0.01, 0.1]),
            'max_grad_norm': rng.choice([0.05, 1.0, 100.0]),
            'lr_scheduler_type': rng.choice(['constant', 'linear', 'cosine']),
            'warmup_steps': rng.randint(0, 1),
        },
        'seed': rng.randrange(2**31),
    }
    return base, case
