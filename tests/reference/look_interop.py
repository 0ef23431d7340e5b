"""Our LoRA files in real diffusers, and its files for us to read. A case folder holds case.json (kind, the configs of the
tiny models, PEFT's settings of each component), raw.safetensors (A and B under <component>.<module>.lora_A.weight), and our
diffusers.safetensors and kohya.safetensors.

  look_interop.py FOLDER...

loads both files with load_lora_weights, and compares what the UNet and the text encoders give with peft's own application
of A and B. Then writes what diffusers writes: saved.safetensors (save_lora_weights with metadata), script.safetensors (as
its training scripts do), old.safetensors (attention processors) and flat.safetensors (its own conversion to kohya's names).

Prints one JSON line a folder; exit status 1 where something does not agree.
"""

import argparse
import copy
import json
import logging
import sys
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_kohya
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

TOLERANCE = 2e-6


def build(case):
    torch.manual_seed(0)
    models = {'unet': UNet2DConditionModel.from_config(case['unet'])}
    models['text_encoder'] = CLIPTextModel(CLIPTextConfig(**case['text_encoder']))
    if case['kind'] == 'sdxl':
        models['text_encoder_2'] = CLIPTextModelWithProjection(CLIPTextConfig(**case['text_encoder_2']))
    return {name: model.eval() for name, model in models.items()}


def pipeline(case, models):
    common = dict(vae=None, tokenizer=None, scheduler=DDIMScheduler(), feature_extractor=None, **models)
    if case['kind'] == 'sdxl':
        return StableDiffusionXLPipeline(tokenizer_2=None, **common)
    return StableDiffusionPipeline(safety_checker=None, requires_safety_checker=False, **common)


@torch.no_grad()
def outputs(case, models):
    """What each component gives on fixed inputs."""
    generator = torch.Generator().manual_seed(1)
    config = models['unet'].config
    ids = torch.randint(0, case['text_encoder']['vocab_size'], (2, 7), generator=generator)
    result = {'text_encoder': models['text_encoder'](ids).last_hidden_state}
    sample = torch.randn(2, config.in_channels, 8, 12, generator=generator)
    context = torch.randn(2, 7, config.cross_attention_dim, generator=generator)
    added = None
    if case['kind'] == 'sdxl':
        second = models['text_encoder_2'](ids, output_hidden_states=True)
        result['text_encoder_2'] = torch.cat([second.hidden_states[-2].flatten(), second.text_embeds.flatten()])
        width = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        added = {'text_embeds': torch.randn(2, width, generator=generator), 'time_ids': torch.tensor([[8.0, 12, 0, 0, 8, 12]] * 2)}
    result['unet'] = models['unet'](sample, torch.tensor([3, 700]), context, added_cond_kwargs=added).sample
    return result


def own_name(component, model, name):
    """transformers 5.18 left the text_model level out of CLIPTextModel; adapter files keep it."""
    if component != 'unet' and not hasattr(model, 'text_model'):
        return name.removeprefix('text_model.')
    return name


def by_peft(case, raw, models):
    """The adapter put on with peft itself, by the settings that it was made with."""
    models = copy.deepcopy(models)
    for component, settings in case['peft'].items():
        model = models[component]
        strip = lambda table: {own_name(component, model, name): value for name, value in table.items()}
        config = LoraConfig(**{
            **settings,
            'target_modules': [own_name(component, model, name) for name in settings['target_modules']],
            'rank_pattern': strip(settings['rank_pattern']),
            'alpha_pattern': strip(settings['alpha_pattern']),
        })
        inject_adapter_in_model(config, model)
        state = {own_name(component, model, name.removeprefix(f'{component}.')): value for name, value in raw.items() if name.startswith(f'{component}.')}
        loaded = set_peft_model_state_dict(model, state)
        assert not loaded.unexpected_keys, loaded.unexpected_keys
        assert len(state) == sum('lora_' in name for name, _ in model.named_parameters()), component
    return models


class Warnings(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


def error(ours, theirs):
    return float((ours - theirs).norm() / theirs.norm())


def check(folder, case):
    raw = load_file(folder / 'raw.safetensors')
    base = build(case)
    plain = outputs(case, base)
    expected = outputs(case, by_peft(case, raw, base))
    warnings = Warnings()
    logging.getLogger('diffusers').addHandler(warnings)
    result = {'changes': {name: error(plain[name], value) for name, value in expected.items()}, 'errors': {}}
    for file in case['files']:
        pipe = pipeline(case, copy.deepcopy(base))
        pipe.load_lora_weights(str(folder), weight_name=file)
        models = {name: getattr(pipe, name) for name in base}
        got = outputs(case, models)
        result['errors'][file] = {name: error(got[name], value) for name, value in expected.items()}
    # A component without layers in the file is told of, and may be.
    result['warnings'] = [text for text in warnings.texts if 'safe to ignore' not in text]
    result['agrees'] = not result['warnings'] and all(e <= TOLERANCE for errors in result['errors'].values() for e in errors.values())
    return result


def save(folder, case):
    raw = load_file(folder / 'raw.safetensors')
    models = by_peft(case, raw, build(case))
    states, metadata = {}, {}
    for component, settings in case['peft'].items():
        model = models[component]
        states[component] = get_peft_model_state_dict(model)
        metadata[component] = model.peft_config['default'].to_dict()
    kind = StableDiffusionXLPipeline if case['kind'] == 'sdxl' else StableDiffusionPipeline
    layers = lambda convert: {f'{component}_lora_layers': convert(state) for component, state in states.items()}
    kind.save_lora_weights(
        folder, weight_name='saved.safetensors', **layers(dict),
        **{f'{component}_lora_adapter_metadata': value for component, value in metadata.items()},
    )
    kind.save_lora_weights(folder, weight_name='script.safetensors', **layers(convert_state_dict_to_diffusers))

    flat = {}
    for component, state in states.items():
        flat |= convert_state_dict_to_kohya({f'{component}.{name}': value for name, value in state.items()})
    save_file({name: value.contiguous() for name, value in flat.items()}, folder / 'flat.safetensors', {'format': 'pt'})

    old = {}
    for name, value in states['unet'].items():
        for projection in ('to_q', 'to_k', 'to_v', 'to_out.0'):
            for part, new in (('lora_A', 'down'), ('lora_B', 'up')):
                for attention in ('attn1', 'attn2'):
                    before, after = f'{attention}.{projection}.{part}.weight', f'{attention}.processor.{projection.removesuffix(".0")}_lora.{new}.weight'
                    if name.endswith(before):
                        old[f'unet.{name.removesuffix(before)}{after}'] = value.contiguous()
    save_file(old, folder / 'old.safetensors', {'format': 'pt'})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folders', type=Path, nargs='+')
    agree = True
    for folder in parser.parse_args().folders:
        case = json.loads((folder / 'case.json').read_text())
        result = check(folder, case)
        save(folder, case)
        agree = agree and result['agrees']
        print(json.dumps(result))
    sys.exit(0 if agree else 1)


if __name__ == '__main__':
    main()
