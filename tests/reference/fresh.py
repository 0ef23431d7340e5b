"""Tries at a case of random sizes that float32 can be held to."""

import shutil

SIZES = 12
WEIGHTS = 4


def tries(seed, out):
    """Pairs of a seed for the sizes and one that is added to that of the weights, the first being `seed` and 0.

    Some sizes lie so badly that no weights of theirs are well conditioned: other sizes are drawn then. A test that draws its seed
    must not fail for that, and where each try of other sizes failed once in ten times, all of them would once in 1e12.
    """
    for sizes in range(SIZES):
        if sizes > 0:
            # Nothing stays of the sizes before, all of which was written here.
            shutil.rmtree(out, ignore_errors=True)
        for weights in range(WEIGHTS):
            yield seed + sizes * 1_000_003, weights
