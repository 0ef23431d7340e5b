"""Builds a sound of random sizes and settings, as tests/fixtures has them: sound_random_case.py --channels 2 --seed 7 --out DIR

Weights on which torch's own float32 run is far from float64 are drawn anew, and so are those that say nothing clearly; after some tries sizes too.
Then: sound_compare.py DIR OUT --run 'npm run --silent headless --'
"""

import argparse
import json
import sys
from pathlib import Path

from fresh import tries
from sound_build import Unclear, build, well_conditioned
from sound_cases import random_spec


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--channels', required=True, type=int, choices=[1, 2])
    parser.add_argument('--seed', required=True, type=int)
    parser.add_argument('--out', required=True, type=Path)
    arguments = parser.parse_args()
    for seed, attempt in tries(arguments.seed, arguments.out):
        base, case = random_spec(arguments.channels, seed)
        moved = lambda spec: {**spec, 'seed': spec['seed'] + attempt}
        try:
            result = build(arguments.out, arguments.out / 'base', moved(base), moved(case))
        except Unclear as error:
            print(attempt, error, file=sys.stderr, flush=True)
            continue
        if well_conditioned(result, change=7e-5):
            print(json.dumps({'base': base, 'case': case, 'attempt': attempt, **result}))
            return
        print(attempt, result['float32_error_of_torch'], result['components'], result['central_difference_error'], file=sys.stderr, flush=True)
    sys.exit(f'No well-conditioned weights found for --channels {arguments.channels} --seed {arguments.seed}')


if __name__ == '__main__':
    main()
