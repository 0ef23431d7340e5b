"""Writes a random model of MusicGen's classes as the hub lays it out: config.json, generation_config.json, weights in one
checkpoint, and a unigram tokenizer of T5's kind, made here from a few captions.
"""

import json
import math
import shutil
from collections import Counter

import oracle
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    EncodecConfig,
    EncodecFeatureExtractor,
    GenerationConfig,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    T5Config,
    T5Tokenizer,
)

DTYPES = {'float32': torch.float32, 'float16': torch.float16, 'bfloat16': torch.bfloat16}
SENTINELS = 6

CAPTIONS = [
    'a slow waltz of soft bells in a minor key, 90 bpm', 'fast techno drums and deep bass, 140 bpm', 'calm piano with strings in D minor',
    'a bright dance of flutes and plucked strings', 'the deep drone of an organ, slow and dark', 'upbeat guitar, hand drums, 120 bpm, happy',
    'soft pads and bells, slow, in a major key', 'an old music box plays a sad waltz', 'heavy drums & distorted bass (loud)',
    'minimal techno: 128 bpm, dry claps', 'a march for brass and drums', 'dreamy synth pads, no drums', "it's a blues in E, slow",
]  # fmt: skip


def randomise(model, generator):
    """Weights large enough that attention chooses, norms away from 1, biases away from 0, codebooks as wide as what they code."""
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=generator)
            if name.endswith('weight.original0'):
                continue  # of original1, below
            if 'norm' in name and name.endswith('weight'):
                p.copy_(1 + 0.25 * noise)
            elif 'bias' in name and 'attention' not in name:
                p.copy_(0.1 * noise)
            else:
                p.copy_(noise * size_of(model, name, p))
        for name, p in model.named_parameters():
            if name.endswith('weight.original0'):
                rows = model.get_parameter(name[:-1] + '1')
                noise = torch.randn(p.shape, generator=generator)
                p.copy_(rows.flatten(1).norm(dim=1)[:, None, None] * (1 + 0.3 * torch.tanh(noise)))
        fill_codebooks(model, generator)


def size_of(model, name, p):
    """The standard deviation of a weight."""
    if name == 'text_encoder.shared.weight' or 'relative_attention_bias' in name:
        return 1.0
    if 'embed_tokens' in name:
        return 1.0
    if name.startswith('text_encoder') and name.endswith('SelfAttention.q.weight'):
        return 1.3 / math.sqrt(p.shape[1] * model.config.text_encoder.d_kv)  # T5 does not scale its scores
    if name.endswith('weight.original1') and isinstance(model.get_submodule(name.split('.parametrizations')[0]), torch.nn.ConvTranspose1d):
        return 1.5 / math.sqrt(2 * p.shape[0])  # its kernel is two strides long, so two taps meet in a sample
    if 'lstm' in name:
        return 0.8 / math.sqrt(p.shape[1])
    gain = 1.3 if 'q_proj' in name or 'k_proj' in name or 'audio_encoder' in name or 'lm_heads' in name else 1.0
    return gain / math.sqrt(p[0].numel())


def fill_codebooks(model, generator):
    """Each codebook spans what the one before it left over."""
    codec = model.audio_encoder
    hop = math.prod(codec.config.upsampling_ratios)
    left = codec.encoder(0.5 * torch.randn(4, codec.config.audio_channels, 60 * hop, generator=generator))
    for layer in codec.quantizer.layers:
        flat = left.transpose(1, 2).flatten(0, 1)
        size = layer.codebook.embed.shape[0]
        chosen = flat[torch.randint(0, flat.shape[0], (size,), generator=generator)]
        layer.codebook.embed.copy_(chosen + 0.5 * flat.std() * torch.randn(chosen.shape, generator=generator))
        layer.codebook.embed_avg.copy_(layer.codebook.embed * 2)
        layer.codebook.cluster_size.fill_(2)
        left = left - layer.decode(layer.encode(left))
    # Sounds that a WAV file can hold.
    last = codec.decoder.layers[-1].conv
    codes = torch.randint(0, codec.config.codebook_size, (1, 2, len(codec.quantizer.layers), 60), generator=generator)
    factor = 0.3 / codec.decode(codes, audio_scales=[None]).audio_values.std()
    last.parametrizations.weight.original0.mul_(factor)
    last.bias.mul_(factor)


def make_pieces(count):
    """The pieces of a unigram vocabulary with their scores: every letter, and what occurs most in the words of CAPTIONS.

    (tokenizers' own trainer gives another vocabulary each time.)
    """
    words = ['▁' + word for caption in CAPTIONS for word in caption.split()]
    found = Counter(word[i:j] for word in words for i in range(len(word)) for j in range(i + 1, min(i + 8, len(word)) + 1))
    letters = sorted(piece for piece in found if len(piece) == 1)
    longer = sorted((piece for piece in found if len(piece) > 1), key=lambda piece: (-found[piece] * (len(piece) - 1), piece))
    chosen = letters + longer[: count - len(letters)]
    total = sum(found[piece] for piece in chosen)
    scores = [(piece, round(math.log(found[piece] / total), 4)) for piece in chosen]
    return sorted(scores, key=lambda piece: (-piece[1], piece[0]))


def make_tokenizer():
    """A T5Tokenizer: pad 0, end 1, unknown 2, the pieces by score, sentinels last."""
    special = [('<pad>', 0.0), ('</s>', 0.0), ('<unk>', 0.0)]
    pieces = special + make_pieces(136) + [(f'<extra_id_{i}>', 0.0) for i in reversed(range(SENTINELS))]
    return T5Tokenizer(vocab=pieces, extra_ids=SENTINELS, model_max_length=512)


def make_model(spec):
    """The classes with the sizes of a base, its configs as MusicGen's are."""
    tokens = spec['decoder']['vocab_size']
    config = MusicgenConfig(
        text_encoder=T5Config(**spec['text']).to_dict(),
        audio_encoder=EncodecConfig(**spec['audio']).to_dict(),
        decoder=MusicgenDecoderConfig(**spec['decoder']).to_dict(),
    )
    if spec.get('start_in_decoder'):
        config.decoder.decoder_start_token_id = tokens
    model = MusicgenForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        bos_token_id=tokens, pad_token_id=tokens, decoder_start_token_id=tokens, do_sample=True, guidance_scale=3.0, top_k=12, max_length=64
    )
    return model


def rewrite(folder, change):
    """Every weight file's tensors under other names, or with more of them; the index of shards follows."""
    placed = {}
    for path in sorted(folder.glob('*.safetensors')):
        tensors = change(load_file(path))
        save_file(dict(sorted(tensors.items())), path, metadata={'format': 'pt'})
        placed |= {name: path.name for name in tensors}
    index = folder / 'model.safetensors.index.json'
    if index.exists():
        about = json.loads(index.read_text())
        about['weight_map'] = dict(sorted(placed.items()))
        index.write_text(json.dumps(about, indent=2) + '\n')


def with_old_weight_norm(tensors):
    """weight_g and weight_v, as files made before parametrizations have them."""
    old = {'.parametrizations.weight.original0': '.weight_g', '.parametrizations.weight.original1': '.weight_v'}
    rename = lambda name: next((name.replace(new, before) for new, before in old.items() if new in name), name)
    return {rename(name): value for name, value in tensors.items()}


def write_base(folder, spec):
    """A model folder from a base of sound_cases."""
    generator = torch.Generator().manual_seed(spec['seed'])
    dtype = DTYPES[spec.get('stored', 'float32')]
    shutil.rmtree(folder, ignore_errors=True)
    with oracle.arithmetic(torch.float32):
        model = make_model(spec)
        randomise(model, generator)
        positions = model.decoder.model.decoder.embed_positions.weights.to(dtype)
        model.to(dtype)
        size = sum(p.numel() * p.element_size() for p in model.parameters())
        model.save_pretrained(folder, max_shard_size=2 * size if spec.get('shards', 1) == 1 else int(size * 0.7))
    if spec['weight_norm'] == 'weight_g':
        rewrite(folder, with_old_weight_norm)
    if spec.get('position_table'):
        rewrite(folder, lambda tensors: {**tensors, 'decoder.model.decoder.embed_positions.weights': positions.contiguous()})
    tokenizer = make_tokenizer()
    if len(tokenizer) > spec['text']['vocab_size']:
        raise AssertionError(f'{len(tokenizer)} tokens')
    tokenizer.save_pretrained(folder)
    codec = model.config.audio_encoder
    EncodecFeatureExtractor(feature_size=codec.audio_channels, sampling_rate=codec.sampling_rate).save_pretrained(folder)
    for path in folder.rglob('*.json'):
        text = path.read_text()
        path.write_text(text if text.endswith('\n') else text + '\n')
