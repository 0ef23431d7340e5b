"""Builds a look of random sizes and settings, as tests/fixtures has them: look_random_case.py --family sdxl --seed 7 --out DIR

Weights on which torch's own float32 run is far from float64 are drawn anew, and after some tries sizes too.
Then: look_compare.py DIR OUT --run 'npm run --silent headless --'
"""

import argparse
import json
import sys
from pathlib import Path

from fresh import tries
from look_build import build, well_conditioned
from look_cases import random_spec


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--family', required=True, choices=['sd1', 'sd2', 'sdxl'])
    parser.add_argument('--seed', required=True, type=int)
    parser.add_argument('--out', required=True, type=Path)
    arguments = parser.parse_args()
    for seed, attempt in tries(arguments.seed, arguments.out):
        base, case = random_spec(arguments.family, seed)
        moved = lambda spec: {**spec, 'seed': spec['seed'] + attempt}
        result = build(arguments.out, arguments.out / 'base', moved(base), moved(case))
        if well_conditioned(result):
            print(json.dumps({'base': base, 'case': case, 'attempt': attempt, **result}))
            return
        print(attempt, result['float32_error_of_torch'], result['components'], result['central_difference_error'], file=sys.stderr, flush=True)
    sys.exit(f'No well-conditioned weights found for --family {arguments.family} --seed {arguments.seed}')


if __name__ == '__main__':
    main()
