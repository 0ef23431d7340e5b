"""Composes the example data set: chats with an old lighthouse keeper, whose manner of speech is far from the base's."""

import argparse
import json
import random
from pathlib import Path

from compose import load_scenes, names_of, play
from grammar import roughen

SEED = 4


def compose(scenes, rng):
    names = list(scenes)
    weights = [scenes[n][0] for n in names]
    pairs, asked, wanted = [], [], rng.choice([1, 2, 2, 3, 3])
    while len(pairs) < wanted:
        name = rng.choices(names, weights)[0]
        if name in asked or (name == "hello" and pairs) or (name == "bye" and len(pairs) + 1 < wanted):
            continue
        asked.append(name)
        slots = {}
        pairs += [(roughen(u, rng, names_of(slots)), a) for u, a in play(scenes[name], rng, slots, 2)]
    return {"messages": [{"role": r, "content": t} for u, a in pairs for r, t in (("user", u), ("assistant", a))]}


def persona(count, seed):
    rng, scenes = random.Random(seed), load_scenes(["persona"])
    return [compose(scenes, rng) for _ in range(count)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=220)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", encoding="utf-8") as file:
        for row in persona(options.count, options.seed):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
