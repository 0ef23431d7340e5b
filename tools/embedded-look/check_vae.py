"""Pictures the autoencoder has not seen, above what it makes of them: python check_vae.py --vae DIR --out sheet.png"""

import argparse
import pathlib

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image

import pictures
from train_vae import pixels


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--vae", type=pathlib.Path, required=True)
    ask.add_argument("--out", type=pathlib.Path, required=True)
    ask.add_argument("--count", type=int, default=16)
    args = ask.parse_args()
    torch.set_num_threads(1)
    vae = AutoencoderKL.from_pretrained(args.vae).float().eval()
    x = pixels(pictures.many(args.count, pictures.HELD_OUT + 1000, 1)[0])
    with torch.no_grad():
        y = vae.decode(vae.encode(x).latent_dist.mean).sample.clamp(-1, 1)
    print("PSNR", -10 * np.log10(((x - y) / 2).square().mean().item()))
    tiles = ((torch.stack([x, y]) + 1) * 127.5).round().byte().permute(0, 1, 3, 4, 2).numpy()
    half = args.count // 2
    rows = [np.concatenate(list(t[i : i + half]), 1) for i in (0, half) for t in tiles]
    sheet = Image.fromarray(np.concatenate(rows, 0))
    sheet.resize((sheet.width * 3, sheet.height * 3), Image.NEAREST).save(args.out)


if __name__ == "__main__":
    main()
