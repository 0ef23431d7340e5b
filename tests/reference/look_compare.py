"""Compares what the headless runner made of a look with what the reference made of it.

  look_compare.py CASE OUT            OUT holds adapter/, metrics.jsonl, gradients.safetensors and, where CASE has
                                      components.json, components/<name>.safetensors (any missing one fails)
  look_compare.py CASE OUT --run 'npm run --silent headless --'
                                      runs train and run into OUT first

Both adapter files, diffusers' and kohya's, must besides load in diffusers' pipeline and predict there what the reference's
trained adapter predicts. Errors are norms of differences over norms of the reference. Exit status 1 where one is beyond its
limit.
"""

import json

import look_oracle
import oracle
import torch
from compare import check_change, check_gradients, check_metrics, headless, main, open_case, run_checks, same_names
from diffusers.loaders.lora_conversion_utils import _maybe_map_sgm_blocks_to_diffusers
from safetensors.torch import load_file

LIMITS = {
    'text_encoder': 5e-6,
    'component': 2e-5,
    'sampler': 3e-5,
    'gradient_worst': 2e-4,
    'gradients_together': 4e-5,
    'adapter_change': 7e-4,
    'loss': 3e-4,
    'grad_norm': 3e-4,
    'learning_rate': 1e-6,
}


def components(case):
    path = case / 'components.json'
    return json.loads(path.read_text()) if path.exists() else []


def run_headless(command, case, out):
    """Everything compare needs, made by the runner itself."""
    (out / 'components').mkdir(parents=True, exist_ok=True)
    headless(command, 'train', case / 'job.json', '--out', out, '--gradients', out / 'gradients.safetensors')
    for about in components(case):
        name = f'{about["name"]}.safetensors'
        options = ('--options', json.dumps(about['options'])) if 'options' in about else ()
        files = ('--in', case / 'components' / name, '--out', out / 'components' / name)
        headless(command, 'run', case / 'base', '--component', about['component'], *files, *options)


def check_components(report, case, out):
    for about in components(case):
        name = about['name']
        report.own[name] = about['float32_error_of_torch']
        path = out / 'components' / f'{name}.safetensors'
        if not path.exists():
            report.truth(name, False, 'is missing')
            continue
        expected, got = load_file(case / 'components' / f'{name}.expected.safetensors'), load_file(path)
        if not same_names(report, name, got, expected):
            continue
        error = max(oracle.relative_error(got[k], expected[k]) for k in expected)
        report.error(name, error, LIMITS.get(about['component'], LIMITS['component']))


def predict(models, batch):
    """What the adapted model says of the batch's first row."""
    with torch.no_grad():
        if 'input_ids' in batch:
            states, summary = look_oracle.encode_text(models, batch['input_ids'], batch.get('input_ids_2'))
        else:
            states, summary = batch['encoder_hidden_states'], batch.get('text_embeds')
        return look_oracle.run_unet(models, batch['noise'], batch['timesteps'], states, summary, batch.get('time_ids'))


def without_sgm_paths(tensors, config):
    """SDXL's kohya names, which follow Stability's own code, as those of diffusers' modules."""
    names = {
        'input_blocks': 'down_blocks', 'middle_block': 'mid_block', 'output_blocks': 'up_blocks', 'in_layers_2': 'conv1', 'out_layers_3': 'conv2',
        'emb_layers_1': 'time_emb_proj', 'skip_connection': 'conv_shortcut', 'downsamplers_0_op': 'downsamplers_0_conv',
    }
    result = {}
    for name, value in _maybe_map_sgm_blocks_to_diffusers(dict(tensors), config).items():
        for old, new in names.items():
            name = name.replace(old, new)
        result[name] = value
    return result


def add_kohya(models, tensors):
    """What kohya's own network computes: alpha / r times up times down, on every layer that the file names."""
    is_xl = 'text_encoder_2' in models
    prefixes = {'unet': 'lora_unet_', 'text_encoder': 'lora_te1_text_model_' if is_xl else 'lora_te_text_model_'}
    if is_xl:
        prefixes['text_encoder_2'] = 'lora_te2_text_model_'
        tensors = without_sgm_paths(tensors, models['unet'].config)
    left = {n.split('.')[0] for n in tensors}
    for component, prefix in prefixes.items():
        for path, module in models[component].named_modules():
            name = prefix + path.removeprefix('text_model.').replace('.', '_')
            if name not in left:
                continue
            left.remove(name)
            down, up, alpha = (tensors[f'{name}.{part}'].double() for part in ('lora_down.weight', 'lora_up.weight', 'alpha'))
            module.weight += (alpha / down.shape[0] * (up.flatten(1) @ down.flatten(1))).reshape(module.weight.shape)
    if left:
        raise AssertionError(f'the kohya file names unknown layers, such as {left.pop()}')


def is_usual(tensors):
    """Whether diffusers 0.42 reads a kohya file as kohya does.

    It drops the alphas of attention layers that do not all have the same one, and stumbles over text encoders of which
    not every kind of layer is adapted.
    """
    alphas = {float(v) for n, v in tensors.items() if n.endswith('.alpha') and n.startswith('lora_unet_')}
    kinds = ('q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc1', 'fc2')
    encoders = {n.split('_text_model_')[0] for n in tensors if n.startswith('lora_te')}
    whole = all(any(n.startswith(f'{e}_text_model_') and kind in n for n in tensors) for e in encoders for kind in kinds)
    return len(alphas) <= 1 and whole


def check_files(report, job, case, folder, expected):
    """diffusers' own load_lora_weights of both files gives the model that the reference trained."""
    base = case / job['base']
    batch = {k: v[:1] for k, v in load_file(case / 'batch.safetensors').items()}
    with oracle.arithmetic(torch.float64):
        batch = look_oracle.as_dtype(batch, torch.float64)
        models = look_oracle.load_adapted(base, case / 'adapter-init', torch.float64)
        with torch.no_grad():
            for name, parameter in look_oracle.adapter_tensors(models).items():
                parameter.copy_(expected[f'after.{name}'])
        wanted = predict(models, batch)
        plain = predict(look_oracle.load_models(base, torch.float64), batch)
        for name in (look_oracle.ADAPTER_FILE, 'kohya.safetensors'):
            short = name.split('.')[0].split('_')[0]
            if not (folder / name).exists():
                # A DoRA has no kohya file that is read alike everywhere.
                is_dora = any('lora_magnitude_vector' in n for n in expected)
                report.truth(f'{short} file', is_dora and short == 'kohya', 'is missing')
                continue
            tensors = load_file(folder / name)
            ways = [] if short == 'pytorch' else ['by hand']
            ways += ['in diffusers'] if short == 'pytorch' or is_usual(tensors) else []
            for way in ways:
                models = look_oracle.load_models(base, torch.float64)
                if way == 'by hand':
                    with torch.no_grad():
                        add_kohya(models, tensors)
                else:
                    pipe = look_oracle.make_pipeline(models, look_oracle.load_schedule(base))
                    pipe.load_lora_weights(str(folder), weight_name=name)
                error = oracle.relative_error(predict(models, batch) - plain, wanted - plain)
                report.error(f'{short} file', error, 1e-3, f'of what the adapter does, {way}')


def compare_look(case, out):
    """Prints every error; returns the names of those beyond their limits."""
    report, expected = open_case(case)
    job = json.loads((case / 'job.json').read_text())
    check_components(report, case, out)
    file = look_oracle.ADAPTER_FILE
    checks = [
        ('gradients.safetensors', lambda p: check_gradients(report, expected, p, LIMITS)),
        ('metrics.jsonl', lambda p: check_metrics(report, expected, p, LIMITS)),
        ('adapter', lambda p: check_change(report, expected, case / 'adapter-init' / file, p / file, LIMITS)),
        ('adapter', lambda p: check_files(report, job, case, p, expected)),
    ]
    return run_checks(report, out, checks)


if __name__ == '__main__':
    main(__doc__, run_headless, compare_look)
