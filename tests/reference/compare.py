"""Compares what the headless runner made of a case with what the reference made of it.

  compare.py CASE OUT            OUT holds adapter/, metrics.jsonl, gradients.safetensors,
                                 logits-base.safetensors and logits-adapter.safetensors (any missing one fails)
  compare.py CASE OUT --run 'npm run --silent headless --'
                                 runs train, run and generate into OUT first

Errors are norms of differences over norms of the reference. Exit status 1 where one is beyond its limit.
"""

import argparse
import json
import math
import os
import shlex
import subprocess
import sys
from pathlib import Path

import oracle
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file

LIMITS = {
    'logits': 2e-5,
    'gradient_worst': 2e-4,
    'gradients_together': 5e-5,
    'adapter_change': 3e-4,
    'loss': 3e-4,
    'grad_norm': 3e-4,
    'learning_rate': 1e-6,
}


class Report:
    """Collects findings and prints each as it comes."""

    def __init__(self, own):
        self.failed, self.own = [], own

    def error(self, name, value, limit, note=''):
        good = math.isfinite(value) and value <= limit
        own = self.own.get('logits' if name.startswith('logits') else name)
        beside = f', torch float32 {own:.0e}' if own is not None else ''
        print(f'  {name:22} {value:9.2e}  (limit {limit:.0e}{beside}) {"ok" if good else "BEYOND"} {note}'.rstrip())
        if not good:
            self.failed.append(name)

    def truth(self, name, good, note=''):
        print(f'  {name:22} {"ok" if good else "WRONG"} {note}'.rstrip())
        if not good:
            self.failed.append(name)


def check_logits(report, expected, path, which, shape):
    got = load_file(path)['logits']
    if list(got.shape) != shape:
        report.truth(f'logits.{which}', False, f'shape {list(got.shape)}, expected {shape}')
        return
    rows = got.flatten(0, 1)[expected['logits.positions']]
    report.error(f'logits.{which}', oracle.relative_error(rows, expected[f'logits.{which}']), LIMITS['logits'])


def same_names(report, name, got, expected):
    """Names and shapes must agree exactly."""
    wrong = sorted(set(got) ^ set(expected)) + [
        n for n in expected if n in got and list(got[n].shape) != list(expected[n].shape)
    ]
    if wrong:
        report.truth(f'{name} names', False, f'{len(wrong)} missing, unknown or of another shape, such as {wrong[0]}')
    return not wrong


def nan_as_infinity(values):
    return {k: v if math.isfinite(v) else math.inf for k, v in values.items()}


def check_gradients(report, expected, path, limits=LIMITS):
    wanted = {k.removeprefix('grad.'): v for k, v in expected.items() if k.startswith('grad.')}
    got = load_file(path)
    if not same_names(report, 'gradients', got, wanted):
        return
    each = nan_as_infinity({n: oracle.relative_error(got[n], wanted[n]) for n in wanted})
    worst = max(each, key=each.get)
    report.error('gradient_worst', each[worst], limits['gradient_worst'], worst)
    report.error('gradients_together', oracle.joint_relative_error(got, wanted), limits['gradients_together'])


def check_change(report, expected, init_path, path, limits=LIMITS):
    """What training has changed of the adapter; False where the files do not even hold the same tensors."""
    wanted = {k.removeprefix('after.'): v for k, v in expected.items() if k.startswith('after.')}
    init, got = load_file(init_path), load_file(path)
    if not same_names(report, 'adapter', got, wanted):
        return False
    change = lambda tensors: {n: tensors[n].double() - init[n].double() for n in wanted}
    got_change, wanted_change = change(got), change(wanted)
    report.error('adapter_change', oracle.joint_relative_error(got_change, wanted_change), limits['adapter_change'])
    # Nothing is heard of the last layer of SDXL's first text encoder, which so never changes.
    heard = [n for n in wanted if wanted_change[n].any()]
    each = nan_as_infinity({n: oracle.relative_error(got_change[n], wanted_change[n]) for n in heard})
    worst = max(each, key=each.get)
    print(f'  {"  worst tensor":22} {each[worst]:9.2e}  {worst}')
    return True


def check_peft_adapter(report, expected, case, folder, load_adapted, limits=LIMITS):
    """The same of a PEFT folder, which peft reads with the ranks and scales of the reference's."""
    file = 'adapter_model.safetensors'
    if not check_change(report, expected, case / 'adapter-init' / file, folder / file, limits):
        return
    scales = lambda model: {n: (m.r['default'], m.scaling['default']) for n, m in model.named_modules() if isinstance(m, LoraLayer)}
    with oracle.arithmetic(torch.float32):
        ours, theirs = (scales(load_adapted(adapter)) for adapter in (folder, case / 'adapter-init'))
    report.truth('adapter in peft', len(ours) > 0 and ours == theirs, 'rank and scaling of every module')


def check_metrics(report, expected, path, limits=LIMITS):
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    steps = len(expected['loss'])
    if [line['step'] for line in lines] != list(range(1, steps + 1)):
        report.truth('metrics steps', False, f'{[line["step"] for line in lines]}, expected 1 to {steps}')
        return
    for key in ('loss', 'grad_norm', 'learning_rate'):
        got = torch.tensor([line[key] for line in lines], dtype=torch.float64)
        report.error(key, oracle.relative_error(got, expected[key]), limits[key], 'all steps')


def check_generation(report, case, folder, which):
    wanted = json.loads((case / 'generation.json').read_text())
    got = json.loads((folder / 'generated.json').read_text())
    report.truth(f'greedy ids {which}', got['token_ids'] == wanted[which])
    report.truth(f'greedy text {which}', got['text'] == wanted[f'{which}_text'])


def has_prompt(case):
    path = case / 'generation.json'
    return path.exists() and 'prompt' in json.loads(path.read_text())


def headless(command, *arguments):
    """Runs the headless runner from the repository root; its failure ends the comparison."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([*shlex.split(command), *map(str, arguments)], cwd=root, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f'{shlex.join(map(str, arguments))} failed: {done.stderr.strip() or done.stdout.strip()}')


def run_model(command, case, out, adapter=None):
    """Logits of the whole batch file into `out`."""
    more = ('--adapter', adapter) if adapter else ()
    headless(command, 'run', case / 'base', '--component', 'model', '--in', case / 'batch.safetensors', '--out', out, *more)


def run_generation(command, case, out, adapter=None):
    """Greedy generation from the case's prompt into the folder `out`; the job is written beside it."""
    wanted = json.loads((case / 'generation.json').read_text())
    job = {
        'task': 'voice',
        'base': os.path.relpath(case / 'base', out.parent),
        'precision': 'stored',
        'generate': {'prompt': wanted['prompt'], 'max_new_tokens': wanted['max_new_tokens'], 'do_sample': False},
    }
    if adapter:
        job['adapter'] = {'from': os.path.relpath(adapter, out.parent)}
    path = out.parent / f'{out.name}.json'
    path.write_text(json.dumps(job))
    headless(command, 'generate', path, '--out', out)


def run_headless(command, case, out):
    """Everything compare needs, made by the runner itself."""
    out.mkdir(parents=True, exist_ok=True)
    headless(command, 'train', case / 'job.json', '--out', out, '--gradients', out / 'gradients.safetensors')
    run_model(command, case, out / 'logits-base.safetensors')
    run_model(command, case, out / 'logits-adapter.safetensors', case / 'adapter-init')
    if has_prompt(case):
        run_generation(command, case, out / 'generated-base')
        run_generation(command, case, out / 'generated-adapter', case / 'adapter-init')


def open_case(case):
    """Says what the case is about: a report for its findings, and what the reference holds."""
    about = json.loads((case / 'case.json').read_text())
    print(f'{case.name}: {about["about"]}')
    return Report(about['float32_error_of_torch']), load_file(case / 'expected.safetensors')


def run_checks(report, out, checks):
    """Each check on its own file or folder of `out`; a missing one fails."""
    for name, check in checks:
        if (out / name).exists():
            check(out / name)
        else:
            report.truth(name, False, 'is missing')
    return report.failed


def compare(case, out):
    """Prints every error; returns the names of those beyond their limits."""
    report, expected = open_case(case)
    batch = load_file(case / 'batch.safetensors')
    shape = [*batch['input_ids'].shape, expected['logits.base'].shape[1]]
    load_adapted = lambda adapter: oracle.load_adapted(case / 'base', adapter, torch.float32)
    checks = [
        ('logits-base.safetensors', lambda p: check_logits(report, expected, p, 'base', shape)),
        ('logits-adapter.safetensors', lambda p: check_logits(report, expected, p, 'adapter', shape)),
        ('gradients.safetensors', lambda p: check_gradients(report, expected, p)),
        ('metrics.jsonl', lambda p: check_metrics(report, expected, p)),
        ('adapter', lambda p: check_peft_adapter(report, expected, case, p, load_adapted)),
    ]
    if has_prompt(case):
        for which in ('base', 'adapter'):
            checks.append((f'generated-{which}', lambda p, which=which: check_generation(report, case, p, which)))
    return run_checks(report, out, checks)


def main(about, run_headless, compare):
    """The command line of a comparison of any task."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('case', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--run', metavar='COMMAND', help='the headless runner, run from the repository root')
    arguments = parser.parse_args()
    case, out = arguments.case.resolve(), arguments.out.resolve()
    if arguments.run:
        run_headless(arguments.run, case, out)
    failed = compare(case, out)
    print(f'{case.name}: {"agrees" if not failed else "differs in " + ", ".join(failed)}')
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main(__doc__, run_headless, compare)
