"""Draws prompts with diffusers' own pipeline and keeps them as one sheet, enlarged.

python show.py --model FOLDER --out sheet.png [--prompts "a red cat" "a house at night"] [--each 3]"""

import argparse
import pathlib

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

PROMPTS = [
    "a red cat with a blue hat in the snow",
    "a picture of a small green frog on a beach",
    "two yellow birds at night",
    "a purple house under the stars",
    "a cat",
    "a yellow dragon in the forest",
    "a pink elephant with spots in a room",
    "an orange fish under water",
    "a black sheep in the mountains",
    "a blue owl with a golden crown on a white background",
    "a white rabbit with a red scarf in a meadow",
    "a green car in the desert",
    "a red mushroom and a grey mouse in the woods",
    "a purple snail in the rain",
    "a brown bear sleeping at home",
    "a yellow umbrella on the beach",
]


def load(model):
    pipe = StableDiffusionPipeline.from_pretrained(model, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def draw(pipe, prompts, each=3, steps=25, guidance=5.0, seed=0):
    """One row a prompt, each column a seed."""
    rows = []
    for prompt in prompts:
        seeds = [torch.Generator().manual_seed(seed + i) for i in range(each)]
        out = pipe([prompt] * each, height=64, width=64, num_inference_steps=steps, guidance_scale=guidance, generator=seeds, output_type="np")
        rows.append((out.images * 255).round().astype(np.uint8))
    return rows


def sheet(rows, out, columns=2, zoom=3):
    strips = [np.concatenate(list(row), 1) for row in rows]
    while len(strips) % columns:
        strips.append(np.full_like(strips[0], 255))
    gap = np.full((64, 8, 3), 255, np.uint8)
    lines = []
    for i in range(0, len(strips), columns):
        line = [strips[i]]
        for strip in strips[i + 1 : i + columns]:
            line += [gap, strip]
        lines.append(np.concatenate(line, 1))
    image = Image.fromarray(np.concatenate(lines, 0))
    image.resize((image.width * zoom, image.height * zoom), Image.NEAREST).save(out)


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--model", type=pathlib.Path, required=True)
    ask.add_argument("--out", type=pathlib.Path, required=True)
    ask.add_argument("--prompts", nargs="*", default=PROMPTS)
    ask.add_argument("--each", type=int, default=3)
    ask.add_argument("--steps", type=int, default=25)
    ask.add_argument("--guidance", type=float, default=5.0)
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--threads", type=int, default=1)
    args = ask.parse_args()
    torch.set_num_threads(args.threads)
    sheet(draw(load(args.model), args.prompts, args.each, args.steps, args.guidance, args.seed), args.out)


if __name__ == "__main__":
    main()
