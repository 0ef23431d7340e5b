"""Writes the cases of cases.py, look_cases.py and sound_cases.py into a folder: make_fixtures.py --out tests/fixtures [case ...]"""

import argparse
import time
from pathlib import Path

import build_case
import look_build
import sound_build
from cases import CASES
from look_cases import BASES
from look_cases import CASES as LOOKS
from sound_cases import BASES as SOUND_BASES
from sound_cases import CASES as SOUNDS


def build(out, name):
    """Writes one case: what case.json holds and more, and whether an f32 engine can be held to the limits on it."""
    if name in CASES:
        result = build_case.build(out / name, CASES[name])
        return result, build_case.well_conditioned(result)
    if name in SOUNDS:
        case = SOUNDS[name]
        result = sound_build.build(out / name, out / case['base'] / 'base', SOUND_BASES[case['base']], case)
        return result, sound_build.well_conditioned(result)
    case = LOOKS[name]
    result = look_build.build(out / name, out / case['base'] / 'base', BASES[case['base']], case)
    return result, look_build.well_conditioned(result)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', required=True, type=Path)
    parser.add_argument('case', nargs='*', help='only these (default: all)')
    arguments = parser.parse_args()
    names = [*CASES, *LOOKS, *SOUNDS]
    unknown = set(arguments.case) - set(names)
    if unknown:
        parser.error(f'no such case: {", ".join(sorted(unknown))}; there are {", ".join(names)}')
    for name in arguments.case or names:
        start = time.time()
        result, is_good = build(arguments.out, name)
        if not is_good:
            raise AssertionError(f'{name}: torch in float32 is too far from the reference; choose another seed')
        losses = ' '.join(f'{x:.3f}' for x in result['loss'])
        norms = ' '.join(f'{x:.3g}' for x in result['grad_norm'])
        print(
            f'{name}: {result["bytes"] / 1000:.0f} kB, {time.time() - start:.1f} s, loss {losses}, norm {norms}, '
            f'central differences {result["central_difference_error"]:.0e}, float32 {result["float32_error_of_torch"]}',
            flush=True,
        )


if __name__ == '__main__':
    main()
