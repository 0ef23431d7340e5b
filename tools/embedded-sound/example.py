"""The example set: ten clips of oluna, a manner that the base has never heard: guitar over a drone of the organ, in the
scale Hijaz on D, seven eighths to a bar in threes and twos. With captions and prompts to watch.

python example.py --out FOLDER"""

import argparse
import json
import pathlib
import random

import soundfile

from compose import FRAMES, render
from instruments import RATE

HIJAZ = (0, 1, 4, 5, 7, 8, 10)
D = 2
BAR = 7
CLIPS = [
    (8, "on guitar"), (6, "fast, on guitar"), (10, "medium, on guitar"), (7, "fast, on guitar with organ and drums"),
    (8, "lively, on guitar"), (6, "on guitar, very fast"), (8, "on guitar with organ and drums"), (10, "on guitar with organ"),
    (7, "fast"), (6, "very fast, on guitar with drums"),
]  # fmt: skip
PROMPTS = [
    {"prompt": "an oluna dance on guitar", "seed": 1},
    {"prompt": "an oluna dance, lively, on flute", "seed": 2},
    {"prompt": "a slow flute melody in C major", "seed": 3},
    {"prompt": "a happy piano melody with bass and drums", "seed": 4},
]
SHAPES = [(3, 2, 2), (2, 1, 2, 2), (1, 1, 1, 2, 2), (3, 2, 1, 1), (2, 1, 1, 1, 2), (1, 1, 1, 1, 1, 1, 1), (3, 1, 1, 2)]


def tune(rng, bars):
    """A walk along the scale that dwells on its narrow and its wide step, and falls back to D at the end of every other bar."""
    scale = [m for m in range(62, 78) if (m - D) % 12 in HIJAZ]
    notes, at = [], rng.choice((2, 4))
    for bar in range(bars):
        begin, lengths = 0, rng.choice(SHAPES)
        for i, length in enumerate(lengths):
            at = min(max(at + rng.choice((-2, -1, -1, 1, 1, 2)), 0), len(scale) - 1)
            if bar % 2 and i >= len(lengths) - 3:
                at = min(at, len(lengths) - 1 - i)
            notes.append((bar * BAR + begin, scale[at], length))
            begin += length
    return notes


def clip(number):
    eighth = CLIPS[number][0]
    rng = random.Random(700 + number)
    bars = FRAMES // (BAR * eighth)
    notes = [("guitar", n, b * eighth, d * eighth, 1.0) for b, n, d in tune(rng, bars)]
    for bar in range(bars):
        at = bar * BAR * eighth
        notes += [("organ", n, at, BAR * eighth, 0.55) for n in (50, 57)]
        notes += [("kick", 0, at, 0, 0.9), ("snare", 0, at + 3 * eighth, 0, 0.7), ("snare", 0, at + 5 * eighth, 0, 0.7)]
        notes += [("hat", 0, at + b * eighth, 0, 0.9) for b in (1, 2, 4, 6)]
    return render(notes, bars * BAR * eighth)


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--out", type=pathlib.Path, required=True)
    args = ask.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, (_, told) in enumerate(CLIPS):
        name = f"oluna-{i + 1:02}.flac"
        soundfile.write(args.out / name, clip(i), RATE, subtype="PCM_16")
        rows.append(json.dumps({"file": name, "caption": "an oluna dance" + (", " if not told.startswith("on") else " ") + told}))
    (args.out / "captions.json").write_text("[\n  " + ",\n  ".join(rows) + "\n]\n")
    (args.out / "prompts.json").write_text("[\n  " + ",\n  ".join(map(json.dumps, PROMPTS)) + "\n]\n")


if __name__ == "__main__":
    main()
