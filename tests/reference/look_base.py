"""Writes a random model of Stable Diffusion's classes as diffusers saves it: every component's folder and model_index.json."""

import json
import logging
import math
import shutil
import warnings

import diffusers
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

import oracle
from look_cases import VOCABULARY

DTYPES = {'float32': torch.float32, 'float16': torch.float16, 'bfloat16': torch.bfloat16}
MERGES = [('t', 'h'), ('th', 'e</w>'), ('a', 'n'), ('an', 'd</w>'), ('i', 'n'), ('r', 'e'), ('re', 'd</w>'), ('d', 'o'), ('do', 'g</w>')]
MERGES += [('c', 'a'), ('ca', 't</w>'), ('p', 'h'), ('ph', 'o'), ('o', 'f</w>'), ('l', 'i'), ('s', 'k'), ('sk', 's</w>'), ('e', 'r</w>'), ('o', 'n</w>'), ('b', 'l')]

logging.getLogger('diffusers').setLevel(logging.ERROR)


def randomise(model, generator):
    """Weights large enough that attention is not uniform, norms away from 1, biases away from 0."""
    norms = {m for _, m in model.named_modules() if isinstance(m, (torch.nn.GroupNorm, torch.nn.LayerNorm))}
    of_norms = {id(p) for m in norms for p in m.parameters()}
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=generator)
            if id(p) in of_norms:
                p.copy_(1 + 0.25 * noise if name.endswith('weight') else 0.2 * noise)
            elif name.endswith('bias'):
                p.copy_(0.2 * noise)
            elif 'embedding.weight' in name:
                p.copy_(0.7 * noise)
            else:
                p.copy_(noise * gain(model, name) / math.sqrt(p[0].numel()))


def gain(model, name):
    """Attention that chooses; and a UNet that says little, or drawing with it would magnify rounding as real ones do not."""
    if 'attn2.to_k' in name:  # SDXL's text states come without a last norm
        return 0.7
    if any(part in name for part in ('to_q', 'to_k', 'q_proj', 'k_proj')):
        return 1.3
    return 0.3 if isinstance(model, UNet2DConditionModel) and name.startswith('conv_out') else 1.0


def make_tokenizer():
    """CLIP's own, over bytes and a few merges."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    tokens = letters + [c + '</w>' for c in letters] + [a + b for a, b in MERGES]
    tokens = tokens[: VOCABULARY - 2] + ['<|startoftext|>', '<|endoftext|>']
    if len(tokens) != VOCABULARY or len(set(tokens)) != VOCABULARY:
        raise AssertionError(f'{len(tokens)} tokens')
    return CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=MERGES, model_max_length=77), tokens


def write_old_tokenizer(folder, tokens):
    """vocab.json and merges.txt, as most folders on the hub have them."""
    shutil.rmtree(folder)
    folder.mkdir()
    write = lambda name, text: (folder / name).write_text(text)
    write('vocab.json', json.dumps({t: i for i, t in enumerate(tokens)}))
    write('merges.txt', '#version: 0.2\n' + ''.join(f'{a} {b}\n' for a, b in MERGES))
    special = lambda text: {'__type': 'AddedToken', 'content': text, 'lstrip': False, 'normalized': True, 'rstrip': False, 'single_word': False}
    config = {
        'add_prefix_space': False, 'bos_token': special('<|startoftext|>'), 'do_lower_case': True, 'eos_token': special('<|endoftext|>'),
        'errors': 'replace', 'model_max_length': 77, 'pad_token': '<|endoftext|>', 'tokenizer_class': 'CLIPTokenizer',
        'unk_token': special('<|endoftext|>'),
    }
    write('tokenizer_config.json', json.dumps(config, indent=2) + '\n')
    check = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    if check('the red dog').input_ids[0] != VOCABULARY - 2:
        raise AssertionError('the tokenizer does not load')


def rename(path, change):
    """The file's tensors under other names."""
    tensors = {}
    for name, value in load_file(path).items():
        tensors.update(change(name, value))
    save_file(dict(sorted(tensors.items())), path, metadata={'format': 'pt'})


def use_old_names(folder):
    """As folders of 2022 have them: the VAE's attention under query, key, value, proj_attn; CLIP with text_model and position_ids."""
    old = {'.to_q.': '.query.', '.to_k.': '.key.', '.to_v.': '.value.', '.to_out.0.': '.proj_attn.'}

    def of_vae(name, value):
        for new, before in old.items():
            name = name.replace(new, before)
        return {name: value}

    rename(folder / 'vae/diffusion_pytorch_model.safetensors', of_vae)
    path = folder / 'text_encoder/model.safetensors'
    rename(path, lambda name, value: {name if name.startswith('text_model.') else f'text_model.{name}': value})
    tensors = load_file(path)
    tensors['text_model.embeddings.position_ids'] = torch.arange(77)[None]
    save_file(tensors, path, metadata={'format': 'pt'})


def write_base(folder, spec):
    """A diffusers folder from a base of look_cases."""
    generator = torch.Generator().manual_seed(spec['seed'])
    dtype = DTYPES[spec.get('stored', 'float32')]
    scheduler = dict(spec['scheduler'])
    is_xl = 'text_encoder_2' in spec
    with oracle.arithmetic(torch.float32), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        parts = {
            'unet': UNet2DConditionModel(**spec['unet']),
            'vae': AutoencoderKL(**spec['vae']),
            'text_encoder': CLIPTextModel(CLIPTextConfig(**spec['text_encoder'])),
        }
        if is_xl:
            parts['text_encoder_2'] = CLIPTextModelWithProjection(CLIPTextConfig(**spec['text_encoder_2']))
        for model in parts.values():
            randomise(model, generator)
            model.to(dtype)
        scheduler = getattr(diffusers, scheduler.pop('class')).from_config(scheduler)
        tokenizer, tokens = make_tokenizer()
        if is_xl:
            pipe = StableDiffusionXLPipeline(
                **parts, tokenizer=tokenizer, tokenizer_2=tokenizer, scheduler=scheduler, feature_extractor=None, add_watermarker=False
            )
        else:
            pipe = StableDiffusionPipeline(
                **parts, tokenizer=tokenizer, scheduler=scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False
            )
        shutil.rmtree(folder, ignore_errors=True)
        pipe.save_pretrained(folder)
    if is_xl:
        shutil.rmtree(folder / 'tokenizer_2')
        shutil.copytree(folder / 'tokenizer', folder / 'tokenizer_2')
    else:
        write_old_tokenizer(folder / 'tokenizer', tokens)
    if spec.get('old_names'):
        use_old_names(folder)
    for path in folder.rglob('*.json'):
        text = path.read_text()
        path.write_text(text if text.endswith('\n') else text + '\n')
