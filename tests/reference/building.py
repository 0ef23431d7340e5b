"""What is the same in building a case of any task: build_case.py, look_build.py and sound_build.py."""

import json
import math
from pathlib import Path

import oracle
import torch


def write_json(path, value):
    Path(path).write_text(json.dumps(value, indent=2, ensure_ascii=False) + '\n')


def normal(generator, *shape):
    return torch.randn(shape, generator=generator)


def check_finite(where, tensors):
    for key, value in tensors.items():
        if value.dtype != torch.float64 or not bool(torch.isfinite(value).all()):
            raise AssertionError(f'{where}: {key} is not finite float64')


def check_gradients(where, expected, is_unheard=lambda key: False):
    """No gradient is zero, or it would be no measure."""
    for key, value in expected.items():
        if key.startswith('grad.') and float(value.norm()) == 0 and not is_unheard(key):
            raise AssertionError(f'{where}: {key} is zero')


def save_peft_folder(model, folder):
    """The adapter as peft saves it, the same each time."""
    model.peft_config['default'].base_model_name_or_path = 'base'
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / 'README.md').unlink(missing_ok=True)
    path = folder / 'adapter_config.json'
    config = json.loads(path.read_text())
    config['target_modules'] = sorted(config['target_modules'])
    write_json(path, config)


def of_record(record, tensors):
    """What expected.safetensors holds of a training run."""
    out = {k: torch.tensor(record[k], dtype=torch.float64) for k in ('loss', 'grad_norm', 'learning_rate')}
    out |= {f'grad.{n}': g for n, g in record['gradients'].items()}
    out |= {f'after.{n}': p.detach().clone() for n, p in tensors.items()}
    return out


def slope_error(tensors, expected, losses, directions=1):
    """How far central differences of a step's loss along random directions are from its gradients, relatively.

    `losses` gives the step's losses anew. A float32 step anywhere in the reference would leave noise of about 1e-2 here.
    DoRA's norm is a constant in the gradient but not in the loss, so for DoRA only the magnitudes are moved.
    """
    moved = [n for n in tensors if n.endswith('lora_magnitude_vector')] or list(tensors)
    generator = torch.Generator().manual_seed(5)
    worst, h = 0.0, 1e-5
    for _ in range(directions):
        direction = {n: torch.randn(tensors[n].shape, generator=generator, dtype=torch.float64) for n in moved}
        slope = sum(float((expected[f'grad.{n}'] * direction[n]).sum()) for n in moved)
        size = math.sqrt(sum(float(expected[f'grad.{n}'].norm()) ** 2 for n in moved))
        values = []
        with torch.no_grad():
            start = {n: tensors[n].clone() for n in moved}
            for scale in (h, -h, 2 * h, -2 * h):
                for n in moved:
                    tensors[n].copy_(start[n] + scale * direction[n])
                values.append(sum(float(loss) for loss in losses()))
            for n in moved:
                tensors[n].copy_(start[n])
        difference = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * h)
        worst = max(worst, abs(difference - slope) / size)
    return worst


def one_digit(value):
    return float(f'{value:.0e}')


def float32_errors(init, expected, own):
    """How far torch's own float32 run is from the reference, to one digit: the measure of what is reachable."""
    names = list(init)
    gradient = lambda d: {n: d[f'grad.{n}'] for n in names}
    change = lambda d: {n: d[f'after.{n}'].double() - init[n].double() for n in names}
    heard = [n for n in names if expected[f'grad.{n}'].any()]
    errors = {
        'gradient_worst': max(oracle.relative_error(own[f'grad.{n}'], expected[f'grad.{n}']) for n in heard),
        'gradients_together': oracle.joint_relative_error(gradient(own), gradient(expected)),
        'adapter_change': oracle.joint_relative_error(change(own), change(expected)),
    }
    return {k: one_digit(v) for k, v in errors.items()}


def write_job(folder, task, base, recipe):
    """job.json for the headless runner; `base` as it is seen from the folder."""
    job = {
        'task': task, 'base': base, 'precision': 'stored', 'adapter': {'from': 'adapter-init'}, 'data': 'batch.safetensors',
        'recipe': recipe,
    }
    write_json(folder / 'job.json', job)


def told(folder, about, expected, slope, **more):
    """What case.json holds, and what make_fixtures.py prints beside it."""
    return {
        **about,
        **more,
        'bytes': sum(p.stat().st_size for p in folder.rglob('*') if p.is_file()),
        'central_difference_error': slope,
        'loss': expected['loss'].tolist(),
        'grad_norm': expected['grad_norm'].tolist(),
    }
