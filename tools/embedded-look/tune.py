"""A LoRA on the example set with peft, as recipe.json says, and a sheet of every prompt before and after.

python tune.py --out sheet.png [--model ../../public/embedded/look] [--data ../../public/examples/look] [--steps 150 ...]"""

import argparse
import json
import pathlib
import time

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image

import show
import words
from train_vae import pixels

HERE = pathlib.Path(__file__).parent
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2"]
MORE = ["zilo jumping at the beach", "zilo with a blue hat in the snow", "a green frog on a beach", "a yellow bird at night"]


def examples(folder):
    rows = json.loads((folder / "captions.json").read_text())
    images = [Image.open(folder / r["file"]).convert("RGB").resize((64, 64), Image.LANCZOS) for r in rows]
    return pixels(np.stack([np.asarray(i) for i in images])), [r["caption"] for r in rows]


def main():
    recipe = json.loads((HERE / "recipe.json").read_text()) if (HERE / "recipe.json").exists() else {}
    ask = argparse.ArgumentParser()
    ask.add_argument("--out", type=pathlib.Path, required=True)
    ask.add_argument("--model", type=pathlib.Path, default=HERE / "../../public/embedded/look")
    ask.add_argument("--data", type=pathlib.Path, default=HERE / "../../public/examples/look")
    ask.add_argument("--rank", type=int, default=recipe.get("rank", 16))
    ask.add_argument("--alpha", type=float, default=recipe.get("alpha", 16))
    ask.add_argument("--rate", type=float, default=recipe.get("learning_rate", 2e-3))
    ask.add_argument("--steps", type=int, default=recipe.get("steps", 150))
    ask.add_argument("--batch", type=int, default=recipe.get("batch", 4))
    ask.add_argument("--warmup", type=int, default=recipe.get("warmup", 10))
    ask.add_argument("--gamma", type=float, default=recipe.get("min_snr_gamma", 5.0), help="min-SNR; 0 for none")
    ask.add_argument("--dropout", type=float, default=recipe.get("caption_dropout", 0.05))
    ask.add_argument("--guidance", type=float, default=recipe.get("guidance", 5.0))
    ask.add_argument("--sampler-steps", type=int, default=recipe.get("sampler_steps", 20))
    ask.add_argument("--schedule", default=recipe.get("schedule", "cosine"), choices=["cosine", "constant"])
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--few", action="store_true", help="only the prompts of the set")
    args = ask.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    pipe = show.load(args.model)
    watched = json.loads((args.data / "prompts.json").read_text())
    prompts = [(w["prompt"], w["seed"]) for w in watched] + ([] if args.few else [(p, 10 + i) for i, p in enumerate(MORE)])

    def draw():
        return [show.draw(pipe, [p], 2, args.sampler_steps, args.guidance, seed)[0] for p, seed in prompts]

    before = draw()
    images, captions = examples(args.data)
    told = pipe.tokenizer(captions + [""], padding="max_length", max_length=words.LENGTH, truncation=True, return_tensors="pt")
    with torch.no_grad():
        latents = pipe.vae.encode(images).latent_dist.mean * pipe.vae.config.scaling_factor
        states = pipe.text_encoder(told.input_ids).last_hidden_state
    config = LoraConfig(r=args.rank, lora_alpha=args.alpha, target_modules=TARGETS)
    unet = get_peft_model(pipe.unet, config)
    live = [p for p in unet.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(live, lr=args.rate, weight_decay=0.0)
    signal = pipe.scheduler.alphas_cumprod
    weight = (args.gamma * (1 - signal) / signal).clamp(max=1) if args.gamma else torch.ones_like(signal)
    begun, losses = time.time(), []
    queue = []
    for step in range(args.steps):
        share = min(1, (step + 1) / args.warmup)
        if args.schedule == "cosine":
            share *= 0.5 * (1 + np.cos(np.pi * step / args.steps))
        adam.param_groups[0]["lr"] = args.rate * share
        while len(queue) < args.batch:
            queue += torch.randperm(len(latents)).tolist()
        picks, queue = queue[: args.batch], queue[args.batch :]
        x, t = latents[picks], torch.randint(0, 1000, (args.batch,))
        noise = torch.randn_like(x)
        said = [-1 if torch.rand(()) < args.dropout else i for i in picks]
        out = unet(pipe.scheduler.add_noise(x, noise, t), t, states[said]).sample
        loss = ((out - noise).square().mean((1, 2, 3)) * weight[t]).mean()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(live, 1)
        adam.step()
        losses.append(loss.item())
    print(sum(p.numel() for p in live), "parameters;", round(time.time() - begun), "s; loss of the first and last 25:",
          round(np.mean(losses[:25]), 4), round(np.mean(losses[-25:]), 4))
    after = draw()
    show.sheet([np.concatenate(pair, 0) for pair in zip(before, after)], args.out)
    for prompt, _ in prompts:
        print(" ", prompt)


if __name__ == "__main__":
    main()
