"""Pieces that the codec has not heard, beside what it makes of them: python check_codec.py --codec DIR --out sheet.png [--wav DIR]"""

import argparse
import pathlib

import numpy as np
import torch
from transformers import EncodecModel

import codec
import compose
import listen
from show import save_wav
from train_codec import HELD_OUT, judge, signal_to_noise


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--codec", type=pathlib.Path, required=True)
    ask.add_argument("--out", type=pathlib.Path, required=True)
    ask.add_argument("--wav", type=pathlib.Path)
    ask.add_argument("--count", type=int, default=9)
    args = ask.parse_args()
    torch.set_num_threads(1)
    model = EncodecModel.from_pretrained(args.codec).half().float().eval()
    pieces = [compose.make(HELD_OUT + 1000 + i) for i in range(args.count)]
    x = torch.stack([torch.tensor(compose.render(notes)) for _, notes in pieces])
    with torch.no_grad():
        codes = model.encode(x[:, None]).audio_codes
        y = model.decode(codes, [None])[0][:, 0, : x.shape[1]]
    told = []
    for (piece, _), a, b in zip(pieces, x, y, strict=True):
        snr = signal_to_noise(b[None], a[None]).item()
        who = "+".join(w for w in (piece.lead, piece.chords, piece.bass and "bass", piece.beat and "drums") if w)
        told += [listen.picture(a.numpy(), who), listen.picture(b.numpy(), f"{who}: {snr:.1f} dB, {codec.distance(b[None], a[None]).item():.2f}")]
        if args.wav:
            save_wav(args.wav / f"{len(told) // 2:02}-{who}.wav", np.concatenate([a, np.zeros(4000), b]))
    listen.sheet(told, args.out, 2)
    print(judge(model, x))


if __name__ == "__main__":
    main()
