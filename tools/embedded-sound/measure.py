"""How far prompts are obeyed: instruments, tempo, key and mode of what a model plays, each told by what is heard alone.

python measure.py --model FOLDER [--each 4] [--out measure.json]

Instruments are told by a classifier that learned on pieces of the composer after they went through the codec. The composer's
own pieces, treated alike, say how good each measure is."""

import argparse
import json
import pathlib
import random

import numpy as np
import torch

import compose
import listen
import show
from instruments import LEADS

SLOW, FAST = "a slow {} melody, 69 bpm", "a very fast {} melody, 160 bpm"
KEYS = (("C", 0), ("D", 2), ("G", 7), ("A", 9))


def piece(seed, **wanted):
    rng = random.Random(seed)
    made = compose.Piece(rng)
    made.chords = made.style = made.bass = made.beat = ""
    for name, value in wanted.items():
        setattr(made, name, value)
    if made.lead == "":
        made.lead = rng.choice(LEADS)
    return made, compose.render(compose.write(made, rng))


def through(model, sounds):
    x = torch.tensor(np.stack(sounds))[:, None]
    with torch.no_grad():
        return model.audio_encoder.decode(model.audio_encoder.encode(x).audio_codes, [None])[0][:, 0].numpy()


class Ear:
    """Tells instruments: a linear classifier by least squares with a little weight decay."""

    def __init__(self, model, each=14):
        self.names = list(LEADS)
        x, y = self.hear(model, 1, each)
        self.mean, self.spread = x.mean(0), x.std(0) + 1e-3
        x = self.prepare(x)
        self.map = np.linalg.solve(x.T @ x + 3 * np.eye(x.shape[1]), x.T @ np.eye(len(self.names))[y])

    def hear(self, model, seed, each):
        rows, who = [], []
        for k, name in enumerate(self.names):
            sounds = [piece(seed * 10_000 + 100 * k + i, lead=name)[1] for i in range(each)]
            rows += [listen.timbre(s) for s in through(model, sounds)]
            who += [k] * each
        return np.stack(rows), np.array(who)

    def prepare(self, x):
        x = (np.atleast_2d(x) - self.mean) / self.spread
        return np.concatenate([x, np.ones((len(x), 1))], 1)

    def __call__(self, sound):
        return self.names[int((self.prepare(listen.timbre(sound)) @ self.map)[0].argmax())]


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--model", type=pathlib.Path, required=True)
    ask.add_argument("--each", type=int, default=4)
    ask.add_argument("--out", type=pathlib.Path)
    args = ask.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = show.load(args.model)
    ear = Ear(model)
    result = {}

    x, who = ear.hear(model, 2, 6)
    heard = (ear.prepare(x) @ ear.map).argmax(1)
    result["instrument, composer's own"] = round(float((heard == who).mean()), 3)
    prompts = [f"a {name} melody" for name in LEADS for _ in range(args.each)]
    sounds = show.play(model, tokenizer, prompts, 11)
    table = {name: {} for name in LEADS}
    for i, s in enumerate(sounds):
        told = ear(s)
        row = table[LEADS[i // args.each]]
        row[told] = row.get(told, 0) + 1
    result["instrument"] = round(sum(table[n].get(n, 0) for n in LEADS) / len(prompts), 3)
    result["instrument as heard"] = table
    result["centroid, Hz"] = {n: round(float(np.mean([listen.centroid(s) for s in sounds[i * args.each : (i + 1) * args.each]])))
                              for i, n in enumerate(LEADS)}  # fmt: skip

    for name, form, right in (("slow", SLOW, 14), ("very fast", FAST, 6)):
        own = [listen.eighth_of(s) for s in through(model, [piece(30_000 + i, eighth=right, lead=LEADS[i % 7])[1] for i in range(10)])]
        sounds = show.play(model, tokenizer, [form.format(LEADS[i % 7]) for i in range(2 * args.each)], 12)
        got = [listen.eighth_of(s) for s in sounds]
        count = [round(len(listen.onsets(s)) / 8, 2) for s in sounds]
        result[f"tempo, {name}"] = {
            "right": round(float(np.mean([g == right for g in got])), 3),
            "composer's own": round(float(np.mean([g == right for g in own])), 3),
            "onsets a second": round(float(np.mean(count)), 2),
            "eighths in frames": got,
        }

    right, own, inside = [], [], []
    for mode in ("major", "minor"):
        asked = [(n, t, LEADS[(i + j) % 7]) for i, (n, t) in enumerate(KEYS) for j in range(max(1, args.each // 2))]
        sounds = show.play(model, tokenizer, [f"a {lead} melody in {n} {mode}" for n, _, lead in asked], 13)
        right += [listen.mode_of(s, t) == mode for s, (_, t, _) in zip(sounds, asked, strict=True)]
        inside += [listen.in_scale(s, t, compose.MODES[mode]) for s, (_, t, _) in zip(sounds, asked, strict=True)]
        made = [piece(40_000 + i, mode=mode, tonic=t, lead=lead)[1] for i, (_, t, lead) in enumerate(asked)]
        own += [listen.mode_of(s, t) == mode for s, (_, t, _) in zip(through(model, made), asked, strict=True)]
    result["mode in the key asked for"] = {
        "right": round(float(np.mean(right)), 3),
        "composer's own": round(float(np.mean(own)), 3),
        "sound within the scale": round(float(np.mean(inside)), 3),
        "by chance": round(7 / 12, 3),
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
