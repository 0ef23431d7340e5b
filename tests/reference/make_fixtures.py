"""Writes the cases of cases.py into a folder: make_fixtures.py --out tests/fixtures [case ...]"""

import argparse
import time
from pathlib import Path

from build_case import build, well_conditioned
from cases import CASES


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', required=True, type=Path)
    parser.add_argument('case', nargs='*', help='only these (default: all)')
    arguments = parser.parse_args()
    unknown = set(arguments.case) - set(CASES)
    if unknown:
        parser.error(f'no such case: {", ".join(sorted(unknown))}; there are {", ".join(CASES)}')
    for name in arguments.case or CASES:
        start = time.time()
        result = build(arguments.out / name, CASES[name])
        if not well_conditioned(result):
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
