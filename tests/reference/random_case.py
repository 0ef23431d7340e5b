"""Builds a case of random sizes and settings, as tests/fixtures has them: random_case.py --arch llama --seed 7 --out DIR

Weights on which torch's own float32 run is far from float64 are drawn anew, and after some tries sizes too.
Then: compare.py DIR OUT --run 'npm run --silent headless --'
"""

import argparse
import json
import sys
from pathlib import Path

from build_case import build, well_conditioned
from cases import random_spec
from fresh import tries


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', required=True, choices=['llama', 'qwen2', 'qwen3'])
    parser.add_argument('--seed', required=True, type=int)
    parser.add_argument('--out', required=True, type=Path)
    parser.add_argument('--storage', choices=['float32', 'float16', 'bfloat16'], help='how the weights are stored (default: random)')
    parser.add_argument('--dora', action=argparse.BooleanOptionalAction, help='DoRA or not (default: random)')
    arguments = parser.parse_args()
    for seed, attempt in tries(arguments.seed, arguments.out):
        spec = random_spec(arguments.arch, seed, arguments.storage, arguments.dora)
        result = build(arguments.out, {**spec, 'seed': spec['seed'] + attempt})
        if well_conditioned(result):
            print(json.dumps({'spec': spec, 'attempt': attempt, **result}))
            return
    sys.exit(f'No well-conditioned weights found for --arch {arguments.arch} --seed {arguments.seed}')


if __name__ == '__main__':
    main()
