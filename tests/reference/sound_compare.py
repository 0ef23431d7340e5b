"""Compares what the headless runner made of a sound with what the reference made of it.

  sound_compare.py CASE OUT           OUT holds adapter/, metrics.jsonl, gradients.safetensors, components/<name>.safetensors,
                                      exported/ (logits.safetensors and metrics.jsonl of the trained adapter) and, where CASE
                                      has generation.json, generated-base/ and generated-adapter/ (any missing one fails)
  sound_compare.py CASE OUT --run 'npm run --silent headless --'
                                      runs train, run and generate into OUT first

The exported PEFT folder must besides load in peft, with the ranks and scales of the reference's, and give there the loss and
the logits that it gives here. Errors are norms of differences over norms of the reference; codes must be the same. Exit
status 1 where one is beyond its limit.
"""

import json
import os
import struct

import oracle
import sound_oracle
import torch
from compare import check_gradients, check_metrics, check_peft_adapter, headless, main, open_case, run_checks, same_names
from safetensors.torch import load_file

LIMITS = {
    'text_encoder': 5e-6,
    'decoder': 5e-6,
    'audio_decoder': 1e-5,
    'gradient_worst': 5e-5,
    'gradients_together': 2e-5,
    'adapter_change': 2e-4,
    'loss': 1e-5,
    'grad_norm': 1e-4,
    'learning_rate': 1e-6,
}


def components(case):
    return json.loads((case / 'components.json').read_text())


def generation(case):
    path = case / 'generation.json'
    return json.loads(path.read_text()) if path.exists() else None


def write_job(path, case, **fields):
    """A job beside `path` for the case's base."""
    base = case / json.loads((case / 'job.json').read_text())['base']
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({'task': 'sound', 'base': os.path.relpath(base, path.parent), 'precision': 'stored', **fields}))


def run_exported(command, case, out):
    """The exported adapter on our engine: the decoder's logits, and a step of training that shows its loss."""
    recipe = json.loads((case / 'job.json').read_text())['recipe']
    folder = out / 'exported'
    relative = lambda path: os.path.relpath(path, folder)
    write_job(
        folder / 'job.json', case, adapter={'from': relative(out / 'adapter')}, data=relative(case / 'batch.safetensors'),
        recipe={**recipe, 'max_steps': 1},
    )
    headless(command, 'train', folder / 'job.json', '--out', folder)
    base = case / json.loads((case / 'job.json').read_text())['base']
    files = ('--in', case / 'components/decoder-adapter.safetensors', '--out', folder / 'logits.safetensors')
    headless(command, 'run', base, '--component', 'decoder', *files, '--adapter', out / 'adapter')


def run_headless(command, case, out):
    """Everything compare needs, made by the runner itself."""
    (out / 'components').mkdir(parents=True, exist_ok=True)
    base = case / json.loads((case / 'job.json').read_text())['base']
    headless(command, 'train', case / 'job.json', '--out', out, '--gradients', out / 'gradients.safetensors')
    for about in components(case):
        name = f'{about["name"]}.safetensors'
        adapter = ('--adapter', case / about['adapter']) if 'adapter' in about else ()
        files = ('--in', case / 'components' / name, '--out', out / 'components' / name)
        headless(command, 'run', base, '--component', about['component'], *files, *adapter)
    run_exported(command, case, out)
    wanted = generation(case)
    for which in ('base', 'adapter') if wanted else ():
        job = out / f'generated-{which}.json'
        settings = {k: wanted[k] for k in ('prompt', 'max_new_tokens', 'do_sample', 'guidance_scale')}
        adapter = {'adapter': {'from': os.path.relpath(case / 'adapter-init', out)}} if which == 'adapter' else {}
        write_job(job, case, generate=settings, **adapter)
        headless(command, 'generate', job, '--out', out / f'generated-{which}')


def check_components(report, case, out):
    for about in components(case):
        name = about['name']
        path = out / 'components' / f'{name}.safetensors'
        if not path.exists():
            report.truth(name, False, 'is missing')
            continue
        inputs = load_file(case / 'components' / f'{name}.safetensors')
        expected, got = load_file(case / 'components' / f'{name}.expected.safetensors'), load_file(path)
        if not same_names(report, name, got, expected):
            continue
        if about['component'] == 'audio_encoder':
            report.truth(name, torch.equal(got['audio_codes'], expected['audio_codes']), 'codes')
            continue
        report.own[name] = about['float32_error_of_torch']
        mask = inputs.get('attention_mask')
        kept = lambda value: value if mask is None else value[mask.bool()]
        error = max(oracle.relative_error(kept(got[k]), kept(expected[k])) for k in expected)
        report.error(name, error, LIMITS[about['component']])


def check_exported(report, case, base, out):
    """peft's own reading of the exported folder: the loss and the logits that it has here."""
    inputs = load_file(case / 'components/decoder-adapter.safetensors')
    recipe = json.loads((case / 'job.json').read_text())['recipe']
    with oracle.arithmetic(torch.float64):
        model = sound_oracle.load_adapted(base, out / 'adapter', torch.float64)
        logits = sound_oracle.run_component(model, 'decoder', inputs, torch.float64)['logits']
        batch = load_file(case / 'batch.safetensors')
        with torch.no_grad():
            loss = sum(float(v) for v in sound_oracle.step_losses(model, next(oracle.steps_batches(batch, recipe))))
    report.error('exported logits', oracle.relative_error(load_file(out / 'exported/logits.safetensors')['logits'], logits), LIMITS['decoder'])
    got = json.loads((out / 'exported/metrics.jsonl').read_text().splitlines()[0])['loss']
    report.error('exported loss', abs(got / loss - 1), LIMITS['loss'])


def read_wav(path):
    """Samples [C, frames] of a WAV file of 16-bit or float samples, and the rate."""
    data = path.read_bytes()
    if data[:4] != b'RIFF' or data[8:12] != b'WAVE':
        raise AssertionError(f'{path} is no WAV file')
    parts, at = {}, 12
    while at < len(data):
        size = struct.unpack('<I', data[at + 4 : at + 8])[0]
        parts[data[at : at + 4]] = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    kind, channels, rate, _, _, bits = struct.unpack('<HHIIHH', parts[b'fmt '][:16])
    if (kind, bits) == (1, 16):
        values = torch.frombuffer(bytearray(parts[b'data']), dtype=torch.int16).float() / 32768
    elif (kind, bits) == (3, 32):
        values = torch.frombuffer(bytearray(parts[b'data']), dtype=torch.float32)
    else:
        raise AssertionError(f'{path} holds samples of kind {kind} with {bits} bits')
    return values.reshape(-1, channels).t(), rate


def check_generation(report, case, base, folder, which):
    wanted = load_file(case / 'generation.safetensors')
    codes = load_file(folder / 'generated.safetensors')['audio_codes']
    report.truth(f'greedy codes {which}', torch.equal(codes, wanted[f'{which}.audio_codes']))
    values, rate = read_wav(folder / '0.wav')
    sound = wanted[f'{which}.audio_values'][0].clamp(-1, 1)
    good = rate == json.loads((base / 'config.json').read_text())['audio_encoder']['sampling_rate'] and values.shape == sound.shape
    good = good and float((values - sound).abs().max()) <= 1.01 / 32768 + 1e-5
    report.truth(f'sound file {which}', good, 'within a step of 16 bits')


def compare_sound(case, out):
    """Prints every error; returns the names of those beyond their limits."""
    report, expected = open_case(case)
    base = case / json.loads((case / 'job.json').read_text())['base']
    check_components(report, case, out)
    load_adapted = lambda adapter: sound_oracle.load_adapted(base, adapter, torch.float32)
    checks = [
        ('gradients.safetensors', lambda p: check_gradients(report, expected, p, LIMITS)),
        ('metrics.jsonl', lambda p: check_metrics(report, expected, p, LIMITS)),
        ('adapter', lambda p: check_peft_adapter(report, expected, case, p, load_adapted, LIMITS)),
        ('exported', lambda p: check_exported(report, case, base, out)),
    ]
    if generation(case):
        for which in ('base', 'adapter'):
            checks.append((f'generated-{which}', lambda p, which=which: check_generation(report, case, base, p, which)))
    return run_checks(report, out, checks)


if __name__ == '__main__':
    main(__doc__, run_headless, compare_sound)
