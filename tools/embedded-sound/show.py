"""Plays prompts with transformers' own generation, as WAV files and one sheet of pictures.

python show.py --model FOLDER --out DIR [--prompts "a slow flute melody" ...] [--each 1]"""

import argparse
import pathlib
import re
import wave

import numpy as np
import torch
from transformers import AutoTokenizer, MusicgenForConditionalGeneration

import listen
from instruments import RATE

PROMPTS = [
    "a slow flute melody in C major",
    "a fast guitar tune in A minor",
    "solo piano, medium, cheerful",
    "bells, slow, in G major",
    "an organ melody with long notes",
    "a very fast synth melody with drums",
    "a sad strings melody in D minor",
    "a happy piano melody with bass and drums, 120 bpm",
    "drums",
    "a flute waltz with guitar arpeggios",
    "a guitar melody with organ chords, bass and a rock beat",
    "pentatonic flute, lively",
]


def load(folder):
    model = MusicgenForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(folder)


def play(model, tokenizer, prompts, seed=0, **ways):
    """(prompts, samples) of float32."""
    rows = tokenizer(prompts, padding=True, return_tensors="pt")
    torch.manual_seed(seed)
    with torch.no_grad():
        return model.generate(**rows, **ways)[:, 0].float().numpy()


def save_wav(path, x):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((np.clip(x, -1, 1) * 32767).round().astype("<i2").tobytes())


def file_name(prompt):
    return re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")[:60]


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--model", type=pathlib.Path, required=True)
    ask.add_argument("--out", type=pathlib.Path, required=True)
    ask.add_argument("--prompts", nargs="*", default=PROMPTS)
    ask.add_argument("--each", type=int, default=1)
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--guidance", type=float)
    ask.add_argument("--top-k", type=int)
    ask.add_argument("--temperature", type=float)
    ask.add_argument("--threads", type=int, default=1)
    args = ask.parse_args()
    torch.set_num_threads(args.threads)
    ways = {k: v for k, v in (("guidance_scale", args.guidance), ("top_k", args.top_k), ("temperature", args.temperature)) if v is not None}
    prompts = [p for p in args.prompts for _ in range(args.each)]
    sounds = play(*load(args.model), prompts, args.seed, **ways)
    for i, (prompt, x) in enumerate(zip(prompts, sounds, strict=True)):
        save_wav(args.out / f"{i:02}-{file_name(prompt)}.wav", x)
    listen.sheet([listen.picture(x, p) for x, p in zip(sounds, prompts, strict=True)], args.out / "sheet.png")


if __name__ == "__main__":
    main()
