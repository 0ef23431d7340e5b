"""Trains the codec on the composer's music, from nothing.

python train_codec.py --out DIR [--minutes 22]

First without the quantiser, then, after a k-means, with it. The rate falls with the clock or with the steps, whichever is
further on, so that the run ends in time. The folder is written anew every --save minutes."""

import argparse
import json
import pathlib
import random
import sys
import time

import numpy as np
import torch

sys.path.append(str(pathlib.Path(__file__).parent.parent / "embedded-look"))

import codec
import compose
import team
from instruments import FRAME, RATE
from muon import Both

HELD_OUT = 500_000_000
SECOND = RATE // FRAME * FRAME


class Music:
    """Crops of one second that begin on frames, from a stock of pieces that is renewed as it goes."""

    def __init__(self, seed, size=400):
        self.rng, self.next, self.size, self.stock = random.Random(seed), seed, size, []

    def grow(self):
        piece = torch.tensor(compose.render(compose.make(self.next)[1]))
        self.next += 1
        if len(self.stock) < self.size:
            self.stock.append(piece)
        else:
            self.stock[self.rng.randrange(self.size)] = piece

    def __call__(self, count):
        for _ in range(16 if not self.stock else 2):
            self.grow()
        crops = []
        for _ in range(count):
            piece = self.rng.choice(self.stock)
            at = self.rng.randint(0, len(piece) // FRAME - RATE // FRAME) * FRAME
            crops.append(piece[at : at + SECOND])
        return torch.stack(crops)


def held_out(count=32, seconds=4):
    return torch.stack([torch.tensor(compose.render(compose.make(HELD_OUT + i)[1]))[: seconds * RATE] for i in range(count)])


def signal_to_noise(y, x):
    return 10 * torch.log10(x.square().sum(1) / (y - x).square().sum(1))


def judge(model, x):
    """Distance and signal-to-noise ratio of what the codec makes of x, through its codes."""
    with torch.no_grad():
        codes = model.encode(x[:, None]).audio_codes
        y = model.decode(codes, [None])[0][:, 0, : x.shape[1]]
    used = [len(codes[0, :, k].unique()) for k in range(codec.BOOKS)]
    apart = signal_to_noise(y, x)
    return {"distance": codec.distance(y, x).item(), "snr": apart.mean().item(), "snr_median": apart.median().item(), "codes_used": used}


def work(args, rank, size):
    torch.manual_seed(1)
    model = codec.plain_model()
    if args.start:
        model.load_state_dict(torch.load(args.start / "plain.pt"))
    quantise = codec.Quantiser(model)
    quantise.ready = bool(args.start)
    music = Music(1_000_000 + 10_000_000 * rank)
    live = list(model.parameters())
    smooth = codec.plain_model()
    smooth.load_state_dict(model.state_dict())
    both = Both(list(model.named_parameters()), args.rate, ("encoder.layers.0.", "decoder.layers.18."), 1e-3, rank, size)

    def gather(*parts):
        flat = torch.cat([p.reshape(-1) for p in parts])
        if size > 1:
            torch.distributed.all_reduce(flat)
        return [x.view_as(p) for x, p in zip(flat.split([p.numel() for p in parts]), parts, strict=True)]

    def everywhere(rows):
        if size == 1:
            return rows
        all_ = [torch.empty_like(rows) for _ in range(size)]
        torch.distributed.all_gather(all_, rows.contiguous())
        return torch.cat(all_)

    begun = saved = time.time()
    step, done, mean, kept = 0, 0.0, 0.0, []
    while done < 1:
        both.set_rate(args.rate * min(1, (step + 1) / 60) * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * done))))
        x = music(args.batch // size)
        z = model.encoder(x[:, None])
        rows = z.detach().transpose(1, 2).reshape(-1, z.shape[1])
        commit = torch.zeros(())
        if quantise.ready or done > args.plain:
            if not quantise.ready:
                quantise.begin(everywhere(torch.cat(kept)))
                smooth.load_state_dict(model.state_dict())
                kept = []
            quantise.decay = 0.97 if done < 0.7 else 0.99
            z, commit, _ = quantise(z, True, gather)
            if step % 20 == 0 and done < 0.8:
                quantise.revive(everywhere(rows))
        else:
            kept = [*kept, rows][-60:]
        y = model.decoder(z)[:, 0]
        apart = codec.distance(y, x)
        both.zero_grad()
        (apart + 0.2 * commit).backward()
        done = team.share(live, max((time.time() - begun) / 60 / args.minutes, (step + 1) / args.steps), size)
        torch.nn.utils.clip_grad_norm_(live, 1)
        both.step()
        step += 1
        if rank:
            continue
        with torch.no_grad():
            torch._foreach_lerp_(list(smooth.parameters()), live, 1 - min(0.99, step / (step + 10)))
        mean = apart.item() if step == 1 else 0.98 * mean + 0.02 * apart.item()
        if step % 50 == 0:
            print(step, round(time.time() - begun), f"{mean:.4f} commit {commit.item():.4f} z {rows.std().item():.3f}", flush=True)
        if quantise.ready and time.time() - saved > args.save * 60:
            saved = time.time()
            write(args, model, smooth, step, begun, mean)
    if rank == 0:
        write(args, model, smooth, step, begun, mean)


def write(args, model, smooth, step, begun, mean):
    """The average of the weights, with the books as they are."""
    for mine, theirs in zip(smooth.quantizer.buffers(), model.quantizer.buffers(), strict=True):
        mine.copy_(theirs)
    torch.save(smooth.state_dict(), args.out / "plain.pt")
    stored = codec.with_norm(smooth)
    stored.save_pretrained(args.out / "codec")
    report = {"steps": step, "minutes": round((time.time() - begun) / 60, 1), "loss": round(mean, 4), "held_out": judge(stored, held_out())}
    print(report, flush=True)
    (args.out / "codec.json").write_text(json.dumps(report, indent=1) + "\n")


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--out", type=pathlib.Path, required=True)
    ask.add_argument("--minutes", type=float, default=22)
    ask.add_argument("--steps", type=int, default=20_000)
    ask.add_argument("--plain", type=float, default=0.2, help="share of the run before there is a quantiser")
    ask.add_argument("--batch", type=int, default=16, help="crops a step, over all processes")
    ask.add_argument("--rate", type=float, default=4e-3)
    ask.add_argument("--save", type=float, default=4)
    ask.add_argument("--start", type=pathlib.Path, help="a folder of an earlier run, to go on from")
    ask.add_argument("--processes", type=int, default=2)
    args = ask.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    team.run(work, args, args.processes)


if __name__ == "__main__":
    main()
