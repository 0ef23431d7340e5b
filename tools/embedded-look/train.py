"""Trains text encoder and UNet together, on latents of the drawn pictures, and writes a folder as diffusers lays it out.

python train.py --data DIR --vae DIR/vae --out DIR [--minutes 65]

A folder that can be used is written every --save minutes. The rate falls with the clock or with the steps, whichever is
further on, so that the run ends in time."""

import argparse
import json
import pathlib
import random
import shutil
import time

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import team
import words
from creatures import CREATURES
from muon import Both
from things import THINGS
from train_vae import pixels
from world import PLURAL

WIDTH = 128
KINDS = {*CREATURES, *THINGS, *PLURAL.values(), *(k + "s" for k in [*CREATURES, *THINGS])}


def text_model(vocab):
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(vocab),
            hidden_size=WIDTH,
            projection_dim=WIDTH,
            intermediate_size=384,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=words.LENGTH,
            hidden_act="quick_gelu",
            bos_token_id=vocab[words.BOS],
            eos_token_id=vocab[words.EOS],
            pad_token_id=vocab[words.EOS],
        )
    )


def unet_model():
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(32, 64, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,  # the number of heads, as in Stable Diffusion 1.5
        norm_num_groups=8,
    )


def scheduler():
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def write(folder, vae, text, unet, tokenizer):
    """All parts in half precision, without a trace of where they were made."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    for name, model in (("vae", vae), ("text_encoder", text), ("unet", unet)):
        copy = type(model).from_config(model.config) if name != "text_encoder" else type(model)(model.config)
        copy.load_state_dict({k: v.contiguous() for k, v in model.state_dict().items()})
        copy.half().save_pretrained(part / name)
        config = part / name / "config.json"
        kept = {k: v for k, v in json.loads(config.read_text()).items() if k != "_name_or_path"}
        config.write_text(json.dumps(kept, indent=2) + "\n")
    scheduler().save_pretrained(part / "scheduler")
    shutil.copytree(tokenizer, part / "tokenizer")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": json.loads((part / "unet" / "config.json").read_text())["_diffusers_version"],
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (part / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


class Latents:
    """Latents of the pictures, made when first asked for, then kept."""

    def __init__(self, vae, pictures):
        self.vae, self.pictures = vae, pictures
        self.kept = torch.empty(len(pictures), 4, 16, 16, dtype=torch.float16)
        self.have = torch.zeros(len(pictures), dtype=torch.bool)

    def __call__(self, picks):
        new = picks[~self.have[picks]].unique()
        if len(new):
            with torch.no_grad():
                self.kept[new] = self.vae.encode(pixels(self.pictures[new.numpy()])).latent_dist.mean.half()
            self.have[new] = True
        return self.kept[picks].float() * self.vae.config.scaling_factor


class Captions:
    """Token ids for pictures; one of each picture's captions, now and then disturbed or left out."""

    def __init__(self, captions, tokenizer, rng):
        self.captions, self.tokenizer, self.rng = captions, tokenizer, rng

    def __call__(self, picks):
        rng = self.rng
        told = []
        for i in picks:
            caption = rng.choice(self.captions[i])
            told.append("" if rng.random() < 0.1 else words.disturb(caption, KINDS, rng))
        return self.tokenizer(told, padding="max_length", max_length=words.LENGTH, truncation=True, return_tensors="pt").input_ids


def work(args, rank, size):
    torch.manual_seed(2)
    vae = AutoencoderKL.from_pretrained(args.vae).eval().to(memory_format=torch.channels_last)
    latents = Latents(vae, np.load(args.data / "pictures.npy", mmap_mode="r"))
    captions = json.loads((args.data / "captions.json").read_text())[: args.pictures]
    vocab = json.loads((args.out / "tokenizer" / "vocab.json").read_text())
    tell = Captions(captions, CLIPTokenizer.from_pretrained(args.out / "tokenizer"), random.Random(2 + rank))

    text, unet = text_model(vocab), unet_model().to(memory_format=torch.channels_last)
    smooth_text, smooth_unet = text_model(vocab), unet_model()
    smooth_text.load_state_dict(text.state_dict())
    smooth_unet.load_state_dict(unet.state_dict())
    live, smooth = [*text.parameters(), *unet.parameters()], [*smooth_text.parameters(), *smooth_unet.parameters()]
    named = [*text.named_parameters(), *unet.named_parameters()]
    both = Both(named, args.rate, ("_embedding.", "conv_in", "conv_out"), 0.01, rank, size)
    noise_of = scheduler()
    signal = noise_of.alphas_cumprod
    weight = (5 * (1 - signal) / signal).clamp(max=1)  # min-SNR with gamma 5
    order = torch.Generator().manual_seed(2 + rank)
    batch = args.batch // size
    begun = saved = time.time()
    step, done, mean = 0, 0.0, None
    while done < 1:
        both.set_rate(args.rate * min(1, (step + 1) / 100) * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * done))))
        picks = torch.randint(0, len(captions) // size, (batch,), generator=order) * size + rank
        x = latents(picks)
        t = torch.randint(0, 1000, (batch,), generator=order)
        noise = torch.randn(x.shape, generator=order)
        noisy = noise_of.add_noise(x, noise, t).contiguous(memory_format=torch.channels_last)
        states = text(tell(picks.tolist())).last_hidden_state
        apart = (unet(noisy, t, states).sample - noise).square().mean((1, 2, 3))
        loss = (apart * weight[t]).mean()
        both.zero_grad()
        loss.backward()
        done = team.share(live, max((time.time() - begun) / 60 / args.minutes, (step + 1) / args.steps), size)
        torch.nn.utils.clip_grad_norm_(live, 1)
        both.step()
        step += 1
        if rank:
            continue
        with torch.no_grad():
            torch._foreach_lerp_(smooth, live, 1 - min(0.999, step / (step + 20)))
        mean = apart.mean().item() if mean is None else mean * 0.995 + apart.mean().item() * 0.005
        if step % 50 == 0:
            print(step, round(time.time() - begun), f"{mean:.4f}", flush=True)
        if time.time() - saved > args.save * 60:
            saved = time.time()
            write(args.out / "look", vae, smooth_text, smooth_unet, args.out / "tokenizer")
    if rank:
        return
    write(args.out / "look", vae, smooth_text, smooth_unet, args.out / "tokenizer")
    report = {"steps": step, "minutes": round((time.time() - begun) / 60, 1), "loss": round(mean, 4), "vocabulary": len(vocab)}
    print(report)
    (args.out / "train.json").write_text(json.dumps(report, indent=1) + "\n")


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--data", type=pathlib.Path, required=True)
    ask.add_argument("--vae", type=pathlib.Path, required=True)
    ask.add_argument("--out", type=pathlib.Path, required=True)
    ask.add_argument("--minutes", type=float, default=65)
    ask.add_argument("--steps", type=int, default=40_000)
    ask.add_argument("--batch", type=int, default=32, help="pictures a step, over all processes")
    ask.add_argument("--pictures", type=int, default=30_000)
    ask.add_argument("--rate", type=float, default=3e-3)
    ask.add_argument("--save", type=float, default=4)
    ask.add_argument("--processes", type=int, default=2)
    args = ask.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    captions = json.loads((args.data / "captions.json").read_text())
    words.write(args.out / "tokenizer", words.learn(c for told in captions[:10_000] for c in told))
    team.run(work, args, args.processes)


if __name__ == "__main__":
    main()
