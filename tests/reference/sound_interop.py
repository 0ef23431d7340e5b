"""PEFT folders of MusicgenForConditionalGeneration as peft itself saves them, for us to read.

  sound_interop.py BASE OUT           writes OUT/inputs.safetensors, and for each way of saving OUT/<name>/ (the PEFT folder)
                                      and OUT/<name>.expected.safetensors (the decoder's logits with it)
  sound_interop.py BASE OUT --check   compares OUT/<name>.logits.safetensors, what we make of those folders, with them

With --check one JSON line each; exit status 1 where something does not agree.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import oracle
import sound_oracle
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

TOLERANCE = 5e-6
ATTENTION = ['q_proj', 'k_proj', 'v_proj', 'out_proj']

# What people save: the targets of musicgen-dreamboothing, embeddings kept beside (as peft's own setting has it), regular
# expressions, settings of single layers, weights in half precision, DoRA.
WAYS = {
    'dreamboothing': {
        'r': 3, 'lora_alpha': 3,
        'target_modules': ['enc_to_dec_proj', *ATTENTION, 'fc1', 'fc2', *(f'{part}.{k}' for part in ('lm_heads', 'embed_tokens') for k in range(4))],
    },
    'regular-expression': {'r': 2, 'lora_alpha': 5, 'target_modules': r'decoder\.model\.decoder\.layers\.\d+\.(self|encoder)_attn\.[qv]_proj'},
    'one-layer': {'r': 2, 'lora_alpha': 2, 'target_modules': [*ATTENTION, 'fc1'], 'layers_to_transform': [1], 'layers_pattern': 'layers'},
    'half-precision': {'r': 4, 'lora_alpha': 8, 'target_modules': ATTENTION},
    'patterns': {
        'r': 4, 'lora_alpha': 3, 'target_modules': [*ATTENTION, 'embed_tokens.2', 'lm_heads.0'], 'use_rslora': True,
        'rank_pattern': {r'.*\.encoder_attn\.k_proj': 6, 'embed_tokens.2': 2}, 'alpha_pattern': {'lm_heads.0': 7},
    },
    'dora': {'r': 2, 'lora_alpha': 4, 'target_modules': ['q_proj', 'fc2', 'enc_to_dec_proj'], 'use_dora': True},
}  # fmt: skip


def make_inputs(base, generator):
    config = sound_oracle.load_base(base, torch.float32).config
    codes = torch.randint(0, config.decoder.vocab_size + 1, (2, config.decoder.num_codebooks, 11), generator=generator)
    mask = torch.ones(2, 6, dtype=torch.int64)
    mask[1, 4:] = 0
    states = torch.randn(2, 6, config.text_encoder.d_model, generator=generator)
    return {'decoder_input_ids': codes, 'encoder_hidden_states': states, 'encoder_attention_mask': mask}


def save(base, folder, settings, in_half, generator):
    """The folder as save_pretrained writes it, nothing in it zero."""
    shutil.rmtree(folder, ignore_errors=True)
    with oracle.arithmetic(torch.float32):
        model = get_peft_model(sound_oracle.load_base(base, torch.float32), LoraConfig(**settings))
        with torch.no_grad():
            for name, p in sorted(oracle.adapter_tensors(model).items()):
                if 'magnitude' in name:
                    p.mul_(1.1)
                else:
                    p.copy_(torch.randn(p.shape, generator=generator) / p.shape[1] ** 0.5)
        if in_half:
            for p in oracle.adapter_tensors(model).values():
                p.data = p.data.to(torch.bfloat16)
        model.save_pretrained(folder)


def logits(base, folder, inputs):
    with oracle.arithmetic(torch.float64):
        model = sound_oracle.load_adapted(base, folder, torch.float64)
        return sound_oracle.run_component(model, 'decoder', inputs, torch.float64)['logits']


def write(base, out):
    generator = torch.Generator().manual_seed(9)
    out.mkdir(parents=True, exist_ok=True)
    inputs = make_inputs(base, generator)
    save_file(inputs, out / 'inputs.safetensors')
    for name, settings in WAYS.items():
        save(base, out / name, settings, name == 'half-precision', generator)
        save_file({'logits': logits(base, out / name, inputs).float().contiguous()}, out / f'{name}.expected.safetensors')
    print(json.dumps(list(WAYS)))


def check(out):
    agree = True
    for name in WAYS:
        expected, got = (load_file(out / f'{name}.{kind}.safetensors')['logits'] for kind in ('expected', 'logits'))
        error = oracle.relative_error(got, expected) if got.shape == expected.shape else float('inf')
        agree = agree and error <= TOLERANCE
        print(json.dumps({'way': name, 'logits_error': error, 'agrees': error <= TOLERANCE}))
    sys.exit(0 if agree else 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('base', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--check', action='store_true')
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.out.resolve())
    else:
        write(arguments.base.resolve(), arguments.out.resolve())


if __name__ == '__main__':
    main()
