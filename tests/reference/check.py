"""Holds the headless runner to the reference, case by case, and its exported adapters to real peft.

  check.py [--headless 'npm run --silent headless --'] [--out FOLDER] [CASE_FOLDER ...]

Without folders: every case of tests/fixtures. For each: compare.py's checks; then the trained and exported adapter is
run by us and by peft on the same inputs (interop.py). A look's are look_compare.py's checks, a sound's sound_compare.py's.
Exit status 1 where anything differs.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import look_compare
import sound_compare
from compare import compare, has_prompt, run_generation, run_headless, run_model

HERE = Path(__file__).resolve().parent


def check_export(command, case, out):
    """The exported adapter on our engine and in peft: the same logits, and the same greedy text where there is a prompt."""
    logits = out / 'logits-exported.safetensors'
    run_model(command, case, logits, out / 'adapter')
    arguments = ['--model', case / 'base', '--adapter', out / 'adapter', '--inputs', case / 'batch.safetensors', '--logits', logits]
    if has_prompt(case):
        run_generation(command, case, out / 'generated-exported', out / 'adapter')
        arguments += ['--generated', out / 'generated-exported/generated.json', '--prompt-ids', case / 'generation.json']
    done = subprocess.run([sys.executable, HERE / 'interop.py', *arguments], capture_output=True, text=True)
    print(f'  exported, in peft      {done.stdout.strip() or done.stderr.strip()}', flush=True)
    return done.returncode == 0


def check_voice(command, case, out):
    run_headless(command, case, out)
    differs = compare(case, out)
    return check_export(command, case, out) and not differs


def check_look(command, case, out):
    look_compare.run_headless(command, case, out)
    return not look_compare.compare_look(case, out)


def check_sound(command, case, out):
    sound_compare.run_headless(command, case, out)
    return not sound_compare.compare_sound(case, out)


CHECKS = {'voice': check_voice, 'look': check_look, 'sound': check_sound}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('case', nargs='*', type=Path)
    parser.add_argument('--headless', default='npm run --silent headless --')
    parser.add_argument('--out', type=Path, default=HERE.parents[1] / 'out/reference')
    arguments = parser.parse_args()
    cases = arguments.case or sorted(p.parent for p in (HERE.parent / 'fixtures').glob('*/case.json'))
    failed = []
    for case in (c.resolve() for c in cases):
        out = arguments.out.resolve() / case.name
        task = json.loads((case / 'job.json').read_text())['task']
        if not CHECKS[task](arguments.headless, case, out):
            failed.append(case.name)
    print(f'{len(cases) - len(failed)} of {len(cases)} cases agree' + (f'; not {", ".join(failed)}' if failed else ''))
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
