"""Writes tests/fixtures/look-schedulers.json: what diffusers' schedulers do with a made-up model, over the configurations
that real folders have and the settings that are supported.

    python tests/reference/look_scheduler_fixtures.py

Everything in float64: diffusers' own rounding of sigmas to float32 is turned off (what is left of it here is Euler's
fractional timesteps, which its models see in float32).
"""

import json
import math
from pathlib import Path

import diffusers
import numpy
import torch
from oracle import arithmetic

OUT = Path(__file__).resolve().parent.parent / 'fixtures' / 'look-schedulers.json'

SD15 = {'beta_start': 0.00085, 'beta_end': 0.012, 'beta_schedule': 'scaled_linear', 'num_train_timesteps': 1000}
BASES = {
    'sd15': {**SD15, '_class_name': 'PNDMScheduler', 'clip_sample': False, 'set_alpha_to_one': False, 'skip_prk_steps': True,
             'steps_offset': 1, 'trained_betas': None},
    'sdxl': {**SD15, '_class_name': 'EulerDiscreteScheduler', 'clip_sample': False, 'interpolation_type': 'linear',
             'prediction_type': 'epsilon', 'sample_max_value': 1.0, 'set_alpha_to_one': False, 'skip_prk_steps': True,
             'steps_offset': 1, 'timestep_spacing': 'leading', 'trained_betas': None, 'use_karras_sigmas': False},
    'sd21-v': {**SD15, '_class_name': 'DDIMScheduler', 'prediction_type': 'v_prediction', 'clip_sample': False,
               'set_alpha_to_one': False, 'steps_offset': 1},
    'zero-snr-v': {**SD15, '_class_name': 'EulerDiscreteScheduler', 'prediction_type': 'v_prediction',
                   'rescale_betas_zero_snr': True, 'timestep_spacing': 'trailing'},
    'silent': {},
    'cosine': {'beta_schedule': 'squaredcos_cap_v2', 'clip_sample': False, 'lambda_min_clipped': -5.1},
    'short': {'num_train_timesteps': 10, 'trained_betas': [0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4],
              'prediction_type': 'v_prediction'},
}
CLASSES = ['DDIMScheduler', 'EulerDiscreteScheduler', 'EulerAncestralDiscreteScheduler', 'DPMSolverMultistepScheduler']
EXTRA = [
    ('sd15', 'DPMSolverMultistepScheduler', 20, {'use_karras_sigmas': True}),
    ('sd15', 'DPMSolverMultistepScheduler', 7, {'use_karras_sigmas': True, 'algorithm_type': 'dpmsolver++'}),
    ('sd21-v', 'DPMSolverMultistepScheduler', 9, {'solver_type': 'heun', 'euler_at_final': True}),
    ('sdxl', 'DPMSolverMultistepScheduler', 20, {'final_sigmas_type': 'sigma_min', 'lower_order_final': False}),
    ('sdxl', 'DPMSolverMultistepScheduler', 12, {'final_sigmas_type': 'sigma_min', 'timestep_spacing': 'trailing'}),
    ('sdxl', 'DPMSolverMultistepScheduler', 5, {'solver_order': 1, 'solver_type': 'bh2'}),
    ('cosine', 'DPMSolverMultistepScheduler', 6, {'use_karras_sigmas': True}),
    ('sdxl', 'EulerDiscreteScheduler', 11, {'use_karras_sigmas': True}),
    ('zero-snr-v', 'EulerDiscreteScheduler', 8, {'use_karras_sigmas': True, 'sigma_min': 0.05, 'sigma_max': 20.0}),
    ('sd15', 'EulerDiscreteScheduler', 6, {'interpolation_type': 'log_linear', 'final_sigmas_type': 'sigma_min'}),
    ('sd15', 'DDIMScheduler', 9, {'timestep_spacing': 'trailing', 'clip_sample': True, 'clip_sample_range': 0.7}),
    ('sd15', 'DDIMScheduler', 9, {'timestep_spacing': 'linspace', 'set_alpha_to_one': True}),
    ('zero-snr-v', 'DDIMScheduler', 6, {}),
]
START = [0.3, -1.1, 0.75, 2.0, -0.05]


def model(x, t, step):
    """Some function of what the model sees; the tests have the same."""
    return torch.stack([0.8 * torch.sin(1.7 * v + 0.013 * t + i) + 0.1 * v for i, v in enumerate(x)])


def noise(step):
    return torch.tensor([math.sin(1 + 3 * step + 2 * i) for i in range(len(START))], dtype=torch.float64)


class Float64Numpy:
    """NumPy for a scheduler's module, where float32 means float64."""

    float32 = numpy.float64

    def __getattr__(self, name):
        return getattr(numpy, name)


def run(base, name, steps, extra):
    config = {**BASES[base], **extra}
    with arithmetic(torch.float64):
        scheduler = getattr(diffusers, name).from_config(dict(config))
        module = __import__(type(scheduler).__module__, fromlist=['x'])
        module.np = Float64Numpy()
        scheduler.set_timesteps(steps)
        sample = torch.tensor(START, dtype=torch.float64) * scheduler.init_noise_sigma
        drawn = getattr(module, 'randn_tensor', None)
        samples = []
        for i, t in enumerate(scheduler.timesteps):
            shown = scheduler.scale_model_input(sample, t)
            if drawn is not None:
                module.randn_tensor = lambda *_, i=i, **__: noise(i)
            sample = scheduler.step(model(shown, float(t), i), t, sample).prev_sample
            samples.append(sample.tolist())
        if drawn is not None:
            module.randn_tensor = drawn
        return {
            'config': config,
            'name': name,
            'steps': steps,
            'timesteps': [float(t) for t in scheduler.timesteps],
            'initNoiseSigma': float(scheduler.init_noise_sigma),
            'samples': samples,
        }


def schedule(config):
    with arithmetic(torch.float64):
        ddpm = diffusers.DDPMScheduler.from_config(dict(config))
        picks = [t for t in (0, 1, 9, 500, 998, 999) if t < len(ddpm.alphas_cumprod)]
        x, e = torch.tensor([START], dtype=torch.float64), noise(0)[None]
        return {
            'config': config,
            'timesteps': picks,
            'alphasCumprod': [float(ddpm.alphas_cumprod[t]) for t in picks],
            'noisy': [ddpm.add_noise(x, e, torch.tensor([t]))[0].tolist() for t in picks],
            'velocity': [ddpm.get_velocity(x, e, torch.tensor([t]))[0].tolist() for t in picks],
        }


def rounded(value):
    if isinstance(value, float):
        return float(f'{value:.12g}')
    if isinstance(value, list):
        return [rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return value


def main():
    cases = [run(base, name, 4 if base == 'short' else 7, {}) for base in BASES for name in CLASSES]
    cases += [run(*case) for case in EXTRA]
    result = {'start': START, 'cases': cases, 'schedules': [schedule(config) for config in BASES.values()]}
    OUT.write_text(json.dumps(rounded(result), separators=(',', ':')) + '\n')
    print(OUT, OUT.stat().st_size, len(cases))


if __name__ == '__main__':
    main()
