"""Trains the autoencoder: 64x64 pixels to 16x16 latents of four channels and back.

python train_vae.py --data DIR --out DIR [--minutes 25]
python train_vae.py --data DIR --out DIR --polish DIR/vae    the decoder alone, minding outlines and eyes; latents stay

The rate falls with the clock or with the steps, whichever is further on, so that the run ends in time."""

import argparse
import json
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

import pictures
import team
from muon import Both


def model():
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
    )


def pixels(batch):
    x = torch.tensor(batch).permute(0, 3, 1, 2).float() / 127.5 - 1
    return x.contiguous(memory_format=torch.channels_last)


def edges(x):
    return torch.cat([(x[..., 1:] - x[..., :-1]).flatten(1), (x[..., 1:, :] - x[..., :-1, :]).flatten(1)], 1)


def busy(x):
    """A weight for every pixel: more where neighbours differ, as in outlines and faces."""
    mean = F.avg_pool2d(x, 5, 1, 2, count_include_pad=False)
    spread = (F.avg_pool2d(x * x, 5, 1, 2, count_include_pad=False) - mean * mean).clamp(min=0).sqrt().mean(1, keepdim=True)
    return (1 + 6 * spread) / (1 + 6 * spread).mean()


def distance(y, x):
    apart = (y - x).abs() * busy(x)
    coarse = F.l1_loss(F.avg_pool2d(y, 4), F.avg_pool2d(x, 4))
    return apart.mean() + 0.5 * F.mse_loss(y, x) + 0.5 * F.l1_loss(edges(y), edges(x)) + coarse


def work(args, rank, size):
    torch.manual_seed(1)
    data = np.load(args.data / "pictures.npy", mmap_mode="r")
    start = args.polish or args.start
    vae = (AutoencoderKL.from_pretrained(start) if start else model()).to(memory_format=torch.channels_last)
    if args.polish:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    weights = [p for p in vae.parameters() if p.requires_grad]
    torch.manual_seed(10 + rank)
    order = np.random.default_rng(10 + rank)
    smooth = torch.optim.swa_utils.AveragedModel(vae, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
    adam = Both(
        [(n, p) for n, p in vae.named_parameters() if p.requires_grad],
        args.rate,
        plain=("conv_in", "conv_out", "quant_conv"),
        weight_decay=1e-3,
        rank=rank,
        size=size,
    )
    begun = time.time()
    step, done, mean = 0, 0.0, 0.0
    while done < 1:
        adam.set_rate(args.rate * min(1, (step + 1) / 60) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * done))))
        picks = np.sort(order.integers(0, len(data), args.batch // size))
        x = pixels(data[picks])
        latent = vae.encode(x).latent_dist
        y = vae.decode(latent.sample()).sample
        apart = distance(y, x)
        kl = latent.kl().mean() / latent.mean[0].numel()
        loss = apart + (0 if args.polish else 5e-4 * kl)
        adam.zero_grad()
        loss.backward()
        done = team.share(weights, max((time.time() - begun) / 60 / args.minutes, (step + 1) / args.steps), size)
        torch.nn.utils.clip_grad_norm_(weights, 1)
        adam.step()
        smooth.update_parameters(vae)
        step += 1
        mean = apart.item() if step == 1 else 0.98 * mean + 0.02 * apart.item()
        if step % 50 == 0 and rank == 0:
            print(step, round(time.time() - begun), f"{mean:.4f} kl {kl.item():.3f}", flush=True)
        if args.polish and step % 500 == 0:
            smooth.module.save_pretrained(args.out / "vae")
    if rank == 0:
        finish(args, smooth.module.eval(), data, step, begun)


def finish(args, best, data, step, begun):
    held = pixels(pictures.many(64, pictures.HELD_OUT, 1)[0])
    with torch.no_grad():
        latents = torch.cat([best.encode(pixels(data[i : i + 50])).latent_dist.mean for i in range(0, 2000, 50)])
        y = best.decode(best.encode(held).latent_dist.mean).sample.clamp(-1, 1)
    if not args.polish:
        best.register_to_config(scaling_factor=round(1 / latents.std().item(), 5))
    best.save_pretrained(args.out / "vae")
    report = {
        "steps": step,
        "minutes": round((time.time() - begun) / 60, 1),
        "held_out_l1": (y - held).abs().mean().item() / 2,
        "held_out_psnr": -10 * float(np.log10(((y - held) / 2).square().mean().item())),
        "latent_std": latents.std().item(),
        "channel_mean": latents.mean((0, 2, 3)).tolist(),
        "channel_std": latents.std((0, 2, 3)).tolist(),
    }
    print(report)
    (args.out / "vae.json").write_text(json.dumps(report, indent=1))


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--data", type=pathlib.Path, required=True)
    ask.add_argument("--out", type=pathlib.Path, required=True)
    ask.add_argument("--minutes", type=float, default=25)
    ask.add_argument("--steps", type=int, default=20_000)
    ask.add_argument("--batch", type=int, default=8, help="pictures a step, over all processes")
    ask.add_argument("--rate", type=float, default=3e-3)
    ask.add_argument("--start", type=pathlib.Path, help="an earlier autoencoder to go on from")
    ask.add_argument("--polish", type=pathlib.Path, help="an autoencoder of which only the decoder is to improve")
    ask.add_argument("--processes", type=int, default=2)
    args = ask.parse_args()
    team.run(work, args, args.processes)


if __name__ == "__main__":
    main()
