"""The reference for looks: diffusers, transformers and peft run in true float64 (or in their own float32).

Everything here calls the real libraries, the pipelines for drawing included; the only thing of ours is the loop around
them, which does what diffusers' train_text_to_image_lora.py and its SDXL twin do on a prepared batch file.
"""

import json
import logging
from pathlib import Path

import oracle
import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.training_utils import compute_snr
from diffusers.utils import logging as diffusers_logging
from peft import LoraConfig
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

diffusers_logging.set_verbosity_error()
diffusers_logging.disable_progress_bar()
logging.getLogger('diffusers').setLevel(logging.ERROR)

SAMPLERS = {c.__name__: c for c in (DDIMScheduler, EulerDiscreteScheduler, DPMSolverMultistepScheduler)}
COMPONENTS = ('unet', 'text_encoder', 'text_encoder_2', 'vae')
ADAPTER_FILE = 'pytorch_lora_weights.safetensors'


def load_component(folder, name, dtype):
    """One component of a diffusers folder whose every parameter and buffer is `dtype`. Call inside oracle.arithmetic()."""
    path = str(Path(folder) / name)
    common = {'local_files_only': True}
    if name == 'unet':
        model = UNet2DConditionModel.from_pretrained(path, torch_dtype=dtype, **common)
    elif name == 'vae':
        model = AutoencoderKL.from_pretrained(path, torch_dtype=dtype, **common)
    else:
        kind = CLIPTextModelWithProjection if name == 'text_encoder_2' else CLIPTextModel
        model = kind.from_pretrained(path, dtype=dtype, attn_implementation='eager', **common)
    for key, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and tensor.dtype != dtype:
            raise AssertionError(f'{name}: {key} is {tensor.dtype}, not {dtype}')
    check_stored(model, oracle.read_weights(path), name, dtype)
    return model.requires_grad_(False).eval()


def check_stored(model, stored, name, dtype):
    """The file's values, whatever their older names, are the model's."""
    stored = {k: v for k, v in stored.items() if v.is_floating_point()}
    values = dict(model.named_parameters())
    if len(stored) != len(values):
        raise AssertionError(f'{name}: the file holds {len(stored)} tensors, the model {len(values)}')
    of_size = lambda tensors: sorted((t.numel(), float(t.detach().double().sum())) for t in tensors)
    for (n, a), (m, b) in zip(of_size(stored.values()), of_size(values.values()), strict=True):
        if n != m or abs(a - b) > 1e-9 * max(1.0, abs(a)):
            raise AssertionError(f'{name}: the model is not what the file holds')


def load_models(folder, dtype):
    """Every component that the folder has, by name."""
    return {n: load_component(folder, n, dtype) for n in COMPONENTS if (Path(folder) / n).exists()}


# Adapters. A tensor's name in the file: its component, PEFT's own name, and CLIP's text_model level whether or not
# transformers has it (5.18 has not).


def file_name(component, model, parameter_name):
    name = oracle.file_name(parameter_name)
    if component != 'unet' and not hasattr(model, 'text_model'):
        name = f'text_model.{name}'
    return f'{component}.{name}'


def adapter_tensors(models):
    """Name in the adapter file -> trainable parameter, in name order."""
    named = {
        file_name(c, models[c], n): p for c in models if c != 'vae' for n, p in models[c].named_parameters() if p.requires_grad
    }
    return dict(sorted(named.items()))


def adapter_configs(path, models):
    """peft's settings of each component from a diffusers file's metadata."""
    with safe_open(path, 'pt') as file:
        metadata = json.loads((file.metadata() or {})['lora_adapter_metadata'])
    configs = {}
    for component in models:
        fields = {k.removeprefix(f'{component}.'): v for k, v in metadata.items() if k.startswith(f'{component}.')}
        if fields:
            known = {f for f in LoraConfig.__dataclass_fields__}
            configs[component] = {k: v for k, v in fields.items() if k in known and k not in ('peft_type', 'auto_mapping', 'task_type')}
    return configs


def add_adapter(models, configs):
    """Puts peft's layers on the components, trainable."""
    for component, settings in configs.items():
        models[component].add_adapter(LoraConfig(**{'lora_dropout': 0.0, 'bias': 'none', **settings}))


def load_adapted(folder, adapter, dtype):
    """Every component, with the adapter of a diffusers file on it. Call inside oracle.arithmetic()."""
    models = load_models(folder, dtype)
    path = Path(adapter) / ADAPTER_FILE if Path(adapter).is_dir() else Path(adapter)
    stored = load_file(path)
    add_adapter(models, adapter_configs(path, models))
    tensors = adapter_tensors(models)
    if set(tensors) != set(stored):
        raise AssertionError(f'adapter names differ: {sorted(set(tensors) ^ set(stored))[:4]}')
    with torch.no_grad():
        for name, parameter in tensors.items():
            if parameter.dtype != dtype:
                raise AssertionError(f'{name} is {parameter.dtype}')
            parameter.copy_(stored[name])
    return models


# What the components give, under the names of the headless runner.


def as_dtype(tensors, dtype):
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in tensors.items()}


def encode_text(models, ids, ids_2=None):
    """What the UNet is told: states, and for SDXL the second encoder's summary."""
    first = models['text_encoder'](ids, output_hidden_states=True)
    if 'text_encoder_2' not in models:
        return first.last_hidden_state, None
    second = models['text_encoder_2'](ids_2, output_hidden_states=True)
    return torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1), second.text_embeds


def run_unet(models, sample, timesteps, states, text_embeds=None, time_ids=None):
    added = None if text_embeds is None else {'text_embeds': text_embeds, 'time_ids': time_ids}
    return models['unet'](sample, timesteps, states, added_cond_kwargs=added).sample


def make_pipeline(models, sampler):
    if 'text_encoder_2' in models:
        return StableDiffusionXLPipeline(
            vae=models['vae'], text_encoder=models['text_encoder'], text_encoder_2=models['text_encoder_2'], tokenizer=None,
            tokenizer_2=None, unet=models['unet'], scheduler=sampler, feature_extractor=None, add_watermarker=False,
        )
    return StableDiffusionPipeline(
        vae=models['vae'], text_encoder=models['text_encoder'], tokenizer=None, unet=models['unet'], scheduler=sampler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )


def make_sampler(folder, options):
    """from_config of the base's scheduler config; further options override it."""
    config = json.loads((Path(folder) / 'scheduler/scheduler_config.json').read_text())
    more = {k: v for k, v in options.items() if k not in ('scheduler', 'num_inference_steps', 'guidance_scale')}
    return SAMPLERS[options['scheduler']].from_config({**config, **more})


def draw(folder, models, inputs, options):
    """The pipeline's own loop, to the last latents."""
    pipe = make_pipeline(models, make_sampler(folder, options))
    pipe.set_progress_bar_config(disable=True)
    arguments = {
        'prompt_embeds': inputs['encoder_hidden_states'],
        'negative_prompt_embeds': inputs['negative_encoder_hidden_states'],
        'latents': inputs['latents'],
        'num_inference_steps': options['num_inference_steps'],
        'guidance_scale': options['guidance_scale'],
        # Pixels, which matter only to a check: the latents are given.
        'height': inputs['latents'].shape[2] * 8,
        'width': inputs['latents'].shape[3] * 8,
        'output_type': 'latent',
    }
    if 'text_embeds' in inputs:
        ids = [int(v) for v in inputs['time_ids'][0]]
        arguments |= {
            'pooled_prompt_embeds': inputs['text_embeds'], 'negative_pooled_prompt_embeds': inputs['negative_text_embeds'],
            'original_size': tuple(ids[:2]), 'crops_coords_top_left': tuple(ids[2:4]), 'target_size': tuple(ids[4:]),
        }
    return pipe(**arguments).images


def run_component(folder, models, component, inputs, options, dtype):
    """Outputs of one component of the headless runner, by name."""
    inputs = as_dtype(inputs, dtype)
    with torch.no_grad():
        if component == 'text_encoder':
            states, summary = encode_text(models, inputs['input_ids'], inputs.get('input_ids_2'))
            return {'last_hidden_state': states} if summary is None else {'encoder_hidden_states': states, 'text_embeds': summary}
        if component == 'unet':
            names = ('sample', 'timesteps', 'encoder_hidden_states')
            return {'sample': run_unet(models, *(inputs[n] for n in names), inputs.get('text_embeds'), inputs.get('time_ids'))}
        if component == 'vae_encoder':
            moments = models['vae'].encode(inputs['pixel_values']).latent_dist
            return {'mean': moments.mean, 'logvar': moments.logvar}
        if component == 'vae_decoder':
            return {'sample': models['vae'].decode(inputs['latents']).sample}
        return {'latents': draw(folder, models, inputs, options)}


def draw_picture(folder, models, latents, request, dtype):
    """From words to a picture by the pipeline as diffusers loads it: [1, H, W, 3] in 0..1."""
    sampler = make_sampler(folder, {'scheduler': request['scheduler']})
    pipe = make_pipeline(models, sampler)
    for name in ('tokenizer', 'tokenizer_2'):
        if (Path(folder) / name).exists():
            setattr(pipe, name, CLIPTokenizer.from_pretrained(str(Path(folder) / name), local_files_only=True))
    pipe.set_progress_bar_config(disable=True)
    arguments = {k: v for k, v in request.items() if k != 'scheduler'}
    return torch.from_numpy(pipe(**arguments, latents=latents.to(dtype), output_type='np').images)


# Training


def scaled_latents(models, batch):
    """Given, or the encoder's mean and deviation with the given noise."""
    if 'latents' in batch:
        return batch['latents']
    moments = models['vae'].encode(batch['pixel_values']).latent_dist
    return (moments.mean + moments.std * batch['vae_noise']) * models['vae'].config.scaling_factor


def batch_loss(models, schedule, batch, snr_gamma):
    """The loss of train_text_to_image_lora.py; with a mask, kohya's: each pixel's square times the mask, then the mean."""
    latents, noise, timesteps = scaled_latents(models, batch), batch['noise'], batch['timesteps']
    if 'input_ids' in batch:
        states, summary = encode_text(models, batch['input_ids'], batch.get('input_ids_2'))
    else:
        states, summary = batch['encoder_hidden_states'], batch.get('text_embeds')
    predicted = run_unet(models, schedule.add_noise(latents, noise, timesteps), timesteps, states, summary, batch.get('time_ids'))
    is_velocity = schedule.config.prediction_type == 'v_prediction'
    target = schedule.get_velocity(latents, noise, timesteps) if is_velocity else noise
    loss = torch.nn.functional.mse_loss(predicted, target, reduction='none')
    if 'loss_mask' in batch:
        loss = loss * batch['loss_mask']
    loss = loss.mean(dim=list(range(1, loss.dim())))
    if snr_gamma:
        snr = compute_snr(schedule, timesteps)
        weights = torch.stack([snr, snr_gamma * torch.ones_like(timesteps)], dim=1).min(dim=1)[0]
        loss = loss * (weights / (snr + 1) if is_velocity else weights / snr)
    return loss.mean()


def load_schedule(folder):
    return DDPMScheduler.from_pretrained(str(Path(folder) / 'scheduler'), local_files_only=True)


def step_losses(models, schedule, micro_batches, recipe):
    """The losses of one optimiser step, to be summed: each batch's share of their mean."""
    for micro in micro_batches:
        yield batch_loss(models, schedule, micro, recipe['snr_gamma']) / len(micro_batches)


def train(folder, models, batch, recipe):
    """Runs the recipe on a prepared batch, rows in file order; the record of oracle.optimise."""
    tensors = adapter_tensors(models)
    rate, text_rate = recipe['learning_rate'], recipe.get('text_encoder_lr', recipe['learning_rate'])
    groups = [
        {'params': [p for n, p in tensors.items() if n.startswith('unet.')], 'lr': rate},
        {'params': [p for n, p in tensors.items() if not n.startswith('unet.')], 'lr': text_rate},
    ]
    schedule = load_schedule(folder)
    losses = lambda micro: step_losses(models, schedule, micro, recipe)
    return oracle.optimise(tensors, [g for g in groups if g['params']], batch, recipe, losses)
