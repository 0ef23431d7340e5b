"""Builds looks of look_cases.py: a diffusers folder, an adapter, a prepared batch file, a headless job, and what diffusers,
transformers, peft and torch make of them in float64. make_fixtures.py writes those of tests/fixtures.
"""

import json
import math
import os
import shutil
from pathlib import Path

import look_oracle
import oracle
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from building import check_finite, check_gradients, float32_errors, normal, of_record, one_digit, slope_error, told, write_job, write_json
from look_base import write_base
from look_cases import RECIPE, VOCABULARY

STEPS = 8
GUIDANCE = 7.5


# Inputs


def token_ids(rows, generator):
    """Rows as CLIP's tokenizer pads them: start, words, end, and the end again up to 77."""
    ids = torch.full((rows, 77), VOCABULARY - 1, dtype=torch.int64)
    for i in range(rows):
        length = 3 + int(torch.randint(0, 60, (1,), generator=generator))
        ids[i, 1:length] = torch.randint(0, VOCABULARY - 2, (length - 1,), generator=generator)
        ids[i, 0] = VOCABULARY - 2
    return ids


def widths(spec):
    """Channels of a text state and of SDXL's summary (0 where there is none), pixels of one latent a side."""
    summary = spec['text_encoder_2']['projection_dim'] if 'text_encoder_2' in spec else 0
    return spec['unet']['cross_attention_dim'], summary, 2 ** (len(spec['vae']['block_out_channels']) - 1)


def time_ids(rows, height, width, generator):
    crop = torch.randint(0, 9, (rows, 2), generator=generator)
    size = torch.tensor([[height, width]])
    return torch.cat([size + 3 * crop, crop, size.expand(rows, 2)], dim=1).float()


def make_batch(base, case, generator):
    """The prepared batch file's tensors."""
    about = case['batch']
    rows, (height, width) = about['rows'], base['size']
    channels, summary, factor = widths(base)
    batch = {'noise': normal(generator, rows, 4, height, width)}
    if about['picture'] == 'latents':
        batch['latents'] = 0.9 * normal(generator, rows, 4, height, width)
    else:
        pixels = normal(generator, rows, 3, height * factor, width * factor)
        batch['pixel_values'] = torch.tanh(pixels)
        batch['vae_noise'] = normal(generator, rows, 4, height, width)
    given = about.get('timesteps')
    batch['timesteps'] = torch.tensor(given) if given else torch.randint(0, 1000, (rows,), generator=generator)
    if about['text'] == 'ids':
        batch['input_ids'] = token_ids(rows, generator)
        if summary:
            batch['input_ids_2'] = token_ids(rows, generator)
    else:
        batch['encoder_hidden_states'] = normal(generator, rows, about['length'], channels)
        if summary:
            batch['text_embeds'] = normal(generator, rows, summary)
    if summary:
        batch['time_ids'] = time_ids(rows, height * factor, width * factor, generator)
    if about.get('mask'):
        batch['loss_mask'] = torch.rand(rows, 1, height, width, generator=generator).round(decimals=2)
        batch['loss_mask'][:, :, : height // 2, : width // 3] = 0
    return batch


def component_cases(base, generator):
    """Runs of single components: name -> component, inputs, options."""
    height, width = base['size']
    channels, summary, factor = widths(base)
    more = lambda n: {'text_embeds': normal(generator, n, summary), 'time_ids': time_ids(n, height * factor, width * factor, generator)} if summary else {}
    cases = {}
    ids = {'input_ids': token_ids(2, generator)} | ({'input_ids_2': token_ids(2, generator)} if summary else {})
    cases['text_encoder'] = ('text_encoder', ids, {})
    of_unet = lambda timesteps, h, w, length: {
        'sample': normal(generator, len(timesteps), 4, h, w), 'timesteps': torch.tensor(timesteps),
        'encoder_hidden_states': normal(generator, len(timesteps), length, channels), **more(len(timesteps)),
    }
    odd = (2 * (height // 2) - 1, width + 1)
    if base.get('few_parts'):
        cases['unet'] = ('unet', of_unet([981.25, 0.0], *odd, 13), {})
    else:
        cases['unet'] = ('unet', of_unet([981, 20, 0], height, width, 13), {})
        cases['unet-fractional'] = ('unet', of_unet([732.4102, 0.5], height, width, 77), {})
        cases['unet-odd'] = ('unet', of_unet([357], *odd, 5), {})
    cases['vae_encoder'] = ('vae_encoder', {'pixel_values': torch.tanh(normal(generator, 2, 3, height * factor, width * factor))}, {})
    cases['vae_decoder'] = ('vae_decoder', {'latents': normal(generator, 2, 4, height, width)}, {})
    for name, options in base['samplers']:
        inputs = {
            'latents': normal(generator, 1, 4, height, width),
            'encoder_hidden_states': normal(generator, 1, 9, channels),
            'negative_encoder_hidden_states': normal(generator, 1, 9, channels),
        }
        if summary:
            inputs |= {**more(1), 'negative_text_embeds': normal(generator, 1, summary)}
        options = {'scheduler': name, 'num_inference_steps': STEPS, 'guidance_scale': GUIDANCE, **options}
        cases[f'sampler-{name}'] = ('sampler', inputs, options)
    return cases


def write_components(folder, spec, generator):
    """components/<name>.safetensors, <name>.expected.safetensors and components.json beside the base."""
    cases = component_cases(spec, generator)
    path = folder / 'components'
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    results = {}
    for dtype in (torch.float64, torch.float32):
        with oracle.arithmetic(dtype):
            models = look_oracle.load_models(folder / 'base', dtype)
            results[dtype] = {n: look_oracle.run_component(folder / 'base', models, *case, dtype) for n, case in cases.items()}
    about = []
    for name, (component, inputs, options) in cases.items():
        expected, own = results[torch.float64][name], results[torch.float32][name]
        check_finite(f'{folder.name} {name}', expected)
        save_file({k: v.contiguous() for k, v in inputs.items()}, path / f'{name}.safetensors')
        save_file({k: v.float().contiguous() for k, v in expected.items()}, path / f'{name}.expected.safetensors')
        error = max(oracle.relative_error(own[k], expected[k]) for k in expected)
        entry = {'name': name, 'component': component, 'options': options, 'float32_error_of_torch': float(f'{error:.0e}')}
        about.append({k: v for k, v in entry.items() if v != {}})
    write_json(folder / 'components.json', about)
    return {a['name']: a['float32_error_of_torch'] for a in about}


def write_drawing(folder, spec, generator):
    """drawing.json and drawing.safetensors beside the base: a picture from words, by the whole pipeline."""
    height, width = spec['size']
    _, _, factor = widths(spec)
    request = {**spec['drawing'], 'num_inference_steps': 4, 'guidance_scale': GUIDANCE, 'height': height * factor, 'width': width * factor}
    latents = normal(generator, 1, 4, height, width)
    pictures = []
    for dtype in (torch.float64, torch.float32):
        with oracle.arithmetic(dtype):
            models = look_oracle.load_models(folder / 'base', dtype)
            pictures.append(look_oracle.draw_picture(folder / 'base', models, latents, request, dtype))
    check_finite(folder.name, {'picture': pictures[0]})
    if float((pictures[0] - pictures[1].double()).abs().max()) > 1e-4:
        raise AssertionError(f'{folder.name}: the drawing is not well conditioned')
    write_json(folder / 'drawing.json', request)
    save_file({'latents': latents, 'picture': pictures[0].float().contiguous()}, folder / 'drawing.safetensors')


# Adapters


def sort_metadata(path):
    """safetensors writes metadata of several keys in a new order each time; sorted, the file is always the same."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], 'little')
    header = json.loads(data[8 : 8 + length])
    header['__metadata__'] = dict(sorted(header['__metadata__'].items()))
    text = json.dumps(header, separators=(',', ':'), ensure_ascii=False).encode()
    text += b' ' * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, 'little') + text + data[8 + length :])


def write_adapter(folder, base, settings, generator):
    """pytorch_lora_weights.safetensors as diffusers' save_lora_weights writes it; no tensor in it is zero."""
    shutil.rmtree(folder, ignore_errors=True)
    with oracle.arithmetic(torch.float32):
        models = look_oracle.load_models(base, torch.float32)
        look_oracle.add_adapter(models, settings)
        with torch.no_grad():
            for name, p in look_oracle.adapter_tensors(models).items():
                noise = torch.randn(p.shape, generator=generator)
                if name.endswith('lora_A.weight'):
                    p.copy_(noise / math.sqrt(p[0].numel()))
                elif name.endswith('lora_B.weight'):
                    p.copy_(0.3 * noise / math.sqrt(p[0].numel()))
                else:
                    p.mul_(1 + 0.2 * torch.tanh(noise))
        layers, metadata = {}, {}
        for component in settings:
            state = get_peft_model_state_dict(models[component])
            if component != 'unet' and not hasattr(models[component], 'text_model'):
                state = {f'text_model.{k}': v for k, v in state.items()}
            layers[f'{component}_lora_layers'] = {k: v.contiguous() for k, v in state.items()}
            fields = models[component].peft_config['default'].to_dict()
            fields['target_modules'] = sorted(fields['target_modules'])
            fields['base_model_name_or_path'] = None  # the folder it was built in
            metadata[f'{component}_lora_adapter_metadata'] = json.loads(json.dumps(fields, default=list))
        pipe = StableDiffusionXLPipeline if 'text_encoder_2' in models else StableDiffusionPipeline
        pipe.save_lora_weights(folder, **layers, **metadata)
        sort_metadata(folder / look_oracle.ADAPTER_FILE)


def check_loads(case, base, batch):
    """diffusers itself reads the adapter as we put it on: the same prediction to rounding."""
    with oracle.arithmetic(torch.float64):
        row = look_oracle.as_dtype({k: v[:1] for k, v in batch.items()}, torch.float64)
        schedule = look_oracle.load_schedule(base)
        own = look_oracle.load_adapted(base, case / 'adapter-init', torch.float64)
        models = look_oracle.load_models(base, torch.float64)
        look_oracle.make_pipeline(models, schedule).load_lora_weights(str(case / 'adapter-init'))
        with torch.no_grad():
            values = [float(look_oracle.batch_loss(m, schedule, row, 0)) for m in (own, models)]
    if abs(values[0] - values[1]) > 1e-6 * abs(values[0]):
        raise AssertionError(f'{case.name}: diffusers reads the adapter differently: {values}')


# Training


def evaluate(base, adapter, batch, recipe, dtype):
    """Everything expected.safetensors holds, computed in `dtype`."""
    with oracle.arithmetic(dtype):
        models = look_oracle.load_adapted(base, adapter, dtype)
        record = look_oracle.train(base, models, look_oracle.as_dtype(batch, dtype), recipe)
        return of_record(record, look_oracle.adapter_tensors(models))


def is_unheard(key, base):
    """Whether a tensor belongs to the last layer of SDXL's first text encoder, which nothing is read from."""
    last = base['text_encoder']['num_hidden_layers'] - 1
    return 'text_encoder_2' in base and f'text_encoder.text_model.encoder.layers.{last}.' in key


def check_float64(base, adapter, batch, recipe, expected):
    """How far central differences of the first step's loss are from its gradients."""
    with oracle.arithmetic(torch.float64):
        models = look_oracle.load_adapted(base, adapter, torch.float64)
        schedule = look_oracle.load_schedule(base)
        micro = next(oracle.steps_batches(look_oracle.as_dtype(batch, torch.float64), recipe))
        losses = lambda: look_oracle.step_losses(models, schedule, micro, recipe)
        return slope_error(look_oracle.adapter_tensors(models), expected, losses)


def well_conditioned(result):
    """Whether an f32 engine can be held to the limits; see build_case.well_conditioned."""
    own = result['float32_error_of_torch']
    parts = result.get('components', {})
    # Euler over a schedule of zero terminal SNR starts at sigma 4096, where float32 latents (ours are float64) lose much.
    limit = lambda name: 1e-6 if name == 'text_encoder' else 6e-5 if result['zero_snr'] and 'Euler' in name else 3e-6
    return (
        own['gradient_worst'] <= 3e-5
        and own['gradients_together'] <= 8e-6
        and own['adapter_change'] <= 1.5e-4
        and result['central_difference_error'] <= 1e-7
        and all(error <= limit(name) for name, error in parts.items())
    )


def build(folder, base_folder, base, case):
    """Writes a case folder; the base too, with its components, where it lies within. Returns what case.json holds and more."""
    folder, base_folder = Path(folder), Path(base_folder)
    folder.mkdir(parents=True, exist_ok=True)
    components = {}
    if base_folder.parent == folder:
        write_base(base_folder, base)
        components = write_components(folder, base, torch.Generator().manual_seed(base['seed'] + 1))
        if 'drawing' in base:
            write_drawing(folder, base, torch.Generator().manual_seed(base['seed'] + 2))
    generator = torch.Generator().manual_seed(case['seed'])
    recipe = {**RECIPE, **case.get('recipe', {})}
    adapter = folder / 'adapter-init'
    write_adapter(adapter, base_folder, case['adapter'], generator)
    batch = make_batch(base, case, generator)
    save_file({k: v.contiguous() for k, v in batch.items()}, folder / 'batch.safetensors', metadata={'format': 'pt'})
    check_loads(folder, base_folder, batch)
    write_job(folder, 'look', os.path.relpath(base_folder, folder), recipe)

    expected = evaluate(base_folder, adapter, batch, recipe, torch.float64)
    check_finite(folder.name, expected)
    check_gradients(folder.name, expected, lambda key: is_unheard(key, base))
    slope = check_float64(base_folder, adapter, batch, recipe, expected)
    stored = {k: (v if '.' not in k else v.float()).contiguous() for k, v in expected.items()}
    save_file(stored, folder / 'expected.safetensors')
    own = evaluate(base_folder, adapter, batch, recipe, torch.float32)
    init = load_file(adapter / look_oracle.ADAPTER_FILE)
    errors = {'loss': one_digit(oracle.relative_error(own['loss'], expected['loss'])), **float32_errors(init, expected, own)}
    about = {'about': case['about'], 'float32_error_of_torch': errors}
    write_json(folder / 'case.json', about)
    zero_snr = bool(base['scheduler'].get('rescale_betas_zero_snr'))
    return told(folder, about, expected, slope, components=components, zero_snr=zero_snr)
