"""Draws many pictures of the world, with several processes, and keeps them as one numpy file with their captions.

python pictures.py --out DIR [--count 40000] [--seed 1000000]"""

import argparse
import json
import multiprocessing
import pathlib

import numpy as np

import world

HELD_OUT = 500_000_000


def one(seed):
    picture, scene = world.make(seed)
    return picture, world.captions(scene, seed, 4)


def many(count, seed, processes=2):
    """(count, 64, 64, 3) uint8 and four captions each, the first with nothing left out."""
    pictures = np.empty((count, 64, 64, 3), np.uint8)
    captions = []
    with multiprocessing.Pool(processes) as pool:
        for i, (picture, told) in enumerate(pool.imap(one, range(seed, seed + count), 200)):
            pictures[i] = picture
            captions.append(told)
    return pictures, captions


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--out", type=pathlib.Path, required=True)
    ask.add_argument("--count", type=int, default=40_000)
    ask.add_argument("--seed", type=int, default=1_000_000)
    args = ask.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pictures, captions = many(args.count, args.seed)
    np.save(args.out / "pictures.npy", pictures)
    (args.out / "captions.json").write_text(json.dumps(captions))


if __name__ == "__main__":
    main()
