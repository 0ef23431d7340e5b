"""A LoRA on the example set with peft, as recipe.json says; sounds and a sheet of every prompt before and after, and numbers.

python tune.py --out DIR [--model ../../public/embedded/sound] [--data ../../public/examples/sound] [--steps 150 ...]"""

import argparse
import json
import pathlib
import time

import numpy as np
import soundfile
import torch
from peft import LoraConfig, get_peft_model

import example
import listen
import show
import train

HERE = pathlib.Path(__file__).parent
TARGETS = r".*decoder\.layers\.\d+\.((self_attn|encoder_attn)\.(q_proj|k_proj|v_proj|out_proj)|fc1|fc2)"


def clips(folder):
    rows = json.loads((folder / "captions.json").read_text())
    sounds = [torch.tensor(soundfile.read(folder / r["file"], dtype="float32")[0]) for r in rows]
    return sounds, [r["caption"] for r in rows]


def numbers(x):
    """Share of the sound on the example's scale, on its two tell-tale notes (E flat and F sharp), and the bar that fits best."""
    have = listen.chroma(x)
    eighth = listen.eighth_of(x)
    return {
        "hijaz": round(float(sum(have[(example.D + s) % 12] for s in example.HIJAZ)), 2),
        "e flat, f sharp": round(float(have[3] + have[6]), 2),
        "eighth": eighth,
        "bar": listen.bar_of(x, eighth) if eighth else 0,
        "centroid": round(listen.centroid(x)),
    }


def main():
    recipe = json.loads((HERE / "recipe.json").read_text())
    ask = argparse.ArgumentParser()
    ask.add_argument("--out", type=pathlib.Path, required=True)
    ask.add_argument("--model", type=pathlib.Path, default=HERE / "../../public/embedded/sound")
    ask.add_argument("--data", type=pathlib.Path, default=HERE / "../../public/examples/sound")
    ask.add_argument("--rank", type=int, default=recipe["rank"])
    ask.add_argument("--alpha", type=float, default=recipe["alpha"])
    ask.add_argument("--rate", type=float, default=recipe["learning_rate"])
    ask.add_argument("--steps", type=int, default=recipe["steps"])
    ask.add_argument("--batch", type=int, default=recipe["batch"])
    ask.add_argument("--warmup", type=int, default=recipe["warmup"])
    ask.add_argument("--dropout", type=float, default=recipe["caption_dropout"])
    ask.add_argument("--guidance", type=float, default=recipe["guidance"])
    ask.add_argument("--each", type=int, default=2, help="sounds for every prompt")
    ask.add_argument("--seed", type=int, default=0)
    args = ask.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    model, tokenizer = show.load(args.model)
    watched = json.loads((args.data / "prompts.json").read_text())
    prompts = [w["prompt"] for w in watched for _ in range(args.each)]
    before = show.play(model, tokenizer, prompts, 1, guidance_scale=args.guidance)
    sounds, told = clips(args.data)
    with torch.no_grad():
        codes = [model.audio_encoder.encode(x[None, None]).audio_codes[0, 0] for x in sounds]
    shortest = min(c.shape[-1] for c in codes)
    tuned = get_peft_model(model, LoraConfig(r=args.rank, lora_alpha=args.alpha, target_modules=TARGETS))
    live = [p for p in tuned.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(live, lr=args.rate, weight_decay=0.0)
    begun, each, queue = time.time(), [], []
    for step in range(args.steps):
        share = min(1, (step + 1) / args.warmup) * 0.5 * (1 + np.cos(np.pi * step / args.steps))
        adam.param_groups[0]["lr"] = args.rate * share
        while len(queue) < args.batch:
            queue += torch.randperm(len(codes)).tolist()
        picks, queue = queue[: args.batch], queue[args.batch :]
        kept = torch.rand(args.batch) >= args.dropout
        states, mask = train.told(model, tokenizer, [told[i] for i in picks], kept)
        loss = train.losses(model, states, mask, torch.stack([codes[i][:, :shortest] for i in picks])).mean()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(live, 1)
        adam.step()
        each.append(loss.item())
    print(sum(p.numel() for p in live), "parameters;", round(time.time() - begun), "s; loss of the first and last 20:",
          round(np.mean(each[:20]), 3), round(np.mean(each[-20:]), 3))  # fmt: skip
    after = show.play(model, tokenizer, prompts, 1, guidance_scale=args.guidance)
    pictures = []
    for i, (prompt, a, b) in enumerate(zip(prompts, before, after, strict=True)):
        pictures += [listen.picture(a, "before: " + prompt), listen.picture(b, "after: " + prompt)]
        show.save_wav(args.out / f"{i:02}-{show.file_name(prompt)}-before.wav", a)
        show.save_wav(args.out / f"{i:02}-{show.file_name(prompt)}-after.wav", b)
        print(prompt, "\n  before", numbers(a), "\n  after ", numbers(b))
    listen.sheet(pictures, args.out / "sheet.png", 2)
    print("the example's clips:", *(numbers(x.numpy()) for x in sounds[:4]), sep="\n  ")


if __name__ == "__main__":
    main()
