"""The cases of tests/fixtures: random models with awkward sizes, each covering something the others do not.

A case: `model` is a transformers config (its model_type first), `adapter` a peft LoraConfig, `recipe` what differs
from RECIPE, `rows` the lengths of the batch file's rows (right-padded to `width`).
"""

import random

ALL_SEVEN = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']

RECIPE = {
    'max_steps': 6,
    'per_device_train_batch_size': 2,
    'gradient_accumulation_steps': 1,
    'learning_rate': 2e-3,
    'lr_scheduler_type': 'linear',
    'warmup_steps': 2,
    'weight_decay': 0.01,
    'adam_beta1': 0.9,
    'adam_beta2': 0.999,
    'adam_epsilon': 1e-8,
    'max_grad_norm': 1.0,
    'max_length': 512,
    'packing': False,
    'shuffle': False,
    'seed': 0,
}


def llama(hidden, heads, kv, head_dim, ffn, vocab, layers, **more):
    return {
        'model_type': 'llama',
        'hidden_size': hidden,
        'num_attention_heads': heads,
        'num_key_value_heads': kv,
        'head_dim': head_dim,
        'intermediate_size': ffn,
        'vocab_size': vocab,
        'num_hidden_layers': layers,
        'max_position_embeddings': 512,
        'rms_norm_eps': 1e-5,
        'rope_theta': 10000.0,
        'tie_word_embeddings': False,
        'attention_bias': False,
        'mlp_bias': False,
        'bos_token_id': 1,
        'eos_token_id': 2,
        'pad_token_id': 0,
        **more,
    }


def qwen2(hidden, heads, kv, ffn, vocab, layers, **more):
    """Qwen2's head size is hidden / heads."""
    config = llama(hidden, heads, kv, 0, ffn, vocab, layers, model_type='qwen2', rope_theta=1e6, rms_norm_eps=1e-6, **more)
    return {k: v for k, v in config.items() if k not in ('head_dim', 'attention_bias', 'mlp_bias')}


def qwen3(hidden, heads, kv, head_dim, ffn, vocab, layers, **more):
    config = llama(hidden, heads, kv, head_dim, ffn, vocab, layers, model_type='qwen3', rope_theta=1e6, rms_norm_eps=1e-6, **more)
    return {k: v for k, v in config.items() if k != 'mlp_bias'}


def lora(r, alpha, targets=ALL_SEVEN, **more):
    return {'r': r, 'lora_alpha': alpha, 'target_modules': targets, **more}


CASES = {
    'llama-gqa': {
        'about': 'Five query heads on one key-value head, untied head, all seven targets, linear schedule with warm-up; config.json as older transformers wrote it; a tokenizer; greedy generation.',
        'seed': 11,
        'model': llama(40, 5, 1, 8, 52, 97, 3),
        'legacy_config': True,
        'adapter': lora(3, 6),
        'rows': [17, 11, 5, 14],
        'width': 19,
        'tokenizer': True,
        'generate': True,
    },
    'llama-rope3': {
        'about': 'llama3 rope scaling in all its three regimes, tied head, constant schedule, a batch that wraps around the end.',
        'seed': 12,
        'model': llama(
            36, 3, 3, 16, 50, 71, 2,
            tie_word_embeddings=True,
            rope_theta=100.0,
            rope_scaling={
                'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,
                'original_max_position_embeddings': 32,
            },
        ),
        'legacy_config': True,
        'adapter': lora(4, 4),
        'recipe': {'lr_scheduler_type': 'constant', 'warmup_steps': 0, 'per_device_train_batch_size': 2, 'max_steps': 5},
        'rows': [70, 43, 61],
        'width': 70,
    },
    'llama-bias': {
        'about': 'Biases in attention and feed-forward, head size that is not hidden / heads, sizes that are no multiples of four, constant schedule with warm-up, a single row a batch.',
        'seed': 13,
        'model': llama(30, 3, 1, 6, 37, 61, 2, attention_bias=True, mlp_bias=True),
        'adapter': lora(5, 7, ['q_proj', 'o_proj', 'up_proj', 'down_proj']),
        'recipe': {'lr_scheduler_type': 'constant_with_warmup', 'warmup_steps': 3, 'per_device_train_batch_size': 1, 'weight_decay': 0.0},
        'rows': [13, 9, 2, 7],
        'width': 13,
    },
    'qwen2': {
        'about': 'Biases on q, k and v, tied head, accumulation 2 of batches of 2 over five rows, cosine schedule with warm-up, strong decay, a clip that bites, Adam settings that are not the defaults.',
        'seed': 21,
        'model': qwen2(48, 6, 2, 59, 83, 3, tie_word_embeddings=True),
        'adapter': lora(3, 6),
        'recipe': {
            'gradient_accumulation_steps': 2, 'lr_scheduler_type': 'cosine', 'warmup_steps': 2, 'weight_decay': 0.1,
            'max_grad_norm': 0.05, 'learning_rate': 5e-3, 'adam_beta1': 0.85, 'adam_beta2': 0.95, 'adam_epsilon': 1e-4, 'max_steps': 7,
        },
        'rows': [12, 21, 6, 15, 18],
        'width': 21,
    },
    'qwen3': {
        'about': 'Norms over each head of q and k, head size 16 that is not hidden / heads, two shards, q_proj and v_proj only; greedy generation.',
        'seed': 31,
        'model': qwen3(44, 4, 2, 16, 58, 89, 2),
        'shards': 2,
        'adapter': lora(4, 8, ['q_proj', 'v_proj']),
        'rows': [16, 10, 22, 7],
        'width': 22,
        'generate': True,
    },
    'qwen3-bf16': {
        'about': 'Weights stored as bf16, tied head, sizes that are no multiples of four.',
        'seed': 32,
        'model': qwen3(34, 3, 1, 10, 45, 67, 2, tie_word_embeddings=True),
        'stored': 'bfloat16',
        'adapter': lora(3, 6),
        'rows': [15, 8, 11, 19],
        'width': 20,
    },
    'llama-f16': {
        'about': 'Weights stored as f16.',
        'seed': 14,
        'model': llama(42, 6, 3, 8, 55, 79, 2),
        'stored': 'float16',
        'adapter': lora(2, 8, ['q_proj', 'k_proj', 'v_proj', 'o_proj']),
        'rows': [14, 20, 9, 12],
        'width': 20,
    },
    'llama-patterns': {
        'about': 'rank_pattern, alpha_pattern (plain names, a layer, a regular expression) and rank-stabilised scaling, no clipping.',
        'seed': 15,
        'model': llama(40, 4, 2, 10, 46, 73, 3),
        'adapter': lora(
            4, 6,
            use_rslora=True,
            rank_pattern={'k_proj': 7, 'layers.1.mlp.down_proj': 2, r'layers\.[02]\.self_attn\.v_proj': 9},
            alpha_pattern={'q_proj': 3, 'layers.2.mlp.gate_proj': 11, r'layers\.[02]\.self_attn\.v_proj': 5},
        ),
        'recipe': {'max_grad_norm': 1000.0},
        'rows': [12, 16, 9, 7],
        'width': 17,
    },
    'qwen2-dora': {
        'about': 'DoRA: trained magnitudes, their norm held constant in the gradient, beside biases.',
        'seed': 22,
        'model': qwen2(40, 5, 1, 47, 69, 2),
        'adapter': lora(3, 6, use_dora=True),
        'rows': [13, 17, 8, 11],
        'width': 18,
    },
    'llama-long': {
        'about': 'Rows of about 200 tokens and a vocabulary of 1031: beyond one tile of attention and of the head.',
        'seed': 16,
        'model': llama(27, 3, 1, 12, 39, 1031, 2, tie_word_embeddings=True),
        'adapter': lora(3, 6),
        'recipe': {'max_steps': 4},
        'rows': [203, 131, 197],
        'width': 205,
        'logit_positions': 24,
    },
    'qwen3-packing': {
        'about': 'Rows of very different lengths in one step, all with a label at position 0 that predicts nothing; packed.json has the same rows unpadded, to be laid end to end.',
        'seed': 33,
        'model': qwen3(36, 4, 2, 12, 41, 63, 2),
        'adapter': lora(3, 6),
        'recipe': {'per_device_train_batch_size': 4, 'gradient_accumulation_steps': 2},
        'rows': [31, 3, 1, 17, 2, 26, 9, 12],
        'width': 31,
        'packed': True,
    },
}


def random_spec(arch, seed, storage=None, dora=None):
    """A case of random sizes and settings for random_case.py; the same seed gives the same case."""
    rng = random.Random(f'{arch} {seed}')
    kv = rng.choice([1, 1, 2, 3])
    heads = kv * rng.choice([1, 2, 3, 5])
    head_dim = 2 * rng.choice([rng.randint(2, 12), rng.randint(2, 12), rng.randint(16, 40), 64])
    if arch == 'qwen2':
        head_dim = min(head_dim, max(4, 200 // heads // 2 * 2))  # its hidden size is heads * head_dim
    hidden = {'llama': heads * rng.randint(3, 30), 'qwen2': heads * head_dim, 'qwen3': rng.randint(12, 150)}[arch]
    ffn, vocab, layers = rng.randint(10, 190), rng.choice([rng.randint(20, 300), rng.randint(500, 2100)]), rng.randint(1, 4)
    more = {
        'tie_word_embeddings': rng.random() < 0.5,
        'rope_theta': rng.choice([100.0, 10000.0, 500000.0, 1e6]),
        'rms_norm_eps': rng.choice([1e-5, 1e-6]),
    }
    if arch == 'llama':
        if rng.random() < 0.4:
            more['rope_scaling'] = {
                'rope_type': 'llama3', 'factor': rng.choice([4.0, 8.0, 32.0]), 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,
                'original_max_position_embeddings': rng.choice([16, 32, 64]),
            }
        more |= {'attention_bias': rng.random() < 0.3, 'mlp_bias': rng.random() < 0.3}
        model = llama(hidden, heads, kv, head_dim, ffn, vocab, layers)
    elif arch == 'qwen2':
        model = qwen2(hidden, heads, kv, ffn, vocab, layers)
    else:
        more['attention_bias'] = rng.random() < 0.2
        model = qwen3(hidden, heads, kv, head_dim, ffn, vocab, layers)
    targets = ALL_SEVEN if rng.random() < 0.5 else sorted(rng.sample(ALL_SEVEN, rng.randint(1, 6)))
    r = rng.randint(1, 17)
    rslora = rng.random() < 0.3
    most = max(1, int(3 * (r**0.5 if rslora else r)))  # a scale of at most 3
    adapter = lora(r, rng.randint(1, most), targets, use_rslora=rslora)
    adapter['use_dora'] = rng.random() < 0.2 if dora is None else dora
    if rng.random() < 0.3:
        adapter['rank_pattern'] = {rng.choice(targets): rng.randint(1, 11)}
        adapter['alpha_pattern'] = {rng.choice(targets): rng.randint(1, most)}
    longest = rng.choice([rng.randint(4, 40), rng.randint(60, 170)])
    rows = [longest] + [rng.randint(2, longest) for _ in range(rng.randint(1, 5))]
    rng.shuffle(rows)
    steps = rng.randint(3, 8)
    return {
        'about': f'random case {arch} {seed}',
        'seed': rng.randrange(2**31),
        'model': {**model, **more},
        'legacy_config': rng.random() < 0.5,
        'stored': storage or rng.choice(['float32', 'float32', 'bfloat16', 'float16']),
        'shards': rng.choice([1, 1, 2]),
        'adapter': adapter,
        'recipe': {
            'max_steps': steps,
            'warmup_steps': rng.randint(0, 2),
            'lr_scheduler_type': rng.choice(['constant_with_warmup', 'linear', 'cosine']),
            'per_device_train_batch_size': rng.randint(1, len(rows)),
            'gradient_accumulation_steps': rng.randint(1, 3),
            'learning_rate': rng.choice([2e-4, 1e-3, 5e-3]),
            'weight_decay': rng.choice([0.0, 0.01, 0.1]),
            'max_grad_norm': rng.choice([0.1, 1.0, 100.0]),
        },
        'rows': rows,
        'width': longest + rng.randint(0, 5),
        'logit_positions': 400,
    }
